"""JSON Lines (jsonlines.org): one certificate a line, a folder per source, a file per day of the anchor's time."""

import asyncio
import io
import json
import mmap
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from bal.core.address import Address
from bal.core.certified import CERTIFICATE_VERSION, CertifiedBatch
from bal.core.errors import Malformed, PublishRefused, Unavailable

FILE_BYTES = 256 * 1024 * 1024
"""A day's next part is begun before a batch once its newest is larger."""
LINE_BYTES = 1024 * 1024
"""Longest line looked for from the end; a certificate has some 1,500 bytes."""

_ERASED = b'{"address":"%s","erased":true}'


class JsonLines:
    """Files `{source}/{YYYY-MM-DD}.jsonl`, then `{YYYY-MM-DD}.1.jsonl` and so on, under `directory`.

    A batch is appended as one write and fsynced before `publish` returns. An incomplete last line, left by a crash, is
    cut off before anything is appended; entries that stand at the file's end already are not written again. The date is
    that of the ledger's transaction, so the same batch always goes to the same day.
    """

    name = "jsonl"

    def __init__(self, directory: Path, file_bytes: int = FILE_BYTES) -> None:
        self._directory = directory
        self._file_bytes = file_bytes
        self._turn = asyncio.Lock()
        self._ends: dict[Path, Address | None] = {}
        """Files whose end this process knows: the address of their last line."""
        for left in directory.glob("*/.*.jsonl.*"):  # a crash while an erasure rewrote a file
            left.unlink(missing_ok=True)

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Append the certificates of `sources`; raise `Unavailable` when the disk does not take them.

        Raises `PublishRefused` when a file was changed by somebody else, so that its end cannot be told.
        """
        async with self._turn:
            try:
                await asyncio.to_thread(self._publish, batch, sources)
            except OSError as error:
                self._ends.clear()  # how far it came is read from the files
                raise _failed(error) from error

    async def erase(self, address: Address) -> int:
        """Rewrite every file that holds the certificate of `address` without it; return how many lines went.

        In its place stands `{"address": …, "erased": true}`. Raises `Unavailable` when the disk does not let it.
        """
        async with self._turn:
            try:
                return await asyncio.to_thread(self._erase, address)
            except OSError as error:
                raise _failed(error) from error

    def _publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        day = batch.commitment.time[:10]
        lines: dict[str, list[str]] = {}
        indexes: dict[str, list[int]] = {}
        for index, entry, certificate in batch.certificates(sources):
            lines.setdefault(entry.source, []).append(certificate)
            indexes.setdefault(entry.source, []).append(index)
        for source, certificates in lines.items():
            path = self._newest(source, day)
            end = self._end(path)
            first = _first_missing(end, batch, indexes[source])
            if end is not None and end.log != batch.commitment.anchor.log:
                first = self._standing(source, day, batch, indexes[source])
            if first < len(certificates):
                if path.exists() and path.stat().st_size >= self._file_bytes and not first:
                    path = self._part(source, day, self._parts(source, day))
                _append(path, "\n".join(certificates[first:]).encode() + b"\n")
                self._ends[path] = batch.address(indexes[source][-1])

    def _part(self, source: str, day: str, number: int) -> Path:
        return self._directory / source / (f"{day}.{number}.jsonl" if number else f"{day}.jsonl")

    def _parts(self, source: str, day: str) -> int:
        number = 0
        while self._part(source, day, number).exists():
            number += 1
        return number

    def _newest(self, source: str, day: str) -> Path:
        return self._part(source, day, max(self._parts(source, day) - 1, 0))

    def _end(self, path: Path) -> Address | None:
        if path not in self._ends or not path.exists():  # it may have been moved away
            self._ends = {known: end for known, end in self._ends.items() if known.parent != path.parent}
            self._ends[path] = _repair(path) if path.exists() else None
        return self._ends[path]

    def _standing(self, source: str, day: str, batch: CertifiedBatch, indexes: Sequence[int]) -> int:
        """Return how many of the entries stand in the day's files, whatever log their last line is of."""
        anchor = batch.commitment.anchor
        place = f'"address":"{anchor.log}:{anchor.seq}:'
        starts = (f'{{"version":{CERTIFICATE_VERSION},{place}'.encode(), f"{{{place}".encode())
        last = -1
        for number in range(self._parts(source, day)):
            path = self._part(source, day, number)
            for start in starts:
                for first, end in _lines_that_begin(path, start):
                    with path.open("rb") as file:
                        file.seek(first)
                        last = max(last, Address.parse(json.loads(file.read(end - first))["address"]).index)
        return sum(index <= last for index in indexes)

    def _erase(self, address: Address) -> int:
        start = f'{{"version":{CERTIFICATE_VERSION},"address":"{address}",'.encode()
        note = _ERASED % str(address).encode()
        count = 0
        for path in sorted(self._directory.glob("*/*.jsonl")):
            places = list(_lines_that_begin(path, start))
            if places:
                _rewrite(path, places, note)
                count += len(places)
        return count


def _first_missing(end: Address | None, batch: CertifiedBatch, indexes: Sequence[int]) -> int:
    """Return how many of the entries stand in the file already: addresses of one log only grow."""
    anchor = batch.commitment.anchor
    if end is None or end.log != anchor.log or end.seq < anchor.seq:
        return 0
    if end.seq > anchor.seq:
        return len(indexes)
    return sum(index <= end.index for index in indexes)


def _append(path: Path, data: bytes) -> None:
    new = not path.exists()
    if new:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        _sync_directory(path.parent)
        _sync_directory(path.parent.parent)


def _repair(path: Path) -> Address | None:
    """Cut off an incomplete last line; return the address of the last whole one."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(size - LINE_BYTES, 0)
        file.seek(start)
        tail = file.read()
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            if not whole and start:
                raise _strange(path, "a file of certificates does not end in lines")
            file.truncate(start + whole)
            os.fsync(file.fileno())
        lines = tail[:whole].splitlines()
    if not lines:
        return None
    try:
        return Address.parse(json.loads(lines[-1])["address"])
    except (ValueError, KeyError, TypeError, Malformed) as error:
        raise _strange(path, "a file of certificates ends in a line that is none") from error


def _lines_that_begin(path: Path, start: bytes) -> Iterator[tuple[int, int]]:
    """Yield the (first, last + 1) bytes of every line that begins with `start`, without its line end."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(start)
        while place >= 0:
            if place == 0 or content[place - 1] == 0x0A:
                end = content.find(b"\n", place)
                yield place, end if end >= 0 else len(content)
            place = content.find(start, place + 1)


def _rewrite(path: Path, places: Sequence[tuple[int, int]], note: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with path.open("rb") as old:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as new:
                done = 0
                for first, end in places:
                    _copy(old, new, first - done)
                    new.write(note)
                    done = old.seek(end)
                _copy(old, new, path.stat().st_size - done)
                new.flush()
                os.fsync(new.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _copy(old: io.BufferedReader, new: io.BufferedWriter, count: int) -> None:
    while count:
        piece = old.read(min(count, 1 << 20))
        new.write(piece)
        count -= len(piece)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(error: OSError) -> Unavailable:
    message = "the files of certificates could not be written"
    return Unavailable(message, subject=error.strerror or "", remedy="make room on the disk, or repair it")


def _strange(path: Path, what: str) -> PublishRefused:
    remedy = f"move {path.name} away and publish its batches again"
    return PublishRefused(what, source=path.parent.name, remedy=remedy)
