"""`bal verify`: whether a certificate proves what it says."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.core.errors import EXIT_NO, BalError, Malformed, NotFound

MAX_BYTES = 1024 * 1024
"""Largest file looked at; a certificate has 2 kB."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("verify")(verify)


def verify(
    files: Annotated[list[Path], typer.Argument(help="Certificates, one a file; '-' is standard input.")],
    anchors: Annotated[
        Path | None, typer.Option(help="Trusted anchors (`bal anchors export`) instead of the home's ledger.")
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="Trusted head, log=hash: the exported anchors must lead up to it."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Check certificates against trusted anchors. Exit code 0: valid, 1: not valid, 2: no file, or nothing to trust."""
    if head and anchors is None:
        message = "a head is trusted together with a file of anchors"
        raise Malformed(message, subject="--head", remedy="give --anchors FILE too")
    try:
        verdicts = asyncio.run(_verify(home, files, anchors, head or []))
    except BalError as error:
        if as_json:  # whoever reads only this must not take silence for a yes
            print_json({"valid": False, "reason": error.what})
        raise
    for path, verdict in zip(files, verdicts, strict=True):
        if as_json:
            print_json({"valid": verdict.valid, "reason": verdict.reason})
        else:
            typer.echo(f"{path}: {'valid' if verdict.valid else 'NOT valid: ' + verdict.reason}")
    raise typer.Exit(0 if all(verdict.valid for verdict in verdicts) else EXIT_NO)


async def _verify(home: Path, files: list[Path], anchors: Path | None, heads: list[str]) -> list[Any]:
    from bal.bootstrap.reading import judge

    texts = [_read(path) for path in files]
    async with judge(home_at(home), anchors, heads) as verdict:
        return [await verdict(text) for text in texts]


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"this file cannot be read ({error.strerror})"
        raise NotFound(message, subject=path.name) from error
