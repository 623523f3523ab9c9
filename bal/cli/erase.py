"""`bal erase`: remove a reading beyond recovery, leaving an anchored note."""

import asyncio
import getpass
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.home import Home


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("erase")(erase)


def erase(
    address: Annotated[str, typer.Argument(help="Address of the reading, log:seq:index.")],
    why: Annotated[str, typer.Option(help="Reason; it stands in the anchored note, so name no person.")],
    who: Annotated[str | None, typer.Option(help="Who erases; the user's name if not given.")] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Erase a reading: value and salt leave every file of the home; what remains is an anchored note."""
    answer = asyncio.run(
        _erase(home_at(home), {"address": address, "who": who or getpass.getuser(), "why": why})
    )
    print_json(answer) if as_json else typer.echo(f"{address} erased; noted at {answer['noted_at']}")


async def _erase(home: Home, body: dict[str, str]) -> dict[str, str]:
    from bal.cli.control import ask, control

    home.existing()
    async with control(home) as client:
        answer: dict[str, str] = await ask(client, "POST", "/erase", json=body)
        return answer
