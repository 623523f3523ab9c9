"""`bal sources`: who may send, and how their documents are read."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table

app = typer.Typer(help="Register, change, list, suspend and resume sources.", no_args_is_help=True)


@app.command("add")
def add(  # noqa: PLR0917 - one parameter an option
    name: Annotated[str, typer.Argument(help="Name of the source: a-z, 0-9, '-'.")],
    lane: Annotated[str | None, typer.Option(help="Lane its messages go through.")] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(help="Certificate or user name that may send as it; its own name if none is given."),
    ] = None,
    point_from: Annotated[
        str | None, typer.Option(help="usage-point or meter: what a measuring point is named by.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="IANA zone in which times without an offset are read.")
    ] = None,
    reader: Annotated[
        list[str] | None, typer.Option(help="Identity that may subscribe to its certified topics.")
    ] = None,
    output: Annotated[
        list[str] | None, typer.Option(help="jsonl, mqtt, mqtt-flat, kafka; may be given several times.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="JSON file with its quality rules.")] = None,
    topics: Annotated[
        Path | None, typer.Option(help="JSON file with a list of foreign topics that are its own.")
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Register a source, or change what is given of its registration."""
    given: dict[str, Any] = {
        "lane": lane,
        "identities": identity,
        "point_from": point_from,
        "time_zone": time_zone,
        "readers": reader,
        "outputs": output,
        "rules": _file(rules),
        "topics": _file(topics),
    }
    from bal.cli.control import check_in_force

    body = {"name": name, **{key: value for key, value in given.items() if value is not None}}
    answer = _ask(home, "POST", "/sources", json=body)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"source {answer['name']} on lane {answer['lane']} registered")
    check_in_force(answer)


@app.command("list")
def list_sources(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the sources."""
    found = asyncio.run(_sources(home))
    if as_json:
        for source in found:
            print_json(source)
    else:
        headings = ["name", "lane", "identities", "outputs", "suspended"]
        print_table(headings, [[str(_plain(source[heading])) for heading in headings] for source in found])


@app.command("suspend")
def suspend(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    why: Annotated[str, typer.Option(help="Reason; it stands on the ledger, so name no person.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Suspend a source: nothing more is accepted from it."""
    _say(_ask(home, "POST", f"/sources/{name}/suspend", json={"why": why}), "suspended", as_json=as_json)


@app.command("resume")
def resume(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    why: Annotated[str, typer.Option(help="Reason; it stands on the ledger, so name no person.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Lift a suspension."""
    _say(_ask(home, "POST", f"/sources/{name}/resume", json={"why": why}), "resumed", as_json=as_json)


def _say(answer: dict[str, Any], done: str, *, as_json: bool) -> None:
    from bal.cli.control import check_in_force

    print_json(answer) if as_json else typer.echo(f"source {answer['name']} {done}")
    check_in_force(answer)


def _plain(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _file(path: Path | None) -> Any:
    from bal.cli.control import read_json
    from bal.core.errors import NotFound

    if path is None:
        return None
    try:
        return read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"this file cannot be opened ({error.strerror})"
        raise NotFound(message, subject=path.name) from error


def _ask(home: Path, method: str, path: str, **request: Any) -> Any:
    async def go() -> Any:
        from bal.cli.control import ask, control

        async with control(home_at(home)) as client:
            return await ask(client, method, path, **request)

    return asyncio.run(go())


async def _sources(home: Path) -> list[dict[str, Any]]:
    from bal.bootstrap.reading import open_reader

    async with open_reader(home_at(home)) as reader:
        return [source.model_dump(mode="json") for source in await reader.store.sources()]
