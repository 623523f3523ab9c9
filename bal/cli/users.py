"""`bal users`: who may come to the field broker with a password instead of a certificate."""

import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.core.errors import Malformed

app = typer.Typer(
    help="Users of the field broker that have a password instead of a certificate.", no_args_is_help=True
)


def _accounts(home: HomeOption) -> Any:
    from bal.bootstrap.identities import users

    return users(home_at(home).create())


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="User name: the source or identity it sends as.")],
    password_file: Annotated[
        Path | None,
        typer.Option(help="File with the password, '-' for standard input; one is made if not given."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Add a user, or give it a new password; a made password is shown once."""
    given = None if password_file is None else _read(password_file)
    password = given or secrets.token_urlsafe(24)
    _accounts(home).put(name, password)
    facts = {"name": name, **({} if given else {"password": password})}
    if as_json:
        print_json(facts)
    else:
        typer.echo(f"user {name}" + ("" if given else f" with password {password}"))


def _read(path: Path) -> str:
    try:
        password = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).strip()
    except UnicodeDecodeError:
        password = ""
    if not password:
        message = "there is no password in this file"
        raise Malformed(
            message, subject="--password-file", remedy="write one into it, or leave the option out"
        )
    return password


@app.command("list")
def list_users(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the users."""
    for name in _accounts(home).names():
        print_json({"name": name}) if as_json else typer.echo(name)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="User name.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Remove a user; a running service ends its connections."""
    _accounts(home).remove(name)
    print_json({"removed": name}) if as_json else typer.echo(f"user {name} removed")
