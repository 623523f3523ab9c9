"""`bal certificate`: the proof of one entry."""

import asyncio
import json
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("certificate")(certificate)


def certificate(
    address: Annotated[str, typer.Argument(help="Address of the entry, log:seq:index.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Print the certificate of an entry; with --json on one line without white space."""
    text = asyncio.run(_certificate(home, address))
    typer.echo(text if as_json else json.dumps(json.loads(text), indent=2))


async def _certificate(home: HomeOption, text: str) -> str:
    from bal.bootstrap.reading import open_reader
    from bal.core.address import Address

    address = Address.parse(text)
    async with open_reader(home_at(home)) as reader:
        return await reader.certificate(address)
