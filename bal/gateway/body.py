"""Bodies: taken in as a stream, unpacked and hashed, kept in memory while small and in an anonymous file beyond."""

import asyncio
import hashlib
import io
import os
import tempfile
import weakref
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from bal.core.errors import Malformed, TooLarge, Unavailable
from bal.core.limits import INLINE_MESSAGE_BYTES

Packing = Literal["plain", "gzip", "detect"]
"""How a body is packed; `detect` looks at its first two bytes (RFC 1952)."""
GZIP_MAGIC: Final = b"\x1f\x8b"
HEAD_BYTES: Final = 64
STEP_BYTES: Final = 256 * 1024
"""Bytes unpacked, hashed and written at a time, beside the event loop."""
_GZIP_WINDOW: Final = 31  # zlib's way to ask for a gzip header and trailer


class Spool:
    """An anonymous temporary file: it has no name, so it ends with the last reader, however the process ends."""

    def __init__(self, directory: Path | None = None) -> None:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            self._descriptor = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append `data`."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._descriptor, rest, self.size)
            self.size += written
            rest = rest[written:]

    def open(self) -> BinaryIO:
        """Return a reader from the beginning, with a place of its own."""
        return cast(BinaryIO, io.BufferedReader(_SpoolReader(self), STEP_BYTES))

    def read_at(self, count: int, place: int) -> bytes:
        """Return up to `count` bytes from `place` on."""
        return os.pread(self._descriptor, count, place)


class _SpoolReader(io.RawIOBase):
    def __init__(self, spool: Spool) -> None:
        super().__init__()
        self._spool = spool
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type] # the buffer protocol has no type in 3.11
        data = self._spool.read_at(len(view), self._place)
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has arrived whole, unpacked."""

    content: bytes | Callable[[], BinaryIO] = field(repr=False)
    digest: bytes
    """SHA-256 of the unpacked bytes."""
    size: int
    head: bytes = field(repr=False)
    """Its first bytes."""


class Receiver:
    """Unpacks, hashes and keeps a body as it arrives. Raises `TooLarge` past `cap` unpacked bytes, `Malformed`."""

    def __init__(
        self,
        *,
        packing: Packing,
        cap: int | None,
        inline: int = INLINE_MESSAGE_BYTES,
        directory: Path | None = None,
    ) -> None:
        self._packing: Packing = packing
        self._cap = cap
        self._inline = inline
        self._directory = directory
        self._hash = hashlib.sha256()
        self._held = bytearray()
        self._spool: Spool | None = None
        self._size = 0
        self._head = b""
        self._early = b""
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)
        self._member_open = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes as sent."""
        if self._packing == "detect":
            self._early += data
            if len(self._early) < len(GZIP_MAGIC):
                return
            data, self._early = self._early, b""
            self._packing = "gzip" if data.startswith(GZIP_MAGIC) else "plain"
        if self._packing == "plain":
            self._take(data)
        else:
            self._unpack(data)

    def finish(self) -> Body:
        """Return the body once all of it was fed."""
        if self._early:
            self._packing = "plain"
            self._take(self._early)
        if self._packing == "gzip" and (self._member_open or not self._size):
            raise Malformed("the gzip stream ends before its end", remedy="pack the document again")
        content = bytes(self._held) if self._spool is None else self._spool.open
        return Body(content, self._hash.digest(), self._size, self._head)

    def _unpack(self, data: bytes) -> None:
        while data:
            self._member_open = True
            try:
                self._take(self._unpacker.decompress(data, STEP_BYTES))
            except zlib.error as error:
                raise Malformed("this is not gzip", remedy="pack the document again") from error
            data = self._unpacker.unconsumed_tail
            if self._unpacker.eof:  # RFC 1952: members may follow one another
                data = self._unpacker.unused_data
                self._unpacker = zlib.decompressobj(_GZIP_WINDOW)
                self._member_open = False

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._cap is not None and self._size > self._cap:
            message = f"the body has more than {self._cap} bytes after unpacking"
            raise TooLarge(message, remedy="send it in parts, or as a file with `bal ingest`")
        if len(self._head) < HEAD_BYTES:
            self._head = (self._head + data)[:HEAD_BYTES]
        self._hash.update(data)
        if self._spool is None and self._size <= self._inline:
            self._held += data
            return
        try:
            if self._spool is None:
                self._spool = Spool(self._directory)
                self._spool.write(bytes(self._held))
                self._held = bytearray()
            self._spool.write(data)
        except OSError as error:
            message = "there is no room to keep this body until it is read"
            raise Unavailable(message, remedy="send it again later") from error


async def receive(chunks: AsyncIterator[bytes], receiver: Receiver) -> Body:
    """Feed every chunk to `receiver` and return the body; long work is done beside the event loop."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= STEP_BYTES:
            await asyncio.to_thread(receiver.feed, b"".join(waiting))
            waiting, size = [], 0
    await asyncio.to_thread(receiver.feed, b"".join(waiting))
    return receiver.finish()
