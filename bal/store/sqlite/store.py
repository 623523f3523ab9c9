"""The embedded Shared Customer Database: SQLite, durable on every commit, rows never changed."""

# ruff: noqa: D102 - the port says what each method does

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import StoredEntry
from bal.core.errors import StoreFailed
from bal.core.message import Receipt
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.ports import (
    BatchPlace,
    BatchRecord,
    ClosedLog,
    ErasureNote,
    Parked,
    ReadingQuery,
    StoredReading,
    Tile,
)
from bal.store.sqlite import batches, closing, erasure, parking, readings, registry
from bal.store.sqlite.connection import Connections
from bal.store.sqlite.schema import PRAGMAS, SCHEMA
from chaincode.anchor import Anchor

PAGE = 256
PAGE_MAX = 8192
"""Pages of one answer grow up to this, since each reads again what is left of its bucket."""
_SCRUB_ATTEMPTS = 50
_SCRUB_PAUSE = 0.2


class SqliteStore:
    """The `Store` port over one SQLite file. Opened read-only it serves the reading verbs beside a running service."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._db = Connections(
            path, schema=SCHEMA, pragmas=PRAGMAS, read_only=read_only, prepare=erasure.finish
        )

    async def close(self) -> None:
        """Close the file."""
        await self._db.close()

    # --- registry
    async def record_source(self, source: Source) -> None:
        await self._db.write(registry.record_source, source)

    async def sources(self) -> list[Source]:
        return await self._db.read(registry.sources)

    async def source_history(self, name: str) -> list[Source]:
        return await self._db.read(registry.source_history, name)

    async def record_lane(self, lane: Lane) -> None:
        await self._db.write(registry.record_lane, lane)

    async def lanes(self) -> list[Lane]:
        return await self._db.read(registry.lanes)

    async def logs(self) -> list[str]:
        return await self._db.read(registry.logs)

    # --- write path
    async def receipt(self, source: str, digest: bytes) -> Receipt | None:
        return await self._db.read(batches.receipt, source, digest)

    async def append_batch(self, batch: SealedBatch) -> None:
        await self._db.write(batches.append_batch, batch)

    async def record_receipts(self, receipts: Sequence[Receipt]) -> None:
        await self._db.write(batches.record_receipts, receipts)

    async def last_batch(self, log: str) -> BatchRecord | None:
        return await self._db.read(batches.last_batch, log)

    async def mark_anchored(self, commitments: Sequence[Commitment]) -> None:
        await self._db.write(batches.mark_anchored, commitments)

    async def mark_published(self, log: str, seq: int) -> None:
        await self._db.write(batches.mark_published, log, seq)

    async def unanchored(self, log: str) -> list[Anchor]:
        return await self._db.read(batches.unanchored, log)

    async def unpublished(self, log: str) -> list[int]:
        return await self._db.read(batches.unpublished, log)

    async def certified_batch(self, log: str, seq: int) -> CertifiedBatch:
        return await self._db.read(batches.certified_batch, log, seq)

    async def forget_receipts(self, before: int) -> int:
        return await self._db.write(batches.forget_receipts, before)

    # --- parkings
    async def park(self, parked: Parked) -> None:
        await self._db.write(parking.park, parked)

    async def unpark(self, output: str, source: str) -> None:
        await self._db.write(parking.unpark, output, source)

    async def parked(self) -> list[Parked]:
        return await self._db.read(parking.parked)

    # --- closed logs
    async def close_log(self, log: str, reason: str, now: int) -> None:
        await self._db.write(closing.close_log, log, reason, now)

    async def closed_logs(self) -> list[ClosedLog]:
        return await self._db.read(closing.closed_logs)

    async def carry_over(self, log: str, seq: int, batch: SealedBatch) -> None:
        await self._db.write(closing.carry_over, log, seq, batch)

    # --- erasure
    async def erase(self, note: ErasureNote, lookup: bytes) -> None:
        traces = await self._db.write(erasure.remove, note, lookup)
        for attempt in range(_SCRUB_ATTEMPTS):
            try:
                if traces != []:
                    await self._db.write_outside(erasure.scrub, self.path, note.target, traces)
            except StoreFailed:
                if attempt == _SCRUB_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_SCRUB_PAUSE)
            else:
                return

    async def repetitions(self, reading: Reading) -> list[Address]:
        return await self._db.read(erasure.repetitions, reading)

    async def erased_lookups(self) -> set[bytes]:
        return await self._db.read(erasure.lookups)

    async def erasures(self, log: str) -> list[ErasureNote]:
        return await self._db.read(erasure.erasures, log)

    # --- reading side
    async def batch(self, log: str, seq: int) -> BatchRecord:
        return await self._db.read(batches.batch, log, seq)

    async def batches(self, log: str, first: int = 0) -> AsyncIterator[BatchRecord]:
        while page := await self._db.read(batches.batch_page, log, first, PAGE):
            for record in page:
                yield record
            first = page[-1].anchor.seq + 1

    async def entry(self, address: Address) -> StoredEntry:
        return await self._db.read(batches.entry, address)

    async def entries(self, log: str, seq: int) -> list[StoredEntry]:
        return await self._db.read(batches.entries, log, seq)

    async def strays(self) -> list[Address]:
        return await self._db.read(batches.strays)

    async def loose_batches(self) -> list[BatchPlace]:
        return await self._db.read(batches.loose_batches)

    async def unlisted(self, log: str, seq: int) -> list[Address]:
        return await self._db.read(batches.unlisted, log, seq)

    async def tile(self, log: str, seq: int, number: int) -> Tile:
        return await self._db.read(batches.tile, log, seq, number)

    async def proof_path(self, address: Address) -> list[bytes]:
        return await self._db.read(batches.proof_path, address)

    async def readings(self, query: ReadingQuery) -> AsyncIterator[StoredReading]:
        """Yield readings, a page at a time; each page is read anew from where the one before ended."""
        left, size = query.limit, PAGE
        while left is None or left > 0:
            count = size if left is None else min(size, left)
            page = await self._db.read(_reading_page, query._replace(limit=count))
            for found in page:
                yield found
            if len(page) < count:
                return
            query = query._replace(after=page[-1].position)
            left = None if left is None else left - len(page)
            size = min(2 * size, PAGE_MAX)


def _reading_page(db: sqlite3.Connection, query: ReadingQuery) -> list[StoredReading]:
    found: Iterator[StoredReading] = readings.readings(db, query)
    return list(islice(found, query.limit))
