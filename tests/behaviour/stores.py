"""Stores to run the behaviour suite over, and what puts rows into them. An adapter joins by a world of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from bal.core.batch import SealedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.source import Lane
from bal.ports import ReadingQuery, Store, StoredReading
from bal.store.sqlite import SqliteStore
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


WORLDS = {"sqlite": SqliteWorld}


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
