"""`bal pki`: the development CA."""

from typing import Annotated, Any

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json, print_table
from bal.core.errors import NotFound

app = typer.Typer(
    help="The development CA: server and client certificates, revocation.", no_args_is_help=True
)


def _tell_broker(home: HomeOption) -> None:
    from bal.bootstrap.identities import tell_broker

    tell_broker(home_at(home))


def _authority(home: HomeOption) -> Any:
    from bal.bootstrap.identities import authority

    return authority(home_at(home).create())


@app.command("init")
def init(
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Host name or address of the server; may be given several times."),
    ] = None,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Make the CA and the server's certificate, unless they are there; new names need a new certificate."""
    ca = _authority(home)
    if name:
        ca.issue_server(tuple(name), replace=True)
    facts = {"ca": str(ca.certificate_path), "server": str(ca.server_paths[0])}
    print_json(facts) if as_json else typer.echo(f"CA {facts['ca']}\nserver {facts['server']}")


@app.command("issue")
def issue(
    name: Annotated[str, typer.Argument(help="Common name: the source or identity it is for.")],
    renew: Annotated[bool, typer.Option("--renew", help="Issue anew although there is one.")] = False,
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Issue a client certificate and its key."""
    ca = _authority(home)
    certificate, key = ca.issue_client(name, replace=renew)
    _tell_broker(home)
    facts = {"ca": str(ca.certificate_path), "certificate": str(certificate), "key": str(key)}
    if as_json:
        print_json(facts)
    else:
        for what, path in facts.items():
            typer.echo(f"{what} {path}")


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Common name, or serial number in hex.")],
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Revoke certificates; a running service refuses them at once."""
    ca = _authority(home)
    try:
        done = ca.revoke(name)
    except NotFound:
        if not any(name in {each.name, each.serial} for each in ca.list()):
            raise
        done = []  # it was done before, and the broker perhaps not told
    _tell_broker(home)
    if as_json:
        print_json({"revoked": [{"name": each.name, "serial": each.serial} for each in done]})
    else:
        for each in done:
            typer.echo(f"{each.name} {each.serial} revoked")
        if not done:
            typer.echo(f"{name} was revoked before")


@app.command("renew-crl")
def renew_crl(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Sign the revocation list anew: past its date, brokers and databases refuse everybody."""
    ca = _authority(home)
    until = ca.renew_crl()
    _tell_broker(home)
    facts = {"crl": str(ca.crl_path), "until": until.isoformat()}
    print_json(facts) if as_json else typer.echo(f"{facts['crl']} until {until:%Y-%m-%d}")


@app.command("list")
def list_certificates(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List what was issued, and what will expire soon."""
    ca = _authority(home)
    found = ca.list()
    if as_json:
        for each in found:
            times = {"not_before": each.not_before.isoformat(), "not_after": each.not_after.isoformat()}
            gone = None if each.revoked_at is None else each.revoked_at.isoformat()
            print_json(
                {"name": each.name, "kind": each.kind, "serial": each.serial, **times, "revoked_at": gone}
            )
        return
    rows = [
        [e.name, e.kind, e.serial, f"{e.not_after:%Y-%m-%d}", "revoked" if e.revoked_at else ""]
        for e in found
    ]
    print_table(["name", "kind", "serial", "until", ""], rows)
    for warning in ca.warnings():
        typer.echo(f"warning: {warning}", err=True)
