"""`bal audit`: the database against the ledger, both ways."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.core.errors import EXIT_NO, Invalid, Malformed, NotFound


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("audit")(audit)


def audit(
    since: Annotated[
        Path | None, typer.Option(help="Heads written by an earlier audit: finds a ledger rolled back since.")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option(help="Write the heads seen here, for the next --since.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="Peers to compare, host:port, one's own first; else all of the settings."),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(metavar="MSP", help="Organisation on Fabric whose logs must all be in this database."),
    ] = "",
    home: HomeOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Recompute every leaf from the stored rows and hold them against the ledger; exit code 1 when anything differs."""
    from bal.bootstrap.reading import audit_home
    from bal.verify.heads import heads_text, read_heads

    try:
        before = None if since is None else read_heads(_read(since))
    except Invalid as error:  # not the audit's "no"
        message = "these are no heads of an earlier audit"
        raise Malformed(message, subject="--since", remedy=error.what) from None
    report = asyncio.run(audit_home(home_at(home), before, peer or (), owner))
    if heads is not None:
        heads.write_text(heads_text(report.heads), encoding="utf-8")
    if as_json:
        print_json(report.to_json())
    else:
        for finding in report.findings:
            typer.echo(f"{finding.kind}: {finding.address}")
        verdict = "clean" if report.ok else f"{len(report.findings) + report.further} findings"
        typer.echo(
            f"{report.readings} readings in {report.batches} batches, {report.pending} pending: {verdict}"
        )
    raise typer.Exit(0 if report.ok else EXIT_NO)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"this file cannot be read ({error.strerror})"
        raise NotFound(
            message, subject=path.name, remedy="name a file that an earlier audit wrote with --heads"
        ) from error
