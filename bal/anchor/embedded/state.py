"""The world state: the last value of every key, in an SQLite file that can always be made anew from the blocks."""

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from bal.anchor.embedded.block import Version
from bal.anchor.embedded.blockfile import Tip
from bal.core.errors import LedgerUnavailable
from chaincode.state import ANCHORS

_SCHEMA: Final = """
BEGIN;
CREATE TABLE state (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, block INTEGER NOT NULL, place INTEGER NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE tips (
    age INTEGER PRIMARY KEY, height INTEGER NOT NULL, hash TEXT NOT NULL, offset INTEGER NOT NULL
);
COMMIT;
"""
_CACHE_KIB: Final = 8192
"""Pages kept in memory: the working set is heads, sources and the newest anchors."""


class StateDamaged(LedgerUnavailable):
    """The ledger's index does not hold what was written to it."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger's index is damaged", subject="state", remedy="delete it: it is made anew"
        )


class Value(NamedTuple):
    """A key's value and the version that wrote it."""

    value: bytes
    version: Version


class WorldState:
    """Values by key as of `tip`. Without a path a private one that lives on disk only when it grows.

    Writes become visible at once and stand when `commit` returns; any damage raises `StateDamaged`: the file's
    structure is checked at the beginning, a row when it is read. `beside` leaves both to the process that writes it.
    """

    def __init__(self, path: Path | None = None, *, beside: bool = False) -> None:
        self._db = sqlite3.connect(path or "", isolation_level=None, check_same_thread=False)
        try:
            # NORMAL keeps the file consistent over a power cut; what it then lacks is read from the blocks.
            pragmas = (
                ("journal_mode=WAL", "synchronous=NORMAL")
                if path
                else ("journal_mode=OFF", "synchronous=OFF")
            )
            for pragma in (*pragmas, f"cache_size=-{_CACHE_KIB}"):
                self._db.execute(f"PRAGMA {pragma}")
            begun = self._db.execute("SELECT 1 FROM sqlite_master").fetchone()
            if not begun and not beside:
                self._db.executescript(_SCHEMA)
            if path and not beside and self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise StateDamaged
            self.before, self.tip = self.tips()
            """`before` is the tip one block earlier: from there the last block can be compared with the file's."""
        except (sqlite3.Error, StateDamaged):
            self._db.close()
            raise StateDamaged from None

    def get(self, key: str) -> Value | None:
        """Return the value of a key."""
        try:
            row = self._db.execute("SELECT * FROM state WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            raise StateDamaged from None
        return None if row is None else _checked(row)[1]

    def range(self, start: str, end: str, limit: int) -> Iterator[tuple[str, Value]]:
        """Yield keys from `start` up to but without `end`, in order, at most `limit`."""
        try:
            rows = self._db.execute(
                "SELECT * FROM state WHERE key >= ? AND key < ? ORDER BY key LIMIT ?", (start, end, limit)
            ).fetchall()
        except sqlite3.Error:
            raise StateDamaged from None
        yield from map(_checked, rows)

    def census(self) -> tuple[int, dict[str, bytes]]:
        """Return how many anchors there are, and the values of all other keys."""
        bounds = (ANCHORS, ANCHORS + "\U0010ffff")
        try:
            rows = self._db.execute("SELECT * FROM state WHERE key < ? OR key >= ?", bounds).fetchall()
            (anchors,) = self._db.execute(
                "SELECT count(*) FROM state WHERE key >= ? AND key < ?", bounds
            ).fetchone()
        except sqlite3.Error:
            raise StateDamaged from None
        return anchors, {key: found.value for key, found in map(_checked, rows)}

    def write(self, key: str, value: bytes, version: Version) -> None:
        """Set the value of a key."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            self._db.execute(
                "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
                (key, value, *version, _digest(key, value, *version)),
            )
        except sqlite3.Error:
            raise StateDamaged from None

    def move(self, tip: Tip) -> None:
        """Say that all writes of the chain up to `tip` are made."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT OR REPLACE INTO tips VALUES (?, ?, ?, ?)", [(0, *tip), (1, *self.tip)]
            )
        except sqlite3.Error:
            raise StateDamaged from None
        self.before, self.tip = self.tip, tip

    def commit(self) -> None:
        """Let everything written so far stand."""
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error:
            raise StateDamaged from None

    def close(self) -> None:
        """Close the index; what was not committed is gone."""
        self._db.close()

    def tips(self) -> tuple[Tip, Tip]:
        """Return the tip before the last block and the tip as they stand now, perhaps moved by another process."""
        try:
            rows = self._db.execute("SELECT height, hash, offset FROM tips ORDER BY age DESC").fetchall()
        except sqlite3.Error:
            raise StateDamaged from None
        if len(rows) not in (0, 2):
            raise StateDamaged
        before, tip = rows or (Tip(), Tip())
        return Tip(*before), Tip(*tip)


def remove(path: Path) -> None:
    """Delete an index and SQLite's files beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _checked(row: tuple[Any, ...]) -> tuple[str, Value]:
    key, value, block, place, digest = row
    try:
        if _digest(key, value, block, place) != digest:
            raise StateDamaged
    except (AttributeError, TypeError):  # SQLite keeps any type in any column
        raise StateDamaged from None
    return key, Value(value, (block, place))


def _digest(key: str, value: bytes, block: int, place: int) -> bytes:
    """Return a check sum: it finds accidents, the blocks' hashes find intent."""
    return blake2b(b"%s\0%d\0%d\0%s" % (key.encode(), block, place, value), digest_size=8).digest()
