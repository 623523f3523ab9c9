"""Stores to run the behaviour suite over, and what puts rows into them. An adapter joins by a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import pytest

from bal.core.batch import SealedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.source import Lane
from bal.ports import ReadingQuery, Store, StoredReading
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.session import Session
from bal.store.cassandra.store import CassandraStore
from bal.store.sqlite import SqliteStore
from tests.cassandra_field import admitted
from tests.real import Real
from tests.unit.store.rows import batch, committed


class World(Protocol):
    """A store that can be closed and opened again."""

    @property
    def store(self) -> Store:
        """The store as the pipeline has it."""

    async def reopen(self) -> None:
        """Close everything and connect again."""

    async def close(self) -> None:
        """End it."""


class SqliteWorld:
    """The embedded store in a folder."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "scd.sqlite"
        self.store = SqliteStore(self.path)

    async def reopen(self) -> None:
        await self.store.close()
        self.store = SqliteStore(self.path)

    async def close(self) -> None:
        await self.store.close()


class CassandraWorld:
    """A keyspace of the real Cassandra, emptied."""

    def __init__(self, access: CassandraAccess, store: CassandraStore) -> None:
        self.access = access
        self.store = store

    @classmethod
    async def open(cls, real: Real, name: str = "storing-bal") -> Self:
        access = admitted(real, name)
        session = await Session.connect(access)
        try:
            await empty(session)
        except BaseException:
            await session.close()
            raise
        return cls(access, CassandraStore(session))  # there is nothing to settle

    async def reopen(self) -> None:
        await self.store.close()
        self.store = await CassandraStore.connect(self.access)

    def follow(self) -> None:
        """Go on as a worker that knows nothing of the one before, over the same connections."""
        self.store = CassandraStore(self.store.session)

    async def close(self) -> None:
        await self.store.close()


_OF_BATCHES = {"batches", "readings", "tiles", "slot_tiles", "erasures"}


async def empty(session: Session) -> None:
    """Empty every table of a keyspace but those of the migrations.

    Rows of a batch are written with the earliest of timestamps, payloads deleted with the last: new ones would stay under
    what deleted others of their key. Their tables are truncated, which takes a second each, the others deleted from.
    """
    keys: dict[str, list[tuple[int, str]]] = {}
    for table, name, place in await session.all(
        "SELECT table_name, column_name, position FROM system_schema.columns WHERE keyspace_name = ?"
        " AND kind = 'partition_key' ALLOW FILTERING",
        (session.access.keyspace,),
    ):
        keys.setdefault(table, []).append((place, name))

    async def clear(table: str) -> None:
        names = [name for _, name in sorted(keys[table])]
        rows = await session.all(f"SELECT DISTINCT {', '.join(names)} FROM {table}")
        if rows and table in _OF_BATCHES:
            await session.define(f"TRUNCATE {table}")
        elif rows:
            same = " AND ".join(f"{name} = ?" for name in names)
            await session.write_many((f"DELETE FROM {table} WHERE {same}", row) for row in rows)

    await asyncio.gather(*(clear(table) for table in keys if not table.startswith("migration")))


async def opened(engine: str, directory: Path, real: Callable[[], Real]) -> World:
    """Return an empty world; `real` is asked for where a server is needed."""
    return SqliteWorld(directory) if engine == "sqlite" else await CassandraWorld.open(real())


WORLDS: list[Any] = ["sqlite", pytest.param("cassandra", marks=pytest.mark.real)]


async def put(store: Store, *contents: Sequence[Entry], log: str = "bal-1") -> list[SealedBatch]:
    """Append batches to the end of a log that is opened when it is new."""
    if log not in await store.logs():
        await store.record_lane(Lane(log, log, 1))
    last = await store.last_batch(log)
    previous = last.anchor if last else None
    done = []
    for entries in contents:
        done.append(batch(entries, previous, log=log))
        previous = done[-1].anchor
        await store.append_batch(done[-1])
    return done


async def anchor(store: Store, *batches: SealedBatch) -> list[Commitment]:
    """Mark batches anchored."""
    commitments = [committed(each.anchor) for each in batches]
    await store.mark_anchored(commitments)
    return commitments


async def answer(store: Store, source: str = "dso-a", **asked: Any) -> list[StoredReading]:
    """Return all that a query yields."""
    query = ReadingQuery(source, **asked)
    return [found async for found in store.readings(query)]
