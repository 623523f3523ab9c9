"""Numbered migrations of a keyspace: each applied once, by one at a time, and never changed afterwards."""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bal.core.errors import Misconfigured, StoreFailed, StoreUnavailable, Unavailable
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.scripts import Migration, read_migrations
from bal.store.cassandra.session import Row, Session

ONE_NODE: Final = {"class": "SimpleStrategy", "replication_factor": "1"}
APPLIED, PENDING, ALTERED, UNKNOWN = "applied", "pending", "altered", "unknown"
_TABLES: Final = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?"
_KEYSPACE: Final = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?"
_DONE: Final = "SELECT number, title, checksum FROM migrations"
_RECORD: Final = "INSERT INTO migrations (number, title, checksum, applied_at) VALUES (?, ?, ?, ?)"
_LOCK: Final = "INSERT INTO migration_lock (id, holder) VALUES (0, ?) IF NOT EXISTS USING TTL ?"
_KEEP: Final = "UPDATE migration_lock USING TTL ? SET holder = ? WHERE id = 0 IF holder = ?"
_UNLOCK: Final = "DELETE FROM migration_lock WHERE id = 0 IF holder = ?"
_LOCK_SECONDS: Final = 120
_WAIT_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.5
_LISTED_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """How one migration stands in a keyspace."""

    name: str
    state: str
    """`applied`, `pending`, `altered` (its file is not the one that was applied), `unknown` (of a newer release)."""


async def migrate(access: CassandraAccess, folder: Path, replication: Mapping[str, str]) -> list[str]:
    """Make the keyspace of an access unless it is there and apply what is pending; return what was applied, by name.

    Two at a time do not clash: the second waits and finds it done. Only the keyspace itself and the table of the lock are
    made before there is a lock: on several nodes let one make them. One that is interrupted is applied again by the next, so
    every statement of a migration must bear that (`IF NOT EXISTS`). `Misconfigured` when one that was applied has been
    altered since, or the keyspace is of a newer release; `StoreFailed` names the statement that was refused.
    """
    migrations = read_migrations(folder)
    session = await Session.connect(replace(access, keyspace=""))
    try:
        options = ", ".join(f"'{name}': '{value}'" for name, value in replication.items())
        if await session.one(_KEYSPACE, (access.keyspace,)) is None:
            await session.define(
                f"CREATE KEYSPACE IF NOT EXISTS {access.keyspace} WITH replication = {{{options}}}"
            )
    finally:
        await session.close()
    session = await Session.connect(access)
    try:
        if not _pending(await standings(session, migrations)):
            return []
        if await session.one(_TABLES, (access.keyspace, "migration_lock")) is None:
            await _apply(session, migrations[0], None)
        holder = secrets.token_hex(16)
        await _lock(session, holder)
        try:
            return await _migrate(session, migrations, holder)
        finally:
            await session.apply(_UNLOCK, (holder,))
    finally:
        await session.close()


async def status(access: CassandraAccess, folder: Path) -> list[Standing]:
    """Return how every migration stands, by number. All are pending where there is no keyspace."""
    session = await Session.connect(access)
    try:
        return await standings(session, read_migrations(folder))
    finally:
        await session.close()


async def check_current(session: Session, folder: Path) -> None:
    """Raise `Misconfigured` unless exactly the migrations of this release were applied to the session's keyspace."""
    if _pending(await standings(session, read_migrations(folder))):
        message = "the tables of this keyspace are of an older release"
        raise Misconfigured(message, subject=session.access.keyspace, remedy="run `bal scd migrate`")


async def standings(session: Session, migrations: Sequence[Migration]) -> list[Standing]:
    """Return how every migration stands in the session's keyspace."""
    done: dict[int, tuple[str, str]] = {}
    if await session.one(_TABLES, (session.access.keyspace, "migrations")) is not None:
        done = {number: (title, checksum) for number, title, checksum in await _done(session)}
    found = []
    for migration in migrations:
        applied = done.pop(migration.number, None)
        same = applied == (migration.title, migration.checksum)
        found.append(Standing(migration.name, PENDING if applied is None else APPLIED if same else ALTERED))
    return found + [Standing(f"{number:04}-{title}", UNKNOWN) for number, (title, _) in sorted(done.items())]


async def _done(session: Session) -> list[Row]:
    """Return the rows of `migrations`. A table that is being made is listed a moment before it can be read."""
    for _ in range(_LISTED_TRIES):
        try:
            return await session.all(_DONE)
        except StoreUnavailable:
            raise
        except StoreFailed:
            await asyncio.sleep(_POLL_SECONDS)
    return await session.all(_DONE)


def _pending(found: Sequence[Standing]) -> bool:
    """Tell whether there is work. `Misconfigured` when it must not be done."""
    for each in found:
        if each.state == ALTERED:
            message = "this migration was applied and its file altered afterwards"
            raise Misconfigured(message, subject=each.name, remedy="put the file back; write a new migration")
        if each.state == UNKNOWN:
            message = "this keyspace is of a newer release"
            raise Misconfigured(message, subject=each.name, remedy="use that release")
    return any(each.state == PENDING for each in found)


async def _migrate(session: Session, migrations: Sequence[Migration], holder: str) -> list[str]:
    found = await standings(session, migrations)
    if not _pending(found):
        return []
    applied = []
    for migration, standing in zip(migrations, found, strict=True):
        if standing.state != PENDING:
            continue
        await _apply(session, migration, holder)
        now = time.time_ns() // 1000
        await session.write(_RECORD, (migration.number, migration.title, migration.checksum, now))
        applied.append(migration.name)
    return applied


async def _apply(session: Session, migration: Migration, holder: str | None) -> None:
    """Run the statements, keeping the lock of `holder` on before each: one may take up to a minute on a cluster."""
    for number, statement in enumerate(migration.statements, 1):
        if holder is not None:
            await _keep(session, migration, holder)
        try:
            await session.define(statement, explain=True)
        except StoreFailed as error:
            raise type(error)(
                f"statement {number}: {error.what}", subject=migration.name, remedy=error.remedy
            ) from None


async def _keep(session: Session, migration: Migration, holder: str) -> None:
    kept, _ = await session.apply(_KEEP, (_LOCK_SECONDS, holder, holder))
    if not kept:
        message = "another migrates this keyspace now"
        raise Unavailable(message, subject=migration.name, remedy="wait for it, then run it again")


async def _lock(session: Session, holder: str) -> None:
    end, tries = time.monotonic() + _WAIT_SECONDS, _LISTED_TRIES
    while True:
        locked, standing = False, ()
        try:
            locked, standing = await session.apply(_LOCK, (holder, _LOCK_SECONDS))
        except StoreUnavailable:
            row = await session.one("SELECT holder FROM migration_lock WHERE id = 0", serial=True)
            locked = row is not None and row[0] == holder
        except StoreFailed:  # like `migrations`, the table of the lock is listed a moment before it is there
            tries -= 1
            if not tries:
                raise
        if locked or holder in standing:
            return
        if time.monotonic() > end:
            message = "another migrates this keyspace and does not end"
            raise Unavailable(message, subject=session.access.keyspace, remedy="look for it, then try again")
        await asyncio.sleep(_POLL_SECONDS)
