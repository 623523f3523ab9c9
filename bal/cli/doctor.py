"""`bal doctor`: whether this home and this machine are fit."""

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from typing import NamedTuple

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.config import load, strangers
from bal.core.errors import EXIT_NO, BalError
from bal.home import Home

_FREE_BYTES = 1024**3
_SQLITE = (3, 37, 0)


class Check(NamedTuple):
    """One thing looked at."""

    what: str
    ok: bool
    found: str


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def doctor(home: HomeOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Look at machine and home: versions, disk, permissions, certificates, database against ledger. Exit code 1 when something is amiss."""
    checks = asyncio.run(_checks(home_at(home)))
    for check in checks:
        if as_json:
            print_json(check._asdict())
        else:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.what}: {check.found}")
    raise typer.Exit(0 if all(check.ok for check in checks) else EXIT_NO)


async def _checks(home: Home) -> list[Check]:
    found = [
        Check("Python", sys.version_info >= (3, 11), sys.version.split()[0]),
        Check("SQLite", sqlite3.sqlite_version_info >= _SQLITE, sqlite3.sqlite_version),
    ]
    place = home.path if home.path.exists() else home.path.parent
    if place.exists():
        free = shutil.disk_usage(place).free
        found.append(Check("free disk", free >= _FREE_BYTES, f"{free // 1024**2} MiB"))
    try:
        load(home.path)
        ignored = f"readable; no settings: {', '.join(strangers())}" if strangers() else "readable"
        found.append(Check("settings", ok=True, found=ignored))
    except BalError as error:
        found.append(Check("settings", ok=False, found=error.diagnostics()))
    if not home.scd.exists():
        found.append(Check("home", ok=True, found="nothing stored yet"))
        return found
    private = [path for path in (home.path, home.keys, home.scd) if path.exists()]
    open_to_others = [path.name for path in private if path.stat().st_mode & 0o077]
    found.append(Check("permissions", not open_to_others, ", ".join(open_to_others) or "for the owner only"))
    found += [check async for check in _inside(home)]
    return found


async def _inside(home: Home) -> AsyncIterator[Check]:
    from bal.bootstrap.identities import authority
    from bal.bootstrap.reading import open_reader
    from bal.pki import Authority

    facts = home.announced()
    yield Check("service", ok=True, found=f"runs as process {facts['pid']}" if facts else "does not run")
    if Authority.exists(home.pki):
        warnings = authority(home).warnings()
        yield Check("certificates", not warnings, "; ".join(warnings) or "in time")
    try:
        async with open_reader(home) as reader:
            for log in await reader.store.logs():
                last, head = await reader.store.last_batch(log), await reader.ledger.head(log)
                stored = -1 if last is None else last.anchor.seq
                anchored = -1 if head is None else head.anchor.seq
                behind = await reader.store.unanchored(log)
                fits = stored - len(behind) <= anchored <= stored
                yield Check(f"log {log}", fits, f"{stored + 1} batches stored, {anchored + 1} anchored")
            for each in await reader.store.parked():
                found = f"{each.source} is parked from {each.log}:{each.seq} on; `bal republish --source {each.source}`"
                yield Check(f"output {each.output}", ok=False, found=found)
    except BalError as error:
        yield Check("database and ledger", ok=False, found=error.diagnostics())
