"""`bal doctor`: whether this home and this machine are fit."""

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from bal.cli.options import DEFAULT, HomeOption, JsonOption, home_at, print_json
from bal.config import Settings, load, strangers
from bal.core.errors import EXIT_NO, BalError, NotFound
from bal.home import Home

if TYPE_CHECKING:
    from bal.ports import Ledger, Store

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
    from bal.bootstrap.adapters import existing

    found = [
        Check("Python", sys.version_info >= (3, 11), sys.version.split()[0]),
        Check("SQLite", sqlite3.sqlite_version_info >= _SQLITE, sqlite3.sqlite_version),
    ]
    place = home.path if home.path.exists() else home.path.parent
    if place.exists():
        free = shutil.disk_usage(place).free
        found.append(Check("free disk", free >= _FREE_BYTES, f"{free // 1024**2} MiB"))
    try:
        settings = load(home.path)
    except BalError as error:
        found.append(Check("settings", ok=False, found=error.diagnostics()))
        return found
    ignored = f"readable; no settings: {', '.join(strangers())}" if strangers() else "readable"
    found.append(Check("settings", ok=True, found=ignored))
    try:
        existing(home, settings)
    except NotFound:
        found.append(Check("home", ok=True, found="nothing stored yet"))
        return found
    named = dict.fromkeys(
        (home.path, home.keys, home.scd, *_secrets(settings))
    )  # one key may serve at several servers
    private = [path for path in named if path.exists()]
    open_to_others = [path.name for path in private if path.stat().st_mode & 0o077]
    found.append(Check("permissions", not open_to_others, ", ".join(open_to_others) or "for the owner only"))
    found += [check async for check in _inside(home, settings)]
    return found


def _secrets(settings: Settings) -> list[Path]:
    """Return the files by which a home proves to servers who it is."""
    database, ledger, stream = settings.cassandra, settings.fabric, settings.kafka
    keys = (settings.mqtt.key, database.key, ledger.key, ledger.admin_key, stream.key, stream.admin_key)
    return [path for path in (database.password_file, *keys) if path is not None]


async def _inside(home: Home, settings: Settings) -> AsyncIterator[Check]:
    from bal.bootstrap.adapters import open_store, read_ledger
    from bal.bootstrap.identities import authority
    from bal.keys import Keys
    from bal.pki import Authority

    facts = home.announced()
    yield Check("service", ok=True, found=f"runs as process {facts['pid']}" if facts else "does not run")
    if Authority.exists(settings.pki.path or home.pki):
        warnings = authority(home, settings).warnings()
        yield Check("certificates", not warnings, "; ".join(warnings) or "in time")
    try:
        operates = home.keys.exists()  # an auditor has no key, and may not read what is its operator's affair
        if operates:
            Keys.open(home.keys, in_use=True)
        async with (
            open_store(home, settings, read_only=True) as database,
            read_ledger(home, settings) as opened,
        ):
            for log in await database.store.logs():
                yield await _log(database.store, opened.ledger, log)
            for each in await database.store.parked() if operates else ():
                found = f"{each.source} is parked from {each.log}:{each.seq} on; `bal republish --source {each.source}`"
                yield Check(f"output {each.output}", ok=False, found=found)
    except BalError as error:
        yield Check("database and ledger", ok=False, found=error.diagnostics())


async def _log(store: "Store", ledger: "Ledger", log: str) -> Check:
    """Hold the head of a log against the ledger; a service may anchor meanwhile, so the head is read in between."""
    before, behind = await store.last_batch(log), await store.unanchored(log)
    head = await ledger.head(log)
    after = await store.last_batch(log)
    stored = -1 if after is None else after.anchor.seq
    anchored = -1 if head is None else head.anchor.seq
    confirmed = (-1 if before is None else before.anchor.seq) - len(behind)
    found = f"{stored + 1} batches stored, {anchored + 1} anchored"
    return Check(f"log {log}", confirmed <= anchored <= stored, found)
