"""`bal scd`: the tables of the Shared Customer Database on Cassandra."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.core.errors import EXIT_NO

app = typer.Typer(
    help="The tables of the Shared Customer Database on Cassandra: numbered migrations.", no_args_is_help=True
)

RoleOption = Annotated[
    str | None,
    typer.Option(
        "--role", help="Role to log in as instead of the home's; migrating needs one that may make tables."
    ),
]
PasswordOption = Annotated[
    Path | None, typer.Option("--password-file", help="File with the role's password instead of the home's.")
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", help="Client certificate instead of the home's, PEM.")
]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Key of that certificate, PEM.")]


@app.command("migrate")
def migrate(
    role: RoleOption = None,
    password_file: PasswordOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, max=9, help="Replicas of a keyspace that is made now.")
    ] = 3,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Make the keyspace unless it is there, and apply the migrations it lacks; several at a time do not clash."""
    from bal.bootstrap import scd

    login = scd.Login(role, password_file, certificate, key)
    applied = asyncio.run(scd.migrate(_settings(home), login, replicas))
    if as_json:
        print_json({"applied": applied})
    else:
        typer.echo("\n".join(f"{name} applied" for name in applied) or "nothing to apply")


@app.command("status")
def status(
    role: RoleOption = None,
    password_file: PasswordOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Say which migrations were applied. Exit code 1 unless they are exactly those of this release."""
    from bal.bootstrap import scd

    found = asyncio.run(scd.status(_settings(home), scd.Login(role, password_file, certificate, key)))
    if as_json:
        for each in found:
            print_json({"migration": each.name, "state": each.state})
    else:
        print_table(["migration", "state"], [[each.name, each.state] for each in found])
    if any(each.state != "applied" for each in found):
        raise typer.Exit(EXIT_NO)


def _settings(home: Path) -> Any:
    from bal.config import load

    return load(home_at(home).path)
