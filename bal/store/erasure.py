"""Erasing: a row and its salt leave every file of the SCD."""

import mmap
import sqlite3
from pathlib import Path

from bal.core.address import Address
from bal.core.entry import Erasure
from bal.core.errors import StoreFailed
from bal.ports import ErasureNote
from bal.store.batches import ERASURE_COLUMNS

_SELECT = f"SELECT log, seq, idx, salt, {ERASURE_COLUMNS} FROM erasures"  # noqa: S608 - constants


def erasures(db: sqlite3.Connection, log: str) -> list[ErasureNote]:
    """Return the notes whose entry stands in `log`, in order."""
    return [
        ErasureNote(Address.parse(note.address), Address(*row[:3]), note, row[3])
        for row in db.execute(_SELECT + " WHERE log = ? ORDER BY seq, idx", (log,))
        for note in [Erasure._make(row[4:])]
    ]


def remove(db: sqlite3.Connection, note: ErasureNote, lookup: bytes) -> bytes | None:
    """Delete the row of `note.target` and remember what must not come back; return the salt it had, if it was there."""
    row = db.execute(
        "DELETE FROM readings WHERE log = ? AND seq = ? AND idx = ? RETURNING salt", note.target
    ).fetchone()
    db.execute("INSERT OR IGNORE INTO erased VALUES (?, ?)", (lookup, str(note.target)))
    return None if row is None else bytes(row[0])


def scrub(db: sqlite3.Connection, path: Path, salt: bytes | None) -> None:
    """Leave no copy of a deleted row in the database file or its log.

    The write-ahead log is emptied; then the file is searched for the salt, and rebuilt if a page still held a copy.
    Raises `StoreFailed` while a reader keeps the log from being emptied.
    """
    _empty_log(db)
    if salt is not None and _holds(path, salt):
        db.execute("VACUUM")
        _empty_log(db)


def _empty_log(db: sqlite3.Connection) -> None:
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
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
