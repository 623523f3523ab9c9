"""The store of the simulation: the embedded store's own statements on a database in memory, without threads."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import StoredEntry
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
from bal.store.sqlite.schema import SCHEMA
from chaincode.anchor import Anchor


async def at_once(_kind: str) -> None:
    """Do nothing before or after."""


class SimulatedStore:
    """The port `Store`. `before` and `after` each call something may happen: time passes, an error is raised."""

    def __init__(
        self,
        before: Callable[[str], Awaitable[None]] = at_once,
        after: Callable[[str], Awaitable[None]] = at_once,
    ) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.executescript(SCHEMA)
        self.before, self.after = before, after

    async def _do(self, work: Callable[..., Any], *args: Any) -> Any:
        await self.before(work.__name__)
        self.db.execute("BEGIN")
        try:
            result = work(self.db, *args)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        await self.after(work.__name__)
        return result

    async def record_source(self, source: Source) -> None:
        await self._do(registry.record_source, source)

    async def sources(self) -> list[Source]:
        return list(await self._do(registry.sources))

    async def source_history(self, name: str) -> list[Source]:
        return list(await self._do(registry.source_history, name))

    async def record_lane(self, lane: Lane) -> None:
        await self._do(registry.record_lane, lane)

    async def lanes(self) -> list[Lane]:
        return list(await self._do(registry.lanes))

    async def logs(self) -> list[str]:
        return list(await self._do(registry.logs))

    async def receipt(self, source: str, digest: bytes) -> Receipt | None:
        found: Receipt | None = await self._do(batches.receipt, source, digest)
        return found

    async def append_batch(self, batch: SealedBatch) -> None:
        await self._do(batches.append_batch, batch)

    async def record_receipts(self, receipts: Sequence[Receipt]) -> None:
        await self._do(batches.record_receipts, receipts)

    async def last_batch(self, log: str) -> BatchRecord | None:
        found: BatchRecord | None = await self._do(batches.last_batch, log)
        return found

    async def mark_anchored(self, commitments: Sequence[Commitment]) -> None:
        await self._do(batches.mark_anchored, commitments)

    async def mark_published(self, log: str, seq: int) -> None:
        await self._do(batches.mark_published, log, seq)

    async def unanchored(self, log: str) -> list[Anchor]:
        return list(await self._do(batches.unanchored, log))

    async def unpublished(self, log: str) -> list[int]:
        return list(await self._do(batches.unpublished, log))

    async def certified_batch(self, log: str, seq: int) -> CertifiedBatch:
        found: CertifiedBatch = await self._do(batches.certified_batch, log, seq)
        return found

    async def forget_receipts(self, before: int) -> int:
        return int(await self._do(batches.forget_receipts, before))

    async def park(self, parked: Parked) -> None:
        await self._do(parking.park, parked)

    async def unpark(self, output: str, source: str) -> None:
        await self._do(parking.unpark, output, source)

    async def parked(self) -> list[Parked]:
        return list(await self._do(parking.parked))

    async def close_log(self, log: str, reason: str, now: int) -> None:
        await self._do(closing.close_log, log, reason, now)

    async def closed_logs(self) -> list[ClosedLog]:
        return list(await self._do(closing.closed_logs))

    async def carry_over(self, log: str, seq: int, batch: SealedBatch) -> None:
        await self._do(closing.carry_over, log, seq, batch)

    async def erase(self, note: ErasureNote, lookup: bytes) -> None:
        await self._do(erasure.remove, note, lookup)

    async def repetitions(self, reading: Reading) -> list[Address]:
        return list(await self._do(erasure.repetitions, reading))

    async def erased_lookups(self) -> set[bytes]:
        return set(await self._do(erasure.lookups))

    async def erasures(self, log: str) -> list[ErasureNote]:
        return list(await self._do(erasure.erasures, log))

    async def batch(self, log: str, seq: int) -> BatchRecord:
        found: BatchRecord = await self._do(batches.batch, log, seq)
        return found

    async def batches(self, log: str, first: int = 0) -> AsyncIterator[BatchRecord]:
        for record in await self._do(batches.batch_page, log, first, 1_000_000):
            yield record

    async def entry(self, address: Address) -> StoredEntry:
        found: StoredEntry = await self._do(batches.entry, address)
        return found

    async def entries(self, log: str, seq: int) -> list[StoredEntry]:
        return list(await self._do(batches.entries, log, seq))

    async def strays(self) -> list[Address]:
        return list(await self._do(batches.strays))

    async def loose_batches(self) -> list[BatchPlace]:
        return list(await self._do(batches.loose_batches))

    async def unlisted(self, log: str, seq: int) -> list[Address]:
        return list(await self._do(batches.unlisted, log, seq))

    async def tile(self, log: str, seq: int, number: int) -> Tile:
        found: Tile = await self._do(batches.tile, log, seq, number)
        return found

    async def proof_path(self, address: Address) -> list[bytes]:
        return list(await self._do(batches.proof_path, address))

    async def readings(self, query: ReadingQuery) -> AsyncIterator[StoredReading]:
        for found in await self._do(lambda db: list(readings.readings(db, query))):
            yield found
