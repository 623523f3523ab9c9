"""`bal ingest`: certify files."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.core.errors import EXIT_NO, EXIT_UNUSABLE, NotFound, Unreadable
from bal.home import Home

CHUNK = 256 * 1024


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

    total: dict[str, Any] = {"accepted": 0, "rejected": 0, "duplicates": 0, "addresses": [], "rejections": []}
    code = 0
    async with control(home) as client:
        for path in files:
            query = {"source": source, "device": device, "create_source": str(create).lower()}
            try:
                answer = await _send(client, path, query, quiet=as_json)
            except (Unreadable, NotFound) as error:
                if len(files) == 1 and not isinstance(error, Unreadable):
                    raise
                code = EXIT_UNUSABLE
                total["rejected"] += 1
                total["rejections"].append({"reason": error.what, "where": error.subject or "message"})
                typer.echo(f"bal: {path.name}: {error.diagnostics()}", err=True)
                continue
            for name in ("accepted", "rejected", "duplicates"):
                total[name] += answer[name]
            total["addresses"] += answer["ranges"] if ranges else list(_addresses(answer["ranges"]))
            total["rejections"] += answer["rejections"]
    if as_json:
        print_json(total)
    else:
        _tell(total)
    return code or (EXIT_NO if total["rejected"] else 0)


def _addresses(ranges: list[str]) -> Iterator[str]:
    for text in ranges:
        place, _, span = text.rpartition(":")
        first, _, last = span.partition("-")
        for index in range(int(first), int(last) + 1):
            yield f"{place}:{index}"


def _tell(total: dict[str, Any]) -> None:
    typer.echo(
        f"{total['accepted']} accepted, {total['rejected']} rejected, {total['duplicates']} duplicates"
    )
    if total["addresses"]:
        typer.echo(f"first address {total['addresses'][0]}, last {total['addresses'][-1]}")
    for rejection in total["rejections"][:20]:
        typer.echo(f"rejected: {rejection['where']}: {rejection['reason']}")
    if len(total["rejections"]) > 20:
        typer.echo(f"… and {len(total['rejections']) - 20} more: `bal rejections`")


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
        raise NotFound(message, subject=path.name, remedy="check its name and permissions") from error
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
