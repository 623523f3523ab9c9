"""`bal republish`: hand certified readings to an output again, above all what it has refused."""

import asyncio
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.home import Home


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("republish")(republish)


def republish(
    source: Annotated[str, typer.Option(help="Source whose readings are handed out again.")],
    output: Annotated[
        str | None,
        typer.Option(help="To this output only: jsonl, mqtt, mqtt-flat, kafka. Else to every one."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Address from whose batch on, or time of certification; else from where an output refused.",
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", help="Address up to whose batch, or time; else all up to now."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Hand on, in order, what an output refused and was parked; then the output gets the source again.

    With --from everything from there on, parked or not: new readings wait and come last. With --to only that stretch,
    once more, while new readings go out beside it. Erased readings stay out.
    """
    answer = asyncio.run(
        _republish(home_at(home), {"source": source, "output": output, "start": start, "end": end})
    )
    if as_json:
        print_json(answer)
    else:
        for name, count in answer["batches"].items():
            typer.echo(f"{name}: {count} batches with readings of {source} handed on")


async def _republish(home: Home, body: dict[str, str | None]) -> dict[str, Any]:
    from bal.cli.control import ask, control

    home.existing()
    async with control(home) as client:
        answer: dict[str, Any] = await ask(client, "POST", "/republish", json=body)
        return answer
