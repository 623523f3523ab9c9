"""Erasing: a row and its salt leave every file of the SCD."""

import mmap
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bal.core.address import Address
from bal.core.entry import Erasure
from bal.core.errors import StoreFailed
from bal.core.reading import Reading
from bal.ports import ErasureNote
from bal.store.sqlite.batches import ERASURE_COLUMNS, READING_COLUMNS
from bal.store.sqlite.schema import BUCKET_MICROSECONDS

_SELECT = f"SELECT log, seq, idx, salt, {ERASURE_COLUMNS} FROM erasures"  # noqa: S608 - constants


def erasures(db: sqlite3.Connection, log: str) -> list[ErasureNote]:
    """Return the notes whose entry stands in `log`, in order."""
    return [
        ErasureNote(Address.parse(note.address), Address(*row[:3]), note, row[3])
        for row in db.execute(_SELECT + " WHERE log = ? ORDER BY seq, idx", (log,))
        for note in [Erasure._make(row[4:])]
    ]


def repetitions(db: sqlite3.Connection, reading: Reading) -> list[Address]:
    """Return where readings of the natural key and value of `reading` stand, in order of receipt."""
    sql = f"""SELECT log, seq, idx FROM readings INDEXED BY readings_by_bucket
        WHERE source = :source AND timestamp / {BUCKET_MICROSECONDS} = :bucket AND point = :point AND timestamp = :timestamp
        AND component = :component AND reading_type = :reading_type AND phase = :phase AND value = :value
        ORDER BY received_at, log, seq, idx"""  # noqa: S608 - a constant
    bucket = reading.timestamp // BUCKET_MICROSECONDS
    return [Address(*row) for row in db.execute(sql, {**reading._asdict(), "bucket": bucket})]


def remove(db: sqlite3.Connection, note: ErasureNote, lookup: bytes) -> list[bytes] | None:
    """Delete the row of `note.target` and remember what must not come back.

    Return the bytes by which a copy of the row would be known; None when it was deleted before and copies may remain;
    an empty list when those are gone too.
    """
    sql = f"DELETE FROM readings WHERE log = ? AND seq = ? AND idx = ? RETURNING salt, {READING_COLUMNS}"  # noqa: S608
    row = db.execute(sql, note.target).fetchone()
    db.execute("INSERT OR IGNORE INTO erased VALUES (?, ?, 0)", (str(note.target), lookup))
    if row is not None:
        return _traces(db, bytes(row[0]), Reading._make(row[1:]))
    (scrubbed,) = db.execute("SELECT scrubbed FROM erased WHERE address = ?", (str(note.target),)).fetchone()
    return [] if scrubbed else None


def _traces(db: sqlite3.Connection, salt: bytes, reading: Reading) -> list[bytes]:
    """Return byte strings of a stored row, each long enough to be its own (SQLite file format, section 2.1).

    A page that was rebuilt may hold part of an old copy behind its cells, so the whole row is not looked for but its
    salt and its value with unit and time; the latter only where no row that stays has them too.
    """
    value, unit, timestamp = reading.value, reading.unit, reading.timestamp
    kept = db.execute(
        f"""SELECT 1 FROM readings INDEXED BY readings_by_bucket WHERE source = ?
            AND timestamp / {BUCKET_MICROSECONDS} = ? AND timestamp = ? AND value = ? AND unit = ?""",  # noqa: S608
        (reading.source, timestamp // BUCKET_MICROSECONDS, timestamp, value, unit),
    ).fetchone()
    size = next(size for size in (1, 2, 3, 4, 6, 8) if -(1 << 8 * size - 1) <= timestamp < 1 << 8 * size - 1)
    text = (value + unit).encode() + timestamp.to_bytes(size, "big", signed=True)
    return [salt] if kept else [salt, text]


def scrub(db: sqlite3.Connection, path: Path, address: Address, traces: Sequence[bytes] | None) -> None:
    """Leave no copy of a deleted row in the database file or its log.

    The write-ahead log is emptied; then the file is searched for traces of the row, and rebuilt if a page still held
    one, or if it is not known what to look for. Raises `StoreFailed` while a reader keeps the log from being emptied.
    """
    _empty_log(db)
    if traces is None or any(_holds(path, trace) for trace in traces):
        _rebuild(db)
    db.execute("UPDATE erased SET scrubbed = 1 WHERE address = ?", (str(address),))


def finish(db: sqlite3.Connection) -> None:
    """Scrub what a crash left between deletion and scrubbing."""
    if db.execute("SELECT 1 FROM erased WHERE NOT scrubbed").fetchone():
        with suppress(StoreFailed, sqlite3.OperationalError):  # a reader beside: the next opening tries again
            _empty_log(db)
            _rebuild(db)
            db.execute("UPDATE erased SET scrubbed = 1 WHERE NOT scrubbed")


def _rebuild(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA temp_store=FILE")  # the copy would be built in memory otherwise
    try:
        db.execute("VACUUM")
    finally:
        db.execute("PRAGMA temp_store=MEMORY")
    _empty_log(db)


def _empty_log(db: sqlite3.Connection) -> None:
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()
    db.execute("PRAGMA busy_timeout=200")  # the lanes wait for this thread
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.execute(f"PRAGMA busy_timeout={patience}")
    if busy:
        message = "a long query keeps an erased row in the write-ahead log"
        raise StoreFailed(
            message, remedy="end long-running queries; the erasure goes on by itself when asked again"
        )


def _holds(path: Path, needle: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(needle) >= 0


def lookups(db: sqlite3.Connection) -> set[bytes]:
    """Return the keyed digests of everything erased."""
    return {bytes(lookup) for (lookup,) in db.execute("SELECT lookup FROM erased")}
