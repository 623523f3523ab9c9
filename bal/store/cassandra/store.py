"""The Shared Customer Database on Cassandra: one keyspace, rows never changed, batches committed by their record."""

# ruff: noqa: D102 - the port says what each method does

from collections.abc import AsyncIterator, Sequence
from typing import Self

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import StoredEntry
from bal.core.errors import StoreFailed
from bal.core.message import Receipt
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.core.stored import (
    BatchPlace,
    BatchRecord,
    ClosedLog,
    ErasureNote,
    Parked,
    ReadingQuery,
    StoredReading,
    Tile,
)
from bal.store.cassandra import auditing, erasure, queries, receipts, records, registry, tiles
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.session import Session
from bal.store.cassandra.writing import Writing
from chaincode.anchor import Anchor


class CassandraStore:
    """The `Store` port over one keyspace. Opened read-only it asks nothing that a role without rights to write may not."""

    def __init__(self, session: Session, *, read_only: bool = False) -> None:
        self.session = session
        self._writing = None if read_only else Writing(session)

    @classmethod
    async def connect(cls, access: CassandraAccess, *, read_only: bool = False) -> Self:
        """Connect; what a writer before us has sealed and not stored is stored first, unless `read_only`."""
        store = cls(await Session.connect(access), read_only=read_only)
        try:
            if store._writing is not None:
                await store._writing.settle_all()
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """End the connections."""
        await self.session.close()

    @property
    def _writer(self) -> Writing:
        if self._writing is None:
            message = "this database was opened to be read only"
            raise StoreFailed(message, remedy="open it for writing")
        return self._writing

    # --- registry
    async def record_source(self, source: Source) -> None:
        await registry.record_source(self.session, source)

    async def sources(self) -> list[Source]:
        return await registry.sources(self.session)

    async def source_history(self, name: str) -> list[Source]:
        return await registry.source_history(self.session, name)

    async def record_lane(self, lane: Lane) -> None:
        await registry.record_lane(self.session, lane)

    async def lanes(self) -> list[Lane]:
        if self._writing is not None:
            await registry.settle_lanes(self.session)
        return await registry.lanes(self.session)

    async def logs(self) -> list[str]:
        return await registry.logs(self.session)

    # --- write path
    async def receipt(self, source: str, digest: bytes) -> Receipt | None:
        found = await receipts.receipt(self.session, source, digest)
        if found is None:
            return None
        known, stamp = found
        if self._writing is not None:
            self._writing.stamp_after(stamp)  # what completes it must win over it
        return known

    async def append_batch(self, batch: SealedBatch) -> None:
        await self._writer.append(batch)

    async def record_receipts(self, receipts_: Sequence[Receipt]) -> None:
        await self.session.write_many(receipts.writes(receipts_, self._writer.stamp()))

    async def last_batch(self, log: str) -> BatchRecord | None:
        """Return the newest batch of a log. Whoever writes asks first when he takes a lane: what is left of it is stored."""
        if self._writing is not None:
            await self._writing.settle(log)
        return await records.last_batch(self.session, log)

    async def mark_anchored(self, commitments: Sequence[Commitment]) -> None:
        await records.mark_anchored(self.session, commitments)

    async def mark_published(self, log: str, seq: int) -> None:
        await records.mark_published(self.session, log, seq)

    async def unanchored(self, log: str) -> list[Anchor]:
        if self._writing is not None:
            await self._writing.settle_all(always=False)
        return await records.unanchored(self.session, log)

    async def unpublished(self, log: str) -> list[int]:
        return await records.unpublished(self.session, log)

    async def certified_batch(self, log: str, seq: int) -> CertifiedBatch:
        return await tiles.certified_batch(self.session, log, seq)

    async def forget_receipts(self, before: int) -> int:
        return await receipts.forget(self.session, before, self._writer.stamp())

    # --- parkings
    async def park(self, parked: Parked) -> None:
        await registry.park(self.session, parked)

    async def unpark(self, output: str, source: str) -> None:
        await registry.unpark(self.session, output, source)

    async def parked(self) -> list[Parked]:
        return await registry.parked(self.session)

    # --- closed logs
    async def close_log(self, log: str, reason: str, now: int) -> None:
        await registry.close_log(self.session, log, reason, now)

    async def closed_logs(self) -> list[ClosedLog]:
        return await registry.closed_logs(self.session)

    async def carry_over(self, log: str, seq: int, batch: SealedBatch) -> None:
        await self._writer.carry_over(log, seq, batch)

    # --- erasure
    async def erase(self, note: ErasureNote, lookup: bytes) -> None:
        await erasure.erase(self.session, note, lookup)

    async def repetitions(self, reading: Reading) -> list[Address]:
        return await erasure.repetitions(self.session, reading)

    async def erased_lookups(self) -> set[bytes]:
        return await erasure.lookups(self.session)

    async def erasures(self, log: str) -> list[ErasureNote]:
        return await erasure.erasures(self.session, log)

    # --- reading side
    async def batch(self, log: str, seq: int) -> BatchRecord:
        return await records.batch(self.session, log, seq)

    def batches(self, log: str, first: int = 0) -> AsyncIterator[BatchRecord]:
        return records.batches(self.session, log, first)

    async def entry(self, address: Address) -> StoredEntry:
        return await tiles.entry(self.session, address)

    async def entries(self, log: str, seq: int) -> list[StoredEntry]:
        return await tiles.entries(self.session, log, seq)

    async def strays(self) -> list[Address]:
        return await auditing.strays(self.session)

    async def loose_batches(self) -> list[BatchPlace]:
        return await auditing.loose_batches(self.session)

    async def unlisted(self, log: str, seq: int) -> list[Address]:
        return await auditing.unlisted(self.session, log, seq)

    async def tile(self, log: str, seq: int, number: int) -> Tile:
        return await tiles.tile(self.session, log, seq, number)

    async def proof_path(self, address: Address) -> list[bytes]:
        return await tiles.proof_path(self.session, address)

    def readings(self, query: ReadingQuery) -> AsyncIterator[StoredReading]:
        return queries.readings(self.session, query)
