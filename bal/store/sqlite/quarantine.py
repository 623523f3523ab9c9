"""The quarantine: what was refused, its bytes encrypted, in a file of its own."""

import asyncio
import os
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bal.core.errors import Invalid, NotFound
from bal.core.limits import QUARANTINED_MESSAGE_BYTES
from bal.core.message import Message, Rejection
from bal.core.stored import WHOLE, Quarantined, Report
from bal.store.sqlite.connection import Connections
from bal.store.sqlite.schema import PRAGMAS

_NONCE_BYTES = 12
_SCHEMA = """
CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, digest BLOB NOT NULL, ordinal INTEGER NOT NULL,
    reason TEXT NOT NULL, place TEXT NOT NULL, code TEXT NOT NULL, quarantined_at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (source, digest, ordinal));
CREATE TABLE IF NOT EXISTS reported (only INTEGER PRIMARY KEY CHECK (only = 1), id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS report_readers (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = "id, source, digest, ordinal, reason, place, code, quarantined_at"


class SqliteQuarantine:
    """The `Quarantine` port: AES-256-GCM (NIST SP 800-38D) under the operator's key, bound to the message it is of.

    Beside it stands how far the operator's output was told of it, and who may read that output: both are as durable as
    what they are about, whatever database the SCD is.
    """

    def __init__(self, path: Path, key: bytes, *, read_only: bool = False) -> None:
        self._cipher = AESGCM(key)
        self._db = Connections(path, schema=_SCHEMA, pragmas=PRAGMAS, read_only=read_only)
        self._added = asyncio.Event()

    async def close(self) -> None:
        """Close the file."""
        await self._db.close()

    async def put(
        self, source: str, digest: bytes, rejections: Iterable[tuple[int, Rejection]], now: int
    ) -> None:
        """Make rejections of a message durable; the same message again adds nothing."""
        listed = list(rejections)
        if listed:
            await self._db.write(self._put, source, digest, listed, now)
            self._added.set()

    async def put_message(self, message: Message, rejection: Rejection, now: int) -> None:
        """Make the refusal of a message as a whole durable with its bytes, as far as they can be read and kept."""
        fragment, left_out = await asyncio.to_thread(_bytes_of, message)
        whole = rejection._replace(reason=rejection.reason + left_out, fragment=fragment)
        await self.put(message.source, message.digest, [(WHOLE, whole)], now)

    async def refusals(self, source: str | None, after: int = 0, limit: int = 100) -> list[Quarantined]:
        """Return what was refused, oldest first, from id `after` on (not included), without bytes."""
        return await self._db.read(_list, source, after, limit)

    async def open(self, id: int) -> Quarantined:  # noqa: A002 - the column's name
        """Return one with its bytes. `NotFound`; `Invalid` when the file was altered or the key is another."""
        found, sealed = await self._db.read(_get, id)
        try:
            fragment = self._cipher.decrypt(
                sealed[:_NONCE_BYTES],
                sealed[_NONCE_BYTES:],
                _context(found.source, found.digest, found.ordinal),
            )
        except (InvalidTag, ValueError, TypeError, AttributeError) as error:  # bytes, or types, were altered
            message = "this entry of the quarantine cannot be opened with this key"
            raise Invalid(message, subject=str(id), remedy="use the home whose keys sealed it") from error
        return found._replace(fragment=fragment)

    # --- reports to the operator
    async def reports(self, after: int, limit: int) -> list[Report]:
        """Return what was refused, oldest first, from id `after` on (not included), numbered within its message."""
        return await self._db.read(_reports, after, limit)

    async def newest(self) -> int:
        """Return the id of what was refused last, 0 when nothing was. Ids grow by one: nothing is ever removed."""
        return await self._db.read(_newest)

    async def beyond(self, id: int) -> None:  # noqa: A002 - the column's name
        """Return once something was refused after `id`."""
        while True:
            self._added.clear()
            if await self.newest() > id:
                return
            await self._added.wait()

    async def reported(self) -> int:
        """Return the id up to which the operator's output has everything, 0 at first."""
        return await self._db.read(_reported)

    async def mark_reported(self, id: int) -> None:  # noqa: A002 - the column's name
        """Make durable that the operator's output has everything up to `id`."""
        await self._db.write(_mark_reported, id)

    async def readers(self) -> list[str]:
        """Return who may read the operator's output, by name."""
        return await self._db.read(_readers)

    async def let_read(self, name: str) -> None:
        """Record that `name` may read the operator's output; again is no harm."""
        await self._db.write(_let_read, name)

    async def shut_out(self, name: str) -> None:
        """Record that `name` may not; one that might not is no harm."""
        await self._db.write(_shut_out, name)

    def _put(
        self,
        db: sqlite3.Connection,
        source: str,
        digest: bytes,
        rejections: Sequence[tuple[int, Rejection]],
        now: int,
    ) -> None:
        rows = [
            (source, digest, at, r.reason, r.where, r.code, now, self._seal(source, digest, at, r.fragment))
            for at, r in rejections
        ]
        db.executemany(
            """INSERT OR IGNORE INTO quarantine
               (source, digest, ordinal, reason, place, code, quarantined_at, sealed)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            rows,
        )

    def _seal(self, source: str, digest: bytes, ordinal: int, fragment: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, fragment, _context(source, digest, ordinal))


def _context(source: str, digest: bytes, ordinal: int) -> bytes:
    return b"\0".join((source.encode(), digest.hex().encode(), str(ordinal).encode()))


def _bytes_of(message: Message) -> tuple[bytes, str]:
    """Return the bytes that are kept of a message, and what to say of those that are not."""
    most = QUARANTINED_MESSAGE_BYTES
    if isinstance(message.body, bytes):
        found = message.body
    else:
        try:
            with message.body() as file:
                found = file.read(most + 1)
        except (
            OSError,
            EOFError,
            ValueError,
            zlib.error,
        ):  # gone, or packed and broken: the refusal stands without it
            return b"", "; its bytes could not be read again"
    return (found, "") if len(found) <= most else (found[:most], f"; its first {most >> 20} MiB are kept")


def _list(db: sqlite3.Connection, source: str | None, after: int, limit: int) -> list[Quarantined]:
    sql = f"SELECT {_COLUMNS} FROM quarantine WHERE id > ? AND (? IS NULL OR source = ?) ORDER BY id LIMIT ?"  # noqa: S608
    return [Quarantined(*row) for row in db.execute(sql, (after, source, source, limit))]


def _get(db: sqlite3.Connection, number: int) -> tuple[Quarantined, bytes]:
    row = db.execute(f"SELECT {_COLUMNS}, sealed FROM quarantine WHERE id = ?", (number,)).fetchone()  # noqa: S608
    if row is None:
        message = "there is no such entry in the quarantine"
        raise NotFound(message, subject=str(number))
    return Quarantined(*row[:-1]), row[-1]


def _reports(db: sqlite3.Connection, after: int, limit: int) -> list[Report]:
    numbers = Counter[tuple[str, bytes]]()
    found = []
    for each in _list(db, None, after, limit):
        message = each.source, each.digest
        if message not in numbers:
            (numbers[message],) = db.execute(
                "SELECT count(*) FROM quarantine WHERE source = ? AND digest = ? AND id < ?",
                (*message, each.id),
            ).fetchone()
        numbers[message] += 1
        found.append(Report(each, numbers[message]))
    return found


def _newest(db: sqlite3.Connection) -> int:
    (found,) = db.execute("SELECT coalesce(max(id), 0) FROM quarantine").fetchone()
    return int(found)


def _reported(db: sqlite3.Connection) -> int:
    (found,) = db.execute("SELECT coalesce(max(id), 0) FROM reported").fetchone()
    return int(found)


def _mark_reported(db: sqlite3.Connection, number: int) -> None:
    db.execute("INSERT OR REPLACE INTO reported VALUES (1, ?)", (number,))


def _readers(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM report_readers ORDER BY name")]


def _let_read(db: sqlite3.Connection, name: str) -> None:
    db.execute("INSERT OR IGNORE INTO report_readers VALUES (?)", (name,))


def _shut_out(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM report_readers WHERE name = ?", (name,))
