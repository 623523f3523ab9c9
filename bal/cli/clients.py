"""`bal clients`: who may use the REST gateway."""

import asyncio
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table

app = typer.Typer(help="OAuth2 clients of the REST gateway.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Client identifier.")],
    scope: Annotated[list[str], typer.Option(help="Scope it may ask for; may be given several times.")],
    source: Annotated[
        list[str] | None,
        typer.Option(help="Source it sees, * for every one; may be given several times."),
    ] = None,
    ingest_as: Annotated[
        str, typer.Option(help="Source it sends as, with the scope ingest; its one source if not given.")
    ] = "",
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Add a client; its secret is shown once."""
    body = {"name": name, "scopes": scope, "sources": source or [], "ingest_as": ingest_as}
    answer = _ask(home, "POST", "/clients", json=body)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"client {answer['client_id']} with secret {answer['client_secret']}")


@app.command("list")
def list_clients(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the clients, their scopes and sources."""
    found = _ask(home, "GET", "/clients")
    if as_json:
        for client in found:
            print_json(client)
    else:
        headings = ["name", "scopes", "sources", "ingest_as"]
        print_table(headings, [[_plain(client.get(heading)) for heading in headings] for client in found])


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Client identifier.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Revoke a client; its tokens are refused at once."""
    _ask(home, "DELETE", f"/clients/{name}")
    print_json({"revoked": name}) if as_json else typer.echo(f"client {name} revoked")


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _ask(home: HomeOption, method: str, path: str, **request: Any) -> Any:
    async def go() -> Any:
        from bal.cli.control import ask, control

        async with control(home_at(home)) as client:
            return await ask(client, method, path, **request)

    return asyncio.run(go())
