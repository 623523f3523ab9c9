"""The order in which a batch is written, so that it is there as one thing or not at all, whenever this process dies.

1. The batch's record, inserted IF NOT EXISTS, with all that its rows are written from: the commit.
2. Rows, tiles, lists, receipts: written from the record, again after a crash, which changes nothing.
3. The mark `stored`; the record's payload goes.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from bal.core.batch import SealedBatch
from bal.core.entry import Entry
from bal.core.entry import leaves as leaves_of
from bal.core.errors import Conflict, Invalid, LaneLost, StoreUnavailable
from bal.core.limits import TILE_LEAVES
from bal.core.message import Receipt
from bal.core.stored import BatchPlace
from bal.store.cassandra import receipts, records, registry, rows
from bal.store.cassandra.encoding import decode_payload, decode_tile, encode_payload, encode_tiles
from bal.store.cassandra.records import CHUNK, MOVED, STORED, anchor_text, mark
from bal.store.cassandra.session import Session
from chaincode.merkle import root, tile_roots

_CHUNK_THERE: Final = "INSERT INTO chunks (log, chunk) VALUES (?, ?)"
_INSERT: Final = """INSERT INTO batches (log, chunk, seq, anchor, tile_roots, sealed_at, stamp, carries, payload)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"""
_STANDING: Final = "SELECT anchor, stamp, carries FROM batches WHERE log = ? AND chunk = ? AND seq = ?"
_PAYLOAD: Final = (
    "SELECT anchor, stamp, carries, payload FROM batches WHERE log = ? AND chunk = ? AND seq = ?"
)
_STAMP: Final = "SELECT stamp FROM batches WHERE log = ? AND chunk = ? AND seq = ?"
# The payload was inserted with the servers' timestamp, and is never written again: this one is later than any clock's.
_DROP_PAYLOAD: Final = "DELETE payload FROM batches USING TIMESTAMP ? WHERE log = ? AND chunk = ? AND seq = ?"
_AFTER_ALL: Final = 253_402_300_799_999_999
"""The end of the year 9999, microseconds."""
_EMPTY_TILE: Final = "DELETE contents FROM tiles WHERE log = ? AND seq = ? AND number = ?"


_PAUSE_SECONDS: Final = 600.0
"""Longest time from before a commit to its rows. Who was stopped for longer may have lost the lane, and an erased row that
he wrote again would come back once its deletion is forgotten, after an hour (`gc_grace_seconds`)."""


class Content(NamedTuple):
    """What the rows of a batch are written from."""

    log: str
    seq: int
    entries: Sequence[Entry]
    tiles: Sequence[bytes]
    leaves: Sequence[bytes]
    receipts: Sequence[Receipt]
    stamp: int
    """Write timestamp of its receipts, microseconds: those of a later batch win."""
    carries: BatchPlace | None
    """The batch of a closed log whose entries these are."""


class Writing:
    """Writes batches of any log; what is written by others is found, not overwritten."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listed = rows.Listed()
        self._chunks: set[tuple[str, int]] = set()
        self._last_stamp = 0
        self._broken = False
        """Whether a batch may be sealed and not stored, written by this process."""

    def stamp(self) -> int:
        """Return a write timestamp later than all before it, also those of a worker before us with a faster clock."""
        self._last_stamp = max(time.time_ns() // 1000, self._last_stamp + 1)
        return self._last_stamp

    def stamp_after(self, stamp: int) -> None:
        """Let the next timestamps be later than `stamp`, which somebody's clock gave to what we go on with."""
        self._last_stamp = max(self._last_stamp, stamp)

    async def append(self, batch: SealedBatch, carries: BatchPlace | None = None) -> None:
        """Write a batch. `LaneLost` when another batch has its place; the same one again is no harm."""
        blobs = await asyncio.to_thread(encode_tiles, batch.entries, batch.salts)
        begun = time.monotonic()
        try:
            stamp = await self._commit(batch, blobs, carries)
            if time.monotonic() - begun > _PAUSE_SECONDS:
                message = "this process was stopped while it stored a batch"
                raise StoreUnavailable(message, remedy="wait: it goes on if the lane is still its own")
            await self._store(
                Content(
                    *(
                        batch.log,
                        batch.seq,
                        batch.entries,
                        blobs,
                        batch.leaves,
                        batch.receipts,
                        stamp,
                        carries,
                    )
                )
            )
        except StoreUnavailable:
            self._broken = True
            raise

    async def carry_over(self, log: str, seq: int, batch: SealedBatch) -> None:
        """Write `batch` in the stead of (log, seq). `LaneLost`, `Conflict`, `NotFound`."""
        await self.settle(log)
        old, place = await records.batch(self._session, log, seq), BatchPlace(batch.log, batch.seq)
        if old.moved_to == place:
            return
        if old.moved_to is not None or old.commitment is not None:
            message = "this batch is anchored or was moved elsewhere"
            raise Conflict(message, subject=f"{log}:{seq}", remedy="let one worker run a lane")
        await self.append(batch, BatchPlace(log, seq))

    async def settle_all(self, *, always: bool = True) -> None:
        """Write the rows of whatever is sealed and not stored; unless `always` only after a failure of ours."""
        if always or self._broken:
            for log in await registry.logs(self._session):
                await self.settle(log)
            self._broken = False

    async def settle(self, log: str) -> None:
        """Write the rows of a log's batches that are sealed and not stored. `Invalid` for a record that was altered."""
        await self._finish_insert(log)
        for seq in await records.unstored(self._session, log):
            content = await self._content(log, seq)
            if content is not None:
                await self._store(content)
            else:
                await self._session.write(*mark(log, seq, STORED))
        await self._look_at_stamp(log)

    # --- the three steps ----------------------------------------------------------------------------------------
    async def _commit(self, batch: SealedBatch, blobs: Sequence[bytes], carries: BatchPlace | None) -> int:
        """Insert the record; return the stamp it has."""
        log, seq = batch.log, batch.seq
        key = (log, seq // CHUNK)
        if key not in self._chunks:
            await self._session.write(_CHUNK_THERE, key)
            self._chunks.add(key)
        anchor, stamp = anchor_text(batch.anchor), self.stamp()
        payload = encode_payload(blobs, batch.receipts)
        values = (
            *(*key, seq, anchor, b"".join(tile_roots(batch.leaves)), batch.sealed_at, stamp),
            *(None if carries is None else json.dumps(carries), payload),
        )
        try:
            done, _ = await self._session.apply(_INSERT, values)
        except StoreUnavailable:
            done = False
            if await self._session.one(_STANDING, (*key, seq), serial=True) is None:
                done, _ = await self._session.apply(_INSERT, values)
        if done:
            return stamp
        standing = await self._session.one(_STANDING, (*key, seq), serial=True)
        if standing is None or (standing[0], _place(standing[2])) != (anchor, carries):
            message = "another writer has stored a batch with this number"
            raise LaneLost(message, subject=f"{log}:{seq}", remedy="let one worker run a lane")
        return int(standing[1])

    async def _store(self, content: Content) -> None:
        """Write everything that belongs to a sealed batch, then mark it stored."""
        session, (log, seq, entries, blobs, leaves, *_) = self._session, content
        lists = self._listed.missing(entries)
        chunks = [leaves[at : at + TILE_LEAVES] for at in range(0, len(leaves), TILE_LEAVES)]
        parts = [
            session.write(rows.INSERT_TILE, (log, seq, number, b"".join(chunk), blob))
            for number, (chunk, blob) in enumerate(zip(chunks, blobs, strict=True))
        ]
        others = [*lists, *rows.slot_writes(log, seq, entries), *rows.erasure_writes(log, seq, entries)]
        others += receipts.writes(content.receipts, content.stamp)
        await asyncio.gather(
            *parts,
            session.write_many(others),
            session.write_rows(rows.INSERT_STRIP, rows.strip_values(log, seq, entries)),
        )
        self._listed.add(lists)
        if content.carries is not None:
            await self._replace(content.carries, content)
        await self._stored(log, seq)

    async def _stored(self, log: str, seq: int) -> None:
        await self._session.write_together(
            [mark(log, seq, STORED), (_DROP_PAYLOAD, (_AFTER_ALL, log, seq // CHUNK, seq))]
        )

    async def _replace(self, old: BatchPlace, content: Content) -> None:
        """Take the rows of the batch away whose entries `content` holds, and say where they are now."""
        place = BatchPlace(content.log, content.seq)
        since = min(each.received_at for each in content.entries)
        await receipts.readdress(self._session, old, place, since, self.stamp())
        await self._session.write_many(rows.removals(*old, content.entries))
        count = -(-len(content.entries) // TILE_LEAVES)
        await self._session.write_many((_EMPTY_TILE, (*old, number)) for number in range(count))
        await self._session.write(*mark(*old, MOVED, json.dumps(place)))

    # --- after a crash ------------------------------------------------------------------------------------------
    async def _finish_insert(self, log: str) -> None:
        """Commit an insert that replicas have accepted and nobody has committed: the writer or a node died between.

        Other reads do not see it, and a batch that was sealed in its place would find it there. A serial read of its
        partition commits it; it can only be the next of its log.
        """
        seq = await records.newest(self._session, log) + 1
        await self._session.one(_STANDING, (log, seq // CHUNK, seq), serial=True)

    async def _content(self, log: str, seq: int) -> Content | None:
        """Return what the rows of a sealed batch are written from; None when they are written and only the mark lacks."""
        row = await self._session.one(_PAYLOAD, (log, seq // CHUNK, seq), serial=True)
        if row is None or row[3] is None:
            return None
        blobs, told = decode_payload(row[3], f"{log}:{seq}")
        numbered = [each for blob in blobs for each in decode_tile(blob, f"{log}:{seq}")]
        entries = [each.entry for each in numbered]
        leaves = leaves_of(entries, [each.salt for each in numbered])
        if root(leaves).hex() != json.loads(row[0])["root"]:
            message = "the record of this batch was altered"
            raise Invalid(message, subject=f"{log}:{seq}", remedy="run `bal audit`")
        return Content(log, seq, entries, blobs, leaves, told, row[1], _place(row[2]))

    async def _look_at_stamp(self, log: str) -> None:
        last = await records.last_batch(self._session, log)
        if last is not None:
            key = (log, last.anchor.seq // CHUNK, last.anchor.seq)
            row = await self._session.one(_STAMP, key)
            self.stamp_after(row[0] if row is not None else 0)


def _place(text: str | None) -> BatchPlace | None:
    return None if text is None else BatchPlace(*json.loads(text))
