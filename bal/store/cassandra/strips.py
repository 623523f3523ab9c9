"""Strips: the readings that a batch has of one partition, up to 256 in one row of `readings`.

Many readings of a point in a batch (a day's file, a PMU's frames) are one row so; one alone costs little more than its text.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bal.core.address import Address
from bal.core.entry import Entry
from bal.core.errors import Invalid
from bal.core.reading import Reading
from bal.store.cassandra.buckets import bucket_of, reach_of, span_of

STRIP_READINGS: Final = 256
STRIPS_OF_TIMES: Final = """SELECT newest, log, seq, number, oldest, indexes, contents FROM readings
    WHERE source = ? AND point = ? AND quantity = ? AND span = ? AND bucket = ? AND newest >= ? AND newest <= ?"""
"""The strips of a partition, newest first. Those of times are sought as far as `reach_of` beyond them."""
STRIP_PAGE: Final = 128
"""Rows of a page: 30 kB of single readings, 400 to 500 kB of full strips (3 to 4 kB each, compressed)."""
_INDEX_BYTES: Final = 2
_INDEX: Final = struct.Struct(">H").pack
_PLAIN_BYTES: Final = 1024
"""Longest contents that are left as they are: below, zlib costs more time than the bytes are worth."""
_LEVEL: Final = 1
_HEADS: Final = 1024
"""Kinds of readings whose part of the text is kept."""
_QUOTED: Final = '","'
_KINDS: Final = (str, str, str, str, int, str, str, int, int)
"""Of the columns of contents."""
_Numbered = tuple[int, Reading]
"""A reading and its index in the batch."""
_BROKEN: Final = (ValueError, TypeError, struct.error, zlib.error, RecursionError)


class Partition(NamedTuple):
    """Where readings of one quantity of one point stand for one stretch of time: the partition key of `readings`."""

    source: str
    point: str
    quantity: str
    span: int
    """Seconds."""
    bucket: int


class Strip(NamedTuple):
    """A row of `readings`, without its partition. Nothing of what was read from there is certain to be of its type."""

    newest: int
    """Latest timestamp it was sealed with, microseconds."""
    log: str
    seq: int
    number: int
    """Which of the strips of its partition and batch, from 0."""
    oldest: int
    """Earliest timestamp it was sealed with, microseconds."""
    indexes: bytes
    contents: bytes

    @property
    def key(self) -> tuple[int, str, int, int]:
        """Return which row of its partition it is."""
        return self[:4]

    def readings(self, partition: Partition) -> list[tuple[Address, Reading]]:
        """Return what it holds, as it was put there.

        `Invalid` where it can't be read, or where a query that goes by `newest`, `oldest` and the bucket might not come
        upon all of it.
        """
        source, point, quantity, span, bucket = partition
        try:
            indexes = indexes_of(self.indexes)
            count = len(indexes)
            columns = [each if type(each) is list else [each] * count for each in _columns(self.contents)]
            for column, kind in zip(columns, _KINDS, strict=True):
                if len(column) != count or set(map(type, column)) != {kind}:
                    raise ValueError
            times = columns[7]
            if not (
                self.oldest <= min(times)
                and max(times) <= self.newest <= self.oldest + reach_of(span)
                and bucket_of(self.oldest, span) == bucket == bucket_of(self.newest, span)
            ):
                raise ValueError
        except _BROKEN:
            message = "the readings of a measuring point were altered"
            raise Invalid(message, subject=f"{self.log}:{self.seq}", remedy="run `bal audit`") from None
        log, seq = self.log, self.seq
        return [
            (
                Address(log, seq, index),
                Reading(
                    *(source, point, component, quantity, reading_type, phase, value, unit),
                    *(timestamp, interval, quality, received),
                ),
            )
            for index, component, reading_type, phase, unit, interval, quality, value, timestamp, received in zip(
                indexes, *columns, strict=True
            )
        ]


def partition_of(reading: Reading) -> Partition:
    """Return where a reading stands."""
    span = span_of(reading.reading_type)
    return Partition(
        reading.source, reading.point, reading.quantity, span, bucket_of(reading.timestamp, span)
    )


def strips(log: str, seq: int, entries: Sequence[Entry]) -> Iterator[tuple[Partition, Strip]]:
    """Yield all strips of a batch, those of one partition together; of the same entries always the same."""
    spans = _Spans()
    partitions: dict[tuple[str, str, str, int, int], list[_Numbered]] = {}
    for index, entry in enumerate(entries):
        if type(entry) is Reading:
            span, length = spans[entry.reading_type]
            key = (entry.source, entry.point, entry.quantity, span, entry.timestamp // length)
            known = partitions.get(key)
            if known is None:
                partitions[key] = [(index, entry)]
            else:
                known.append((index, entry))
    for key, numbered in partitions.items():
        partition = Partition._make(key)
        if len(numbered) == 1:  # as all of a batch of quarter hours may be: a third of the time
            ((index, reading),) = numbered
            time = reading.timestamp
            yield partition, Strip(time, log, seq, 0, time, _INDEX(index), _alone(reading))
            continue
        for number, part in enumerate(_parts(numbered, reach_of(key[3]))):
            times = [each.timestamp for _, each in part]
            indexes = pack([index for index, _ in part])
            contents = encode_readings([each for _, each in part])
            yield partition, Strip(max(times), log, seq, number, min(times), indexes, contents)


def encode_readings(readings: Sequence[Reading]) -> bytes:
    """Return what readings of one partition have beside it: JSON, under zlib (RFC 1950) where it is long.

    A list with a column for each of component, reading_type, phase, unit, interval, quality, value, timestamp, received_at: what
    all have in common, or a list with one for each. Written by a template, as the canonical form is.
    """
    if len(readings) == 1:
        return _alone(readings[0])
    columns: list[tuple[Any, ...]] = list(zip(*readings, strict=True))
    _, _, component, _, reading_type, phase, values, unit, times, interval, quality, received = columns
    kinds = (component, reading_type, phase, unit, interval, quality)
    common = set(zip(*kinds, strict=True))
    head = _head(*common.pop()) if len(common) == 1 else _text([_once(each) for each in kinds])
    told = received[0] if len(set(received)) == 1 else f"[{_listed(received)}]"
    text = f'[{head},["{_QUOTED.join(values)}"],[{_listed(times)}],{told}]'.encode()
    return text if len(text) <= _PLAIN_BYTES else zlib.compress(text, _LEVEL)


def _alone(reading: Reading) -> bytes:
    _, _, component, _, reading_type, phase, value, unit, timestamp, interval, quality, received = reading
    head = _head(component, reading_type, phase, unit, interval, quality)
    return f'[{head},"{value}",{timestamp},{received}]'.encode()


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _once(column: Sequence[object]) -> object:
    return column[0] if len(set(column)) == 1 else column


@lru_cache(_HEADS)
def _head(*kind: object) -> str:
    """Return what the readings of a stream have in common, again and again."""
    return _text(kind)


def _text(columns: Sequence[object]) -> str:
    return json.dumps(columns, separators=(",", ":"))[1:-1]


def pack(indexes: Sequence[int]) -> bytes:
    """Return indexes of a batch, two bytes each, big-endian."""
    return struct.pack(f">{len(indexes)}H", *indexes)


def indexes_of(blob: bytes) -> tuple[int, ...]:
    """Return the indexes of `pack`. `ValueError` where they are none."""
    if not blob or len(blob) % _INDEX_BYTES:
        message = "these are no indexes"
        raise ValueError(message)
    return struct.unpack(f">{len(blob) // _INDEX_BYTES}H", blob)


def _columns(contents: bytes) -> list[Any]:
    columns = json.loads(contents if contents[:1] == b"[" else zlib.decompress(contents))
    if type(columns) is not list:
        raise TypeError
    return columns


class _Spans(dict[str, tuple[int, int]]):
    """Bucket length of reading types that come again and again: in seconds, in microseconds."""

    def __missing__(self, reading_type: str) -> tuple[int, int]:
        seconds = span_of(reading_type)
        found = self[reading_type] = (seconds, seconds * 1_000_000)
        return found


def _parts(numbered: list[_Numbered], reach: int) -> Iterator[list[_Numbered]]:
    """Cut the readings of a partition into strips: not too many, and not too far apart in time."""
    times = [each.timestamp for _, each in numbered]
    if len(numbered) <= STRIP_READINGS and max(times) - min(times) <= reach:
        yield numbered
        return
    part: list[_Numbered] = []
    for each in sorted(numbered, key=lambda each: each[1].timestamp):
        if len(part) == STRIP_READINGS or (part and each[1].timestamp - part[0][1].timestamp > reach):
            yield part
            part = []
        part.append(each)
    yield part
