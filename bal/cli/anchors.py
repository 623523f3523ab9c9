"""`bal anchors`: what the ledger holds."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.core.errors import Malformed, NotFound

if TYPE_CHECKING:
    from bal.reader import Reader

app = typer.Typer(help="Show the anchors the ledger holds, or export them for whoever verifies elsewhere.")


@app.callback(invoke_without_command=True)
def anchors(
    context: typer.Context,
    log: Annotated[str | None, typer.Option(help="Only this log.")] = None,
    first: Annotated[int, typer.Option("--from", min=0, help="From this sequence number on.")] = 0,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show the anchors of every log in sequence; with --json one a line."""
    if context.invoked_subcommand is None:
        asyncio.run(_show(home, log, first, as_json=as_json))
        return
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            message = f"options of {context.invoked_subcommand} stand behind it"
            raise Malformed(
                message, subject="anchors", remedy=f"see `bal anchors {context.invoked_subcommand} --help`"
            )


async def _show(home: Path, only: str | None, first: int, *, as_json: bool) -> None:
    from bal.bootstrap.reading import open_reader

    rows = []
    async with open_reader(home_at(home)) as reader:
        for log in await _logs(reader, only):
            async for commitment in reader.ledger.anchors(log, first):
                if as_json:
                    print_json({**commitment.to_json(), "hash": commitment.anchor.hash})
                else:
                    anchor = commitment.anchor
                    rows.append(
                        [
                            anchor.log,
                            str(anchor.seq),
                            str(anchor.size),
                            anchor.first,
                            anchor.last,
                            str(commitment.block),
                            commitment.time,
                            anchor.root[:16],
                        ]
                    )
    if not as_json:
        print_table(["log", "seq", "size", "first", "last", "block", "time", "root"], rows)


async def _logs(reader: "Reader", only: str | None) -> list[str]:
    known = await reader.ledger.logs()
    if only is None:
        return known
    if only not in known:
        message = "the ledger holds no such log"
        raise NotFound(message, subject="--log", remedy=f"name one of {', '.join(known)}" if known else "")
    return [only]


@app.command("export")
def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of standard output.")
    ] = None,
    log: Annotated[str | None, typer.Option(help="Only this log.")] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Write every anchor as JSON Lines, to be given to `bal verify --anchors`."""
    count, heads = asyncio.run(_export(home, output, log))
    summary = {"anchors": count, "heads": heads}
    if output is not None:
        if as_json:
            print_json(summary)
        else:
            typer.echo(f"{count} anchors written to {output}")
            for name, head in heads.items():
                typer.echo(f"head of {name}: {head['hash']} at {head['seq']}")


async def _export(
    home: Path, output: Path | None, only: str | None
) -> tuple[int, dict[str, dict[str, object]]]:
    from bal.bootstrap.reading import open_reader

    count, heads = 0, {}
    file = sys.stdout if output is None else output.open("w", encoding="utf-8")
    try:
        async with open_reader(home_at(home)) as reader:
            for log in await _logs(reader, only):
                async for commitment in reader.ledger.anchors(log):
                    file.write(json.dumps(commitment.to_json(), separators=(",", ":")) + "\n")
                    heads[log] = {"seq": commitment.anchor.seq, "hash": commitment.anchor.hash}
                    count += 1
    finally:
        if output is not None:
            file.close()
    return count, heads
