"""`bal ingest`: certify files."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.core.errors import EXIT_NO, BalError, Malformed, NotFound, Refused
from bal.home import Home

CHUNK = 256 * 1024
LISTED = 20
"""Rejections shown to people."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("ingest")(ingest)


def ingest(
    files: Annotated[list[Path], typer.Argument(help="Documents, plain or gzip; '-' is standard input.")],
    source: Annotated[str, typer.Option(help="Source they are of.")],
    create_source: Annotated[
        bool, typer.Option("--create-source", help="Register the source if it is not known yet.")
    ] = False,
    ranges: Annotated[bool, typer.Option("--ranges", help="Print addresses as log:seq:first-last.")] = False,
    device: Annotated[
        str, typer.Option(help="Device a PMU message is of, checked against its content.")
    ] = "",
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Certify IEC 61968-9 documents and PMU messages; returns once their readings are anchored.

    Exit code 0: all accepted, 1: some readings rejected, 2: a file could not be read at all.
    """
    code = asyncio.run(
        _ingest(home_at(home), files, source, device, create=create_source, ranges=ranges, as_json=as_json)
    )
    raise typer.Exit(code)


async def _ingest(
    home: Home, files: list[Path], source: str, device: str, *, create: bool, ranges: bool, as_json: bool
) -> int:
    from bal.cli.control import control

    total = Total(ranges=ranges, quiet=as_json)
    try:
        async with control(home) as client:
            for path in files:
                query = {"source": source, "device": device, "create_source": str(create).lower()}
                try:
                    total.add(await _send(client, path, query, quiet=as_json))
                except (Malformed, Refused, FileUnopened) as error:
                    total.refuse(path, error)
    except BalError:
        if as_json or total.files:
            total.tell(as_json=as_json)
        raise
    total.tell(as_json=as_json)
    return total.code


class FileUnopened(NotFound):
    """A file to ingest cannot be opened."""


class Total:
    """What became of all files."""

    def __init__(self, *, ranges: bool, quiet: bool) -> None:
        self.code = 0
        self.files = 0
        self._ranges = ranges
        self._quiet = quiet
        self._facts: dict[str, Any] = {
            "accepted": 0,
            "rejected": 0,
            "duplicates": 0,
            "addresses": [],
            "rejections": [],
        }

    def add(self, answer: dict[str, Any]) -> None:
        """Add the receipt of a file."""
        self.files += 1
        for name in ("accepted", "rejected", "duplicates"):
            self._facts[name] += answer[name]
        spans = answer["ranges"]
        self._facts["addresses"] += spans if self._ranges else list(_addresses(spans))
        self._facts["rejections"] += answer["rejections"]
        if answer["rejected"]:
            self.code = max(self.code, EXIT_NO)

    def refuse(self, path: Path, error: BalError) -> None:
        """Add a file of which nothing was accepted."""
        self.files += 1
        self.code = max(self.code, error.exit_code)
        self._facts["rejected"] += 1
        self._facts["rejections"].append({"reason": error.what, "where": error.subject or "message"})
        text = json.dumps(error.problem()) if self._quiet else f"bal: {path.name}: {error.diagnostics()}"
        typer.echo(text, err=True)

    def tell(self, *, as_json: bool) -> None:
        """Print it: all there is also when a later file could not be sent."""
        facts = self._facts
        if as_json:
            print_json(facts)
            return
        typer.echo(
            f"{facts['accepted']} accepted, {facts['rejected']} rejected, {facts['duplicates']} duplicates"
        )
        if facts["addresses"]:
            typer.echo(f"first address {facts['addresses'][0]}, last {facts['addresses'][-1]}")
        for rejection in facts["rejections"][:LISTED]:
            typer.echo(f"rejected: {rejection['where']}: {rejection['reason']}")
        if facts["rejected"] > LISTED:
            typer.echo(f"… and {facts['rejected'] - LISTED} more: `bal rejections`")


def _addresses(ranges: list[str]) -> Iterator[str]:
    for text in ranges:
        place, _, span = text.rpartition(":")
        first, _, last = span.partition("-")
        for index in range(int(first), int(last) + 1):
            yield f"{place}:{index}"


async def _send(client: Any, path: Path, query: dict[str, str], *, quiet: bool) -> Any:
    from bal.cli.control import ask

    with _opened(path) as file, _progress(path, quiet=quiet) as moved:

        async def content() -> AsyncIterator[bytes]:
            while chunk := await asyncio.to_thread(file.read, CHUNK):
                moved(len(chunk))
                yield chunk

        return await ask(client, "POST", "/ingest", params=query, content=content())


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        message = f"this file cannot be opened ({error.strerror})"
        raise FileUnopened(message, subject="file", remedy="check its name and permissions") from error
    with file:
        yield file


@contextmanager
def _progress(path: Path, *, quiet: bool) -> Iterator[Any]:
    """Show how much of a file has been sent, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        size = path.stat().st_size if path.exists() else None
        task = progress.add_task(path.name, total=size)
        yield lambda count: progress.advance(task, count)
