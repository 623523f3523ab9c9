"""Rows of a batch as they are written: readings by measuring point, and the lists that lead to them."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bal.core.entry import Entry, Erasure
from bal.core.limits import TILE_LEAVES
from bal.core.reading import Reading
from bal.store.cassandra.buckets import ERA_SECONDS, SLOT_SECONDS, slot_of, span_of
from bal.store.cassandra.session import Write
from bal.store.cassandra.strips import strips

# Rows of a batch have 1 as their write timestamp. Such a row is written with one content for ever, so it needs no order
# among writes of its own; whatever is written or deleted later wins over it, whatever any clock says, and writing it again
# changes nothing.
INSERT_STRIP: Final = """INSERT INTO readings (source, point, quantity, span, bucket, newest, log, seq, number,
    oldest, indexes, contents)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP 1"""
DELETE_STRIP: Final = """DELETE FROM readings WHERE source = ? AND point = ? AND quantity = ? AND span = ? AND bucket = ?
    AND newest = ? AND log = ? AND seq = ? AND number = ?"""
INSERT_TILE: Final = (
    "INSERT INTO tiles (log, seq, number, leaves, contents) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP 1"
)
INSERT_ERASURE: Final = "INSERT INTO erasures (log, seq, idx) VALUES (?, ?, ?) USING TIMESTAMP 1"
DELETE_ERASURE: Final = "DELETE FROM erasures WHERE log = ? AND seq = ? AND idx = ?"
INSERT_SLOT_TILES: Final = (
    "INSERT INTO slot_tiles (source, slot, log, seq, numbers) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP 1"
)
DELETE_SLOT_TILES: Final = "DELETE FROM slot_tiles WHERE source = ? AND slot = ? AND log = ? AND seq = ?"
_POINT_ERA: Final = "INSERT INTO point_eras (source, point, era, quantity, span) VALUES (?, ?, ?, ?, ?)"
_SOURCE_ERA: Final = "INSERT INTO source_eras (source, era) VALUES (?, ?)"
_SOURCE_SLOT: Final = "INSERT INTO source_slots (source, era, slot) VALUES (?, ?, ?)"
_KNOWN_MOST: Final = 500_000
_ERA: Final = ERA_SECONDS * 1_000_000
_SLOTS_OF_ERA: Final = ERA_SECONDS // SLOT_SECONDS
_INT: Final = struct.Struct(">i").pack
_BIGINT: Final = struct.Struct(">q").pack


def strip_values(log: str, seq: int, entries: Sequence[Entry]) -> Iterator[list[bytes]]:
    """Yield the values of `INSERT_STRIP` for every strip of a batch, those of one partition together.

    In the form of the native protocol (v5, section 6): text UTF-8, int and bigint big-endian two's complement.
    """
    texts, log_bytes, seq_bytes = _Texts(), log.encode(), _BIGINT(seq)
    for (source, point, quantity, span, bucket), strip in strips(log, seq, entries):
        yield [
            texts[source],
            texts[point],
            texts[quantity],
            _INT(span),
            _BIGINT(bucket),
            _BIGINT(strip.newest),
            log_bytes,
            seq_bytes,
            _INT(strip.number),
            _BIGINT(strip.oldest),
            strip.indexes,
            strip.contents,
        ]


class _Texts(dict[str, bytes]):
    """UTF-8 of texts that come again and again."""

    def __missing__(self, text: str) -> bytes:
        encoded = self[text] = text.encode()
        return encoded


def slots(entries: Sequence[Entry]) -> dict[tuple[str, int], set[int]]:
    """Return for each source and five minutes which tiles hold readings of them."""
    found: dict[tuple[str, int], set[int]] = {}
    for index, entry in enumerate(entries):
        if type(entry) is Reading:
            found.setdefault((entry.source, slot_of(entry.timestamp)), set()).add(index // TILE_LEAVES)
    return found


def numbers_text(numbers: Iterable[int]) -> str:
    """Return numbers of tiles as they stand in `slot_tiles`."""
    return " ".join(map(str, sorted(numbers)))


def slot_writes(log: str, seq: int, entries: Sequence[Entry]) -> list[Write]:
    """Return the writes that lead from time to tiles."""
    return [
        (INSERT_SLOT_TILES, (source, slot, log, seq, numbers_text(numbers)))
        for (source, slot), numbers in slots(entries).items()
    ]


def erasure_writes(log: str, seq: int, entries: Sequence[Entry]) -> list[Write]:
    """Return the writes that list the notes of erasures."""
    return [(INSERT_ERASURE, (log, seq, i)) for i, each in enumerate(entries) if type(each) is Erasure]


def removals(log: str, seq: int, entries: Sequence[Entry]) -> list[Write]:
    """Return the writes that take the rows of a batch away, but for its tiles."""
    gone: list[Write] = [
        (DELETE_STRIP, (*partition, *strip.key)) for partition, strip in strips(log, seq, entries)
    ]
    gone += [(DELETE_ERASURE, (log, seq, i)) for i, each in enumerate(entries) if type(each) is Erasure]
    gone += [(DELETE_SLOT_TILES, (source, slot, log, seq)) for source, slot in slots(entries)]
    return gone


class Listed:
    """What lists of points, eras and slots hold already as far as this process knows: it is not written again."""

    def __init__(self) -> None:
        self._known: set[Write] = set()

    def missing(self, entries: Sequence[Entry]) -> list[Write]:
        """Return the writes of lists that may lack what `entries` need."""
        readings = [each for each in entries if type(each) is Reading]
        points = {(r.source, r.point, r.quantity, r.reading_type, r.timestamp // _ERA) for r in readings}
        times = {(r.source, slot_of(r.timestamp)) for r in readings}
        wanted: dict[Write, None] = {}
        for source, point, quantity, reading_type, era in points:
            wanted[_POINT_ERA, (source, point, era, quantity, span_of(reading_type))] = None
        for source, slot in times:
            era = slot // _SLOTS_OF_ERA
            wanted[_SOURCE_ERA, (source, era)] = wanted[_SOURCE_SLOT, (source, era, slot)] = None
        return [write for write in wanted if write not in self._known]

    def add(self, writes: Iterable[Write]) -> None:
        """Remember that these stand."""
        if len(self._known) > _KNOWN_MOST:
            self._known.clear()
        self._known.update(writes)
