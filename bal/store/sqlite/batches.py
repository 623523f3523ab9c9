"""Batch records, tiles, marks and rows."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from bal.core.address import Address, AddressRange
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry, Erasure, StoredEntry
from bal.core.errors import Erased, Invalid, LaneLost, NotFound, NotYetAnchored
from bal.core.limits import TILE_LEAVES
from bal.core.message import Receipt
from bal.core.reading import Reading
from bal.ports import BatchPlace, BatchRecord, Tile
from bal.store.sqlite.slices import BUCKET
from chaincode.anchor import Anchor
from chaincode.errors import ContractError
from chaincode.merkle import path_through_tile, tile_roots

HASH_BYTES = 32
READING_COLUMNS = ",".join(Reading._fields)
ERASURE_COLUMNS = ",".join(Erasure._fields)
_INSERT_READING = f"INSERT INTO readings (log,seq,idx,{READING_COLUMNS},salt) VALUES ({','.join('?' * 16)})"  # noqa: S608 - constants
_INSERT_ERASURE = f"INSERT INTO erasures (log,seq,idx,{ERASURE_COLUMNS},salt) VALUES ({','.join('?' * 10)})"  # noqa: S608 - constants
_SELECT_BATCH = """SELECT b.log, b.seq, b.anchor, b.tile_roots, b.sealed_at, a.detail, p.seq IS NOT NULL, m.detail
    FROM batches b
    LEFT JOIN marks a ON a.log = b.log AND a.state = 'anchored' AND a.seq = b.seq
    LEFT JOIN marks p ON p.log = b.log AND p.state = 'published' AND p.seq = b.seq
    LEFT JOIN marks m ON m.log = b.log AND m.state = 'moved' AND m.seq = b.seq """
_NOT_MOVED = (
    """NOT EXISTS (SELECT 1 FROM marks m WHERE m.log = b.log AND m.state = 'moved' AND m.seq = b.seq)"""
)


def append_batch(db: sqlite3.Connection, batch: SealedBatch) -> None:
    """Write record, tiles, rows and receipts of a batch. `LaneLost` when another writer took (log, seq)."""
    log, seq, leaves = batch.log, batch.seq, batch.leaves
    anchor = json.dumps(batch.anchor.to_json(), separators=(",", ":"))
    try:
        db.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
            (log, seq, anchor, b"".join(tile_roots(leaves)), batch.sealed_at),
        )
    except sqlite3.IntegrityError as error:
        message = "another writer has stored a batch with this number"
        raise LaneLost(message, subject=f"{log}:{seq}", remedy="let one worker run a lane") from error
    db.executemany(
        "INSERT INTO tiles VALUES (?, ?, ?, ?)",
        [
            (log, seq, number, b"".join(leaves[start : start + TILE_LEAVES]))
            for number, start in enumerate(range(0, len(leaves), TILE_LEAVES))
        ],
    )
    rows = list(zip(batch.entries, batch.salts, strict=True))
    readings = [(log, seq, i, *entry, salt) for i, (entry, salt) in enumerate(rows) if type(entry) is Reading]
    db.executemany(_INSERT_READING, readings)
    if len(readings) < len(rows):
        notes = [
            (log, seq, i, *entry, salt) for i, (entry, salt) in enumerate(rows) if type(entry) is Erasure
        ]
        db.executemany(_INSERT_ERASURE, notes)
    record_receipts(db, batch.receipts)


def record_receipts(db: sqlite3.Connection, receipts: Sequence[Receipt]) -> None:
    """Write receipts over what was known of their messages."""
    for receipt in receipts:
        db.execute(
            "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)",
            (receipt.source, receipt.digest, receipt.received_at, receipt.complete, _receipt_text(receipt)),
        )


def _receipt_text(receipt: Receipt) -> str:
    return json.dumps(
        {
            "accepted": receipt.accepted,
            "rejected": receipt.rejected,
            "duplicates": receipt.duplicates,
            "outcomes": receipt.outcomes,
            "ahead": receipt.ahead,
            "ranges": receipt.ranges,
            "rejections": receipt.rejections,
        },
        separators=(",", ":"),
    )


def receipt(db: sqlite3.Connection, source: str, digest: bytes) -> Receipt | None:
    """Return what is known of a message."""
    row = db.execute(
        "SELECT received_at, complete, detail FROM receipts WHERE source = ? AND digest = ?", (source, digest)
    ).fetchone()
    if row is None:
        return None
    try:
        return _receipt(source, digest, row)
    except (ValueError, TypeError, KeyError):
        message = "the receipt of this message was altered"
        raise Invalid(message, subject=source, remedy="restore the table `receipts` from a backup") from None


def _receipt(source: str, digest: bytes, row: tuple[int, int, str]) -> Receipt:
    detail = json.loads(row[2])
    return Receipt(
        source=source,
        digest=digest,
        accepted=detail["accepted"],
        rejected=detail["rejected"],
        duplicates=detail["duplicates"],
        outcomes=detail["outcomes"],
        ahead=detail["ahead"],
        ranges=tuple(AddressRange(*part) for part in detail["ranges"]),
        rejections=tuple((reason, where) for reason, where in detail["rejections"]),
        received_at=row[0],
        complete=bool(row[1]),
        known=bool(row[1]),
    )


def forget_receipts(db: sqlite3.Connection, before: int) -> int:
    """Drop complete receipts older than `before`."""
    return db.execute("DELETE FROM receipts WHERE received_at < ? AND complete", (before,)).rowcount


def _record(row: tuple[str, int, str, bytes, int, str | None, int, str | None]) -> BatchRecord:
    log, seq, anchor_text, roots, sealed_at, detail, published, moved = row
    try:
        anchor = Anchor.from_json(json.loads(anchor_text))
        if (anchor.log, anchor.seq) != (log, seq):
            raise ValueError  # a copy of another record
        commitment = Commitment(anchor, **_detail(detail)) if detail is not None else None
        target = BatchPlace(*json.loads(moved)) if moved is not None else None
        return BatchRecord(anchor, _cut(roots), sealed_at, commitment, bool(published), target)
    except (ContractError, ValueError, TypeError, KeyError) as error:
        message = "the record of this batch was altered"
        raise Invalid(message, subject=f"{log}:{seq}", remedy="run `bal audit`") from error


def _detail(text: str) -> dict[str, Any]:
    detail: dict[str, Any] = json.loads(text)
    detail["suspended"] = tuple(detail["suspended"])
    return detail


def mark_anchored(db: sqlite3.Connection, commitments: Sequence[Commitment]) -> None:
    """Record what the ledger says of batches."""
    members = ("ledger", "channel", "tx_id", "block", "time", "organisation", "suspended")
    db.executemany(
        "INSERT OR IGNORE INTO marks VALUES (?, 'anchored', ?, ?)",
        [
            (c.anchor.log, c.anchor.seq, json.dumps({name: getattr(c, name) for name in members}))
            for c in commitments
        ],
    )


def mark_published(db: sqlite3.Connection, log: str, seq: int) -> None:
    """Record that every output acknowledged a batch."""
    db.execute("INSERT OR IGNORE INTO marks VALUES (?, 'published', ?, '')", (log, seq))


def batch(db: sqlite3.Connection, log: str, seq: int) -> BatchRecord:
    """Return one batch record."""
    row = db.execute(_SELECT_BATCH + "WHERE b.log = ? AND b.seq = ?", (log, seq)).fetchone()
    if row is None:
        message = "there is no such batch"
        raise NotFound(message, subject=f"{log}:{seq}")
    return _record(row)


def last_batch(db: sqlite3.Connection, log: str) -> BatchRecord | None:
    """Return the newest batch of a log."""
    row = db.execute(_SELECT_BATCH + "WHERE b.log = ? ORDER BY b.seq DESC LIMIT 1", (log,)).fetchone()
    return None if row is None else _record(row)


def batch_page(db: sqlite3.Connection, log: str, first: int, count: int) -> list[BatchRecord]:
    """Return up to `count` batch records from `first` on, up to an altered one; `Invalid` when that is the first."""
    rows = db.execute(
        _SELECT_BATCH + "WHERE b.log = ? AND b.seq >= ? ORDER BY b.seq LIMIT ?", (log, first, count)
    )
    records: list[BatchRecord] = []
    for row in rows:
        try:
            records.append(_record(row))
        except Invalid:
            if records:
                break
            raise
    return records


def marked_up_to(db: sqlite3.Connection, log: str, state: str) -> int:
    """Return the newest sequence number with a mark, -1 for none. Marks of a log are set in sequence."""
    row = db.execute(
        """SELECT seq FROM marks JOIN batches USING (log, seq) WHERE log = ? AND state = ?
           ORDER BY marks.seq DESC LIMIT 1""",  # what no batch has, somebody else put there
        (log, state),
    ).fetchone()
    return -1 if row is None else int(row[0])


def unanchored(db: sqlite3.Connection, log: str) -> list[Anchor]:
    """Return the anchors of batches that bear no anchored mark, in sequence."""
    after = marked_up_to(db, log, "anchored")
    rows = db.execute(
        _SELECT_BATCH + f"WHERE b.log = ? AND b.seq > ? AND {_NOT_MOVED} ORDER BY b.seq", (log, after)
    )
    return [_record(row).anchor for row in rows]


def unpublished(db: sqlite3.Connection, log: str) -> list[int]:
    """Return the sequence numbers of batches that bear no published mark, in order."""
    after = marked_up_to(db, log, "published")
    sql = f"SELECT b.seq FROM batches b WHERE b.log = ? AND b.seq > ? AND {_NOT_MOVED} ORDER BY b.seq"  # noqa: S608
    return [seq for (seq,) in db.execute(sql, (log, after))]


def entries(db: sqlite3.Connection, log: str, seq: int) -> list[StoredEntry]:
    """Return every row that claims to belong to a batch, by index."""
    sql = f"SELECT idx, salt, {READING_COLUMNS} FROM readings WHERE log = ? AND seq = ? ORDER BY idx"  # noqa: S608
    make = Reading._make
    found = [
        StoredEntry(Address(log, seq, row[0]), make(row[2:]), row[1]) for row in db.execute(sql, (log, seq))
    ]
    sql = f"SELECT idx, salt, {ERASURE_COLUMNS} FROM erasures WHERE log = ? AND seq = ?"  # noqa: S608
    notes = [
        StoredEntry(Address(log, seq, row[0]), Erasure._make(row[2:]), row[1])
        for row in db.execute(sql, (log, seq))
    ]
    return sorted(found + notes, key=lambda row: row.address.index) if notes else found


def entry(db: sqlite3.Connection, address: Address) -> StoredEntry:
    """Return one entry."""
    kinds: tuple[tuple[str, str, type[Reading | Erasure]], ...] = (
        ("readings", READING_COLUMNS, Reading),
        ("erasures", ERASURE_COLUMNS, Erasure),
    )
    for table, columns, kind in kinds:
        sql = f"SELECT salt, {columns} FROM {table} WHERE log = ? AND seq = ? AND idx = ?"  # noqa: S608
        row = db.execute(sql, address).fetchone()
        if row is not None:
            return StoredEntry(address, kind._make(row[1:]), row[0])
    if db.execute("SELECT 1 FROM erased WHERE address = ?", (str(address),)).fetchone():
        message = "this entry has been erased"
        raise Erased(message, subject=str(address))
    place = moved_to(db, address.log, address.seq)
    if place is not None:
        raise _moved(address, place)
    message = "there is no such entry"
    raise NotFound(message, subject=str(address), remedy="addresses are written log:seq:index")


def moved_to(db: sqlite3.Connection, log: str, seq: int) -> BatchPlace | None:
    """Return where the entries of a batch of a closed log stand now, None when they were not moved."""
    row = db.execute(
        "SELECT detail FROM marks WHERE log = ? AND state = 'moved' AND seq = ?", (log, seq)
    ).fetchone()
    return None if row is None else BatchPlace(*json.loads(row[0]))


def _moved(address: Address, place: BatchPlace) -> NotFound:
    message = "this entry was moved when its log was closed"
    return NotFound(message, subject=str(address), remedy=f"ask for {Address(*place, address.index)}")


def strays(db: sqlite3.Connection) -> list[Address]:
    """Return the addresses of rows whose batch has no record, or whose log no lane ever wrote."""
    sql = """SELECT r.log, r.seq, r.idx FROM {table} r WHERE NOT EXISTS
             (SELECT 1 FROM batches b JOIN lanes l USING (log) WHERE b.log = r.log AND b.seq = r.seq)"""
    return [
        Address(*row) for table in ("readings", "erasures") for row in db.execute(sql.format(table=table))
    ]


def loose_batches(db: sqlite3.Connection) -> list[BatchPlace]:
    """Return where records stand that no lane wrote or, not anchored, none goes before, and tiles that are too many."""
    sql = """SELECT log, seq FROM batches b WHERE typeof(seq) <> 'integer'
                OR NOT EXISTS (SELECT 1 FROM lanes l WHERE l.log = b.log)
                OR (seq <> 0
                    AND NOT EXISTS (SELECT 1 FROM batches p WHERE p.log = b.log AND p.seq = b.seq - 1)
                    AND NOT EXISTS (SELECT 1 FROM marks m WHERE m.log = b.log AND m.seq = b.seq AND state = 'anchored'))
             UNION SELECT t.log, t.seq FROM tiles t LEFT JOIN batches b USING (log, seq) WHERE b.log IS NULL
                OR typeof(number) <> 'integer' OR number NOT BETWEEN 0 AND length(tile_roots) / ? - 1"""
    return [BatchPlace(*row) for row in db.execute(sql, (HASH_BYTES,))]


def unlisted(db: sqlite3.Connection, log: str, seq: int) -> list[Address]:
    """Return the addresses of readings of a batch that the index of the queries does not lead to."""
    columns = ("source", BUCKET, "point", "quantity", "timestamp", "log", "seq", "idx")
    same = " AND ".join(f"i.{column} = r.{column}" for column in columns)
    sql = f"""SELECT idx FROM readings r WHERE log = ? AND seq = ? AND NOT EXISTS
              (SELECT 1 FROM readings i INDEXED BY readings_by_bucket WHERE {same}) ORDER BY idx"""  # noqa: S608 - constants
    return [Address(log, seq, index) for (index,) in db.execute(sql, (log, seq))]


def tile(db: sqlite3.Connection, log: str, seq: int, number: int) -> Tile:
    """Return one tile."""
    row = db.execute(
        "SELECT leaves FROM tiles WHERE log = ? AND seq = ? AND number = ?", (log, seq, number)
    ).fetchone()
    if row is None:
        message = "there is no such tile"
        raise NotFound(message, subject=f"{log}:{seq} tile {number}")
    return Tile(number * TILE_LEAVES, _cut(row[0]))


def _cut(blob: bytes) -> tuple[bytes, ...]:
    return tuple(blob[start : start + HASH_BYTES] for start in range(0, len(blob), HASH_BYTES))


def all_leaves(db: sqlite3.Connection, log: str, seq: int) -> list[bytes]:
    """Return the stored leaves of a batch in order."""
    rows = db.execute("SELECT leaves FROM tiles WHERE log = ? AND seq = ? ORDER BY number", (log, seq))
    return [leaf for (blob,) in rows for leaf in _cut(blob)]


def proof_path(db: sqlite3.Connection, address: Address) -> list[bytes]:
    """Return the inclusion path of an address, reading its tile and the batch record."""
    record = batch(db, address.log, address.seq)
    if record.moved_to is not None:
        raise _moved(address, record.moved_to)
    if address.index >= record.anchor.size:
        message = "there is no such entry"
        raise NotFound(message, subject=str(address))
    part = tile(db, address.log, address.seq, address.index // TILE_LEAVES)
    try:
        return path_through_tile(part.leaves, record.tile_roots, address.index, record.anchor.size)
    except ContractError as error:
        message = "the tiles of this batch were altered"
        raise Invalid(message, subject=str(address), remedy="run `bal audit`") from error


def certified_batch(db: sqlite3.Connection, log: str, seq: int) -> CertifiedBatch:
    """Return an anchored batch with `None` for what is erased."""
    record = batch(db, log, seq)
    if record.commitment is None:
        message = "this batch has no anchor yet"
        raise NotYetAnchored(message, subject=f"{log}:{seq}", remedy="ask again in a moment")
    members: list[Entry | None] = [None] * record.anchor.size
    salts = [b""] * record.anchor.size
    for address, member, salt in entries(db, log, seq):
        if address.index < record.anchor.size:
            members[address.index] = member
            salts[address.index] = salt
    return CertifiedBatch(record.commitment, members, salts, all_leaves(db, log, seq))
