"""`bal demo`: the whole way of a reading in a minute, on this machine, with nothing but Python."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bal.cli.options import JsonOption, home_at, print_json
from bal.cli.stack import DirOption, layout_at
from bal.core.errors import Misconfigured

if TYPE_CHECKING:
    from bal.cli.demonstration.world import World
    from bal.home import Home


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("demo")(demo)


def demo(
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long the field sends.")] = 15,
    meters: Annotated[
        int, typer.Option(min=1, max=10_000, help="Meters whose quarter hours a data server sends.")
    ] = 200,
    pmus: Annotated[
        int, typer.Option(min=0, max=20, help="Phasor measurement units, 10 frames a second each.")
    ] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the home for a look around.")] = False,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Home to make; a temporary one if not given.", show_default=False),
    ] = None,
    stack: Annotated[
        bool,
        typer.Option(
            "--stack",
            help="On the real servers of a stack, which is started unless it runs; see `bal stack`.",
        ),
    ] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send, certify, verify, tamper, find out. Exit code 0 only when all of that happened."""
    from bal.cli.demonstration.show import Demonstration
    from bal.cli.demonstration.world import Failed

    folder = home if home is not None else Path(tempfile.mkdtemp(prefix="bal-demo-"))
    place = folder if keep or home is not None else Path("bal-demo")
    world = _world(home_at(folder), directory, stack=stack)
    show = Demonstration(world, place, seconds=seconds, meters=meters, pmus=pmus, quiet=as_json)
    try:
        report = asyncio.run(show.run(clean=not keep and home is None))
    except Failed as error:
        typer.echo(f"bal: the demonstration failed: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        if not keep and home is None:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(report)
    elif keep or home is not None:
        typer.echo(f"\nThe home is {folder}; look around:")
        for verb in (f"readings --source {world.dso} --limit 5", "anchors", "audit", "doctor"):
            typer.echo(f"  bal {verb} --home {folder}")


def _world(home: "Home", directory: Path | None, *, stack: bool) -> "World":
    if not stack:
        from bal.cli.demonstration.embedded import Embedded

        return Embedded(home)
    try:
        from bal.cli.demonstration.stack import OnStack
    except ModuleNotFoundError as error:
        message = f"the Python library {error.name} is not installed"
        raise Misconfigured(message, subject="stack", remedy="pip install 'bal[stack]'") from error
    return OnStack(home, layout_at(directory))
