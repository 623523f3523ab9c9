"""`bal readings`: what is certified, newest first."""

import asyncio
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.home import Home
from bal.ports import ReadingQuery


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("readings")(readings)


def readings(  # noqa: PLR0917 - one parameter an option
    source: Annotated[str, typer.Option(help="Source whose readings are shown.")],
    point: Annotated[str | None, typer.Option(help="Only this measuring point (pseudonym).")] = None,
    meter: Annotated[
        str | None, typer.Option(help="Only this meter, usage point or device, by its plain identifier.")
    ] = None,
    quantity: Annotated[
        str | None, typer.Option(help="Only this quantity, for example activeEnergy.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="From this time on (ISO 8601 with offset).")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this time.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Every revision, oldest first.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show certified readings, newest first; with --json one entry and its address a line."""
    from bal.core.instant import read_instant

    query = ReadingQuery(
        source=source,
        point=point,
        quantity=quantity,
        start=None if start is None else read_instant(start),
        end=None if end is None else read_instant(end),
        history=history,
        anchored_only=True,
        limit=limit,
    )
    asyncio.run(_show(home_at(home), query, meter, as_json=as_json))


async def _show(home: Home, query: ReadingQuery, meter: str | None, *, as_json: bool) -> None:
    from bal.bootstrap.reading import open_reader
    from bal.core.entry import to_json
    from bal.core.instant import instant_text

    rows: list[list[str]] = []
    async with open_reader(home) as reader:
        await reader.registered(query.source)
        points = [query.point]
        if meter is not None:
            known = reader.pseudonyms(query.source, meter)
            points = [point for point in known if query.point in {None, point}]
        left = query.limit
        for point in points:
            async for found in reader.store.readings(query._replace(point=point, limit=left)):
                entry = found.reading
                if as_json:
                    print_json({**to_json(entry), "address": str(found.address)})
                else:
                    rows.append(
                        [
                            instant_text(entry.timestamp),
                            entry.point,
                            entry.component,
                            entry.quantity,
                            entry.phase,
                            entry.value,
                            entry.unit,
                            entry.quality,
                            str(found.address),
                        ]
                    )
                left = None if left is None else left - 1
            if left == 0:
                break
    if not as_json:
        headings = ["time", "point", "component", "quantity", "phase", "value", "unit", "quality", "address"]
        print_table(headings, rows)
