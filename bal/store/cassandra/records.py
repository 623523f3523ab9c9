"""Records of batches and their marks, in chunks of 256 sequence numbers so that no partition grows without end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from bal.core.commitment import Commitment
from bal.core.errors import Invalid, NotFound
from bal.core.stored import BatchPlace, BatchRecord
from bal.store.cassandra.session import Session, Write
from chaincode.anchor import Anchor
from chaincode.errors import ContractError

HASH_BYTES: Final = 32
CHUNK: Final = 256
"""Sequence numbers of one partition of `batches` and `marks`: some 100 kB once the payloads are gone."""
ANCHORED, PUBLISHED, MOVED, STORED = "anchored", "published", "moved", "stored"
_RECORDS = "SELECT seq, anchor, tile_roots, sealed_at FROM batches WHERE log = ? AND chunk = ? AND seq >= ?"
_RECORD = "SELECT seq, anchor, tile_roots, sealed_at FROM batches WHERE log = ? AND chunk = ? AND seq = ?"
_SEQS = "SELECT seq FROM batches WHERE log = ? AND chunk = ?"
_NEWEST = "SELECT seq FROM batches WHERE log = ? AND chunk = ? ORDER BY seq DESC LIMIT 1"
_CHUNKS = "SELECT chunk FROM chunks WHERE log = ?"
_CHUNKS_FROM = "SELECT chunk FROM chunks WHERE log = ? AND chunk >= ? ORDER BY chunk ASC"
_DETAILS = "SELECT seq, state, detail FROM marks WHERE log = ? AND chunk = ? AND seq >= ?"
_DETAILS_OF = "SELECT seq, state, detail FROM marks WHERE log = ? AND chunk = ? AND seq = ?"
_STATES = "SELECT seq, state FROM marks WHERE log = ? AND chunk = ?"
_MARK = "INSERT INTO marks (log, chunk, seq, state, detail) VALUES (?, ?, ?, ?, ?)"
_MARKED = "SELECT detail FROM marks WHERE log = ? AND chunk = ? AND seq = ? AND state = ?"
_SAID: Final = ("ledger", "channel", "tx_id", "block", "time", "organisation", "suspended")

_Marks = dict[str, str]


def anchor_text(anchor: Anchor) -> str:
    """Return an anchor as it stands in its record."""
    return json.dumps(anchor.to_json(), separators=(",", ":"))


def cut(blob: bytes | None) -> tuple[bytes, ...]:
    """Return the hashes of a blob."""
    return tuple((blob or b"")[at : at + HASH_BYTES] for at in range(0, len(blob or b""), HASH_BYTES))


def mark(log: str, seq: int, state: str, detail: str = "") -> Write:
    """Return the write of a mark."""
    return _MARK, (log, seq // CHUNK, seq, state, detail)


async def batch(session: Session, log: str, seq: int) -> BatchRecord:
    """Return one batch record. `NotFound`, `Invalid`."""
    key = (log, seq // CHUNK, seq)
    row, marks = await asyncio.gather(session.one(_RECORD, key), session.all(_DETAILS_OF, key))
    if row is None:
        message = "there is no such batch"
        raise NotFound(message, subject=f"{log}:{seq}")
    return _record(log, row, {state: detail for _, state, detail in marks})


async def last_batch(session: Session, log: str) -> BatchRecord | None:
    """Return the newest batch of a log."""
    seq = await newest(session, log)
    return None if seq < 0 else await batch(session, log, seq)


async def newest(session: Session, log: str) -> int:
    """Return the newest sequence number of a log, -1 for none."""
    async for chunk in _chunks(session, log):
        row = await session.one(_NEWEST, (log, chunk))
        if row is not None:
            return int(row[0])
    return -1


async def batches(session: Session, log: str, first: int = 0) -> AsyncIterator[BatchRecord]:
    """Yield the records of a log from `first` on. `Invalid` at one that was altered."""
    found = session.rows(_CHUNKS_FROM, (log, first // CHUNK))
    async for (chunk,) in found:
        key = (log, chunk, first)
        rows, marked = await asyncio.gather(session.all(_RECORDS, key), session.all(_DETAILS, key))
        marks: dict[int, _Marks] = {}
        for seq, state, detail in marked:
            marks.setdefault(seq, {})[state] = detail
        for row in rows:
            if row[0] // CHUNK == chunk:
                yield _record(log, row, marks.get(row[0], {}))


def _record(log: str, row: Sequence[Any], marks: _Marks) -> BatchRecord:
    seq, text, roots, sealed_at = row
    try:
        anchor = Anchor.from_json(json.loads(text))
        if (anchor.log, anchor.seq) != (log, seq) or type(sealed_at) is not int:
            raise ValueError  # a copy of another record
        commitment = Commitment(anchor, **_detail(marks[ANCHORED])) if ANCHORED in marks else None
        target = BatchPlace(*json.loads(marks[MOVED])) if MOVED in marks else None
    except (ContractError, ValueError, TypeError, KeyError, RecursionError) as error:
        message = "the record of this batch was altered"
        raise Invalid(message, subject=f"{log}:{seq}", remedy="run `bal audit`") from error
    return BatchRecord(anchor, cut(roots), sealed_at, commitment, PUBLISHED in marks, target)


def _detail(text: str) -> dict[str, Any]:
    detail: dict[str, Any] = json.loads(text)
    detail["suspended"] = tuple(detail["suspended"])
    return detail


# --- marks


async def mark_anchored(session: Session, commitments: Sequence[Commitment]) -> None:
    """Record what the ledger says of batches. The first word stays: looked for before, as one worker runs a lane."""
    keys = [(c.anchor.log, c.anchor.seq // CHUNK, c.anchor.seq, ANCHORED) for c in commitments]
    known = await asyncio.gather(*(session.one(_MARKED, key) for key in keys))
    await session.write_many(
        mark(c.anchor.log, c.anchor.seq, ANCHORED, json.dumps({name: getattr(c, name) for name in _SAID}))
        for c, there in zip(commitments, known, strict=True)
        if there is None
    )


async def mark_published(session: Session, log: str, seq: int) -> None:
    """Record that every output acknowledged a batch."""
    await session.write(*mark(log, seq, PUBLISHED))


async def marked_up_to(session: Session, log: str, state: str) -> int:
    """Return the newest sequence number with a mark, -1 for none. Marks of a log are set in sequence.

    A mark of no batch is none: somebody else put it there.
    """
    async for chunk in _chunks(session, log):
        key = (log, chunk)
        marks, there = await asyncio.gather(session.all(_STATES, key), session.all(_SEQS, key))
        found: set[int] = {seq for seq, marked in marks if marked == state} & {seq for (seq,) in there}
        if found:
            return max(found)
    return -1


async def unanchored(session: Session, log: str) -> list[Anchor]:
    """Return the anchors of batches that bear neither an anchored nor a moved mark, in sequence."""
    after = await marked_up_to(session, log, ANCHORED)
    return [each.anchor async for each in batches(session, log, after + 1) if each.moved_to is None]


async def unpublished(session: Session, log: str) -> list[int]:
    """Return the sequence numbers of batches that bear neither a published nor a moved mark, in order."""
    after = await marked_up_to(session, log, PUBLISHED)
    waiting = []
    async for (chunk,) in session.rows(_CHUNKS_FROM, (log, (after + 1) // CHUNK)):
        key = (log, chunk)
        marks, there = await asyncio.gather(session.all(_STATES, key), session.all(_SEQS, key))
        moved = {seq for seq, state in marks if state == MOVED}
        waiting += [seq for (seq,) in there if seq > after and seq not in moved]
    return waiting


async def unstored(session: Session, log: str) -> list[int]:
    """Return the sequence numbers of batches whose rows may not all be written, in order.

    Batches of a log are stored in sequence, so below a chunk that has none there are none.
    """
    waiting: list[int] = []
    async for chunk in _chunks(session, log):
        key = (log, chunk)
        marks, there = await asyncio.gather(session.all(_STATES, key), session.all(_SEQS, key))
        stored = {seq for seq, state in marks if state == STORED}
        found = [seq for (seq,) in there if seq not in stored]
        if there and not found:
            break
        waiting += found
    return sorted(waiting)


async def moved_to(session: Session, log: str, seq: int) -> BatchPlace | None:
    """Return where the entries of a batch of a closed log stand now, None when they were not moved."""
    row = await session.one(_MARKED, (log, seq // CHUNK, seq, MOVED))
    return None if row is None else BatchPlace(*json.loads(row[0]))


async def _chunks(session: Session, log: str) -> AsyncIterator[int]:
    async for (chunk,) in session.rows(_CHUNKS, (log,), page=16):
        yield chunk
