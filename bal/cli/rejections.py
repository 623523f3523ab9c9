"""`bal rejections`: what was refused, and its bytes for the operator."""

import asyncio
import sys
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("rejections")(rejections)


def rejections(
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only what came after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    open_id: Annotated[
        int | None, typer.Option("--open", help="Write the refused bytes of this number to standard output.")
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show what is in quarantine and why; --open decrypts one with the operator's key."""
    asyncio.run(_show(home, source, after, limit, open_id, as_json=as_json))


async def _show(
    home: HomeOption, source: str | None, after: int, limit: int, open_id: int | None, *, as_json: bool
) -> None:
    from bal.bootstrap.reading import open_quarantine
    from bal.core.instant import instant_text

    async with open_quarantine(home_at(home)) as quarantine:
        if open_id is not None:
            sys.stdout.buffer.write((await quarantine.open(open_id)).fragment or b"")
            return
        found = await quarantine.refusals(source, after, limit)
    if as_json:
        for each in found:
            print_json(each.to_json())
    else:
        rows = [[str(e.id), instant_text(e.quarantined_at), e.source, e.reason, e.where] for e in found]
        print_table(["id", "time", "source", "reason", "where"], rows)
