"""The ledger's file: one block a line, only ever appended to, every append on disk before it returns."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bal.anchor.embedded.block import FIRST_PREVIOUS, LINE_BYTES, Block, altered, read_block
from bal.core.errors import HomeLocked, LedgerAltered


class Tip(NamedTuple):
    """Where a chain ends: how many blocks, the hash of the last, how many bytes of the file they take."""

    height: int = 0
    hash: str = FIRST_PREVIOUS
    offset: int = 0


class BlockFile:
    """The file, open for appending by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()  # an append whose waiter was cancelled still ends before the next step
        existed = path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise HomeLocked(
                "another process writes the ledger", subject=path.name, remedy="stop it or go through it"
            ) from None
        if not existed:
            sync_directory(path.parent)

    def append(self, line: bytes) -> None:
        """Write a whole line and return once it is on disk; OSError leaves the end of the file unknown."""
        with self._turn:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            getattr(os, "fdatasync", os.fsync)(self._file)  # macOS has fsync alone

    def cut(self, offset: int) -> None:
        """Drop everything from byte `offset` on; on disk when it returns."""
        with self._turn:
            os.ftruncate(self._file, offset)
            os.fsync(self._file)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._file).st_size

    def close(self) -> None:
        """Let the file and its lock go."""
        with self._turn:
            os.close(self._file)


class BlockReader:
    """Reads blocks in order from `tip` on; `tip` moves along. An incomplete last line ends it and is no fault.

    Never more than one line is in memory. A file that is not there is an empty chain.
    """

    def __init__(self, path: Path, key: Ed25519PublicKey, tip: Tip = Tip()) -> None:  # noqa: B008 - immutable
        self._path = path
        self._key = key
        self.tip = tip
        self.unfinished = 0
        """Bytes after the last block: the beginning of one that was never answered."""

    def __iter__(self) -> Iterator[Block]:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self.tip.offset)
            while line := file.readline(LINE_BYTES + 1):
                number, previous, offset = self.tip
                if not line.endswith(b"\n"):
                    self._check_unfinished(line)
                    return
                block, digest = read_block(line[:-1], number, previous, self._key)
                self.tip = Tip(number + 1, digest, offset + len(line))
                yield block

    def until(self, end: int) -> Iterator[Block]:
        """Yield the blocks up to byte `end`, where one must end; `LedgerAltered` when the file is shorter."""
        if self.tip.offset < end:
            for block in self:
                yield block
                if self.tip.offset >= end:
                    break
        if self.tip.offset != end:
            raise altered(self.tip.height, "the file ends before what was written")

    def _check_unfinished(self, line: bytes) -> None:
        """Tell a line whose writing was cut short from one whose end was changed: that still holds its block."""
        number, previous, _ = self.tip
        if len(line) > LINE_BYTES:
            raise altered(number, "its line does not end")
        try:
            read_block(line[:-1], number, previous, self._key)
        except LedgerAltered:
            self.unfinished = len(line)
            return
        raise altered(number, "the end of its line was changed")


def ends_at(path: Path, key: Ed25519PublicKey, before: Tip, tip: Tip) -> bool:
    """Tell whether the one block of the file after `before` is the block `tip` names."""
    reader = BlockReader(path, key, before)
    try:
        next(reader.until(tip.offset), None)
    except LedgerAltered:
        return False
    return reader.tip == tip


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
