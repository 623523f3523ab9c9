"""The query for readings: newest first, one of equal neighbours, the last revision or all of them.

A measuring point is read from its own partitions, a whole source by five minutes from the tiles; both give rows in one
order, and what is shown of them follows from that order alone.
"""

import heapq
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from operator import attrgetter
from typing import Any, Final

from bal.core.address import Address
from bal.core.errors import Invalid
from bal.core.limits import EPOCH_MAX, EPOCH_MIN, TILE_LEAVES
from bal.core.reading import Reading
from bal.core.stored import ReadingQuery, StoredReading
from bal.store.cassandra import records, tiles
from bal.store.cassandra.buckets import SLOT_SECONDS, bucket_of, era_of, reach_of, slot_of, within
from bal.store.cassandra.encoding import Numbered
from bal.store.cassandra.session import Session
from bal.store.cassandra.strips import STRIP_PAGE, STRIPS_OF_TIMES, Partition, Strip

KEY_PARTS: Final = 6
_FIRST_PAGE: Final = 32
_TILES: Final = 64
"""Tiles kept by a query for a whole source: some 10 MB."""
_SOURCE_ERAS: Final = "SELECT era FROM source_eras WHERE source = ? AND era >= ? AND era <= ?"
_POINT_ERAS: Final = (
    "SELECT era, quantity, span FROM point_eras WHERE source = ? AND point = ? AND era >= ? AND era <= ?"
)
_SLOTS: Final = "SELECT slot FROM source_slots WHERE source = ? AND era = ? AND slot >= ? AND slot <= ?"
_SLOT_TILES: Final = "SELECT log, seq, numbers FROM slot_tiles WHERE source = ? AND slot = ?"

_Found = tuple[tuple[Any, ...], Address, Reading]
"""A row with its place in the order of the answer."""
_identity = attrgetter("natural_key")
_content = attrgetter("content")


class _Bounds:
    """Timestamps asked for, both included."""

    def __init__(self, query: ReadingQuery) -> None:
        self.low = EPOCH_MIN if query.start is None else query.start
        high = EPOCH_MAX if query.end is None else query.end - 1
        self.high = high if query.after is None else min(high, query.after[0])


async def readings(session: Session, query: ReadingQuery) -> AsyncGenerator[StoredReading, None]:
    """Yield what `query` asks for, a bucket after the other as they are asked for."""
    left = query.limit if query.limit is not None else -1
    if left == 0:
        return
    async with aclosing(_shown(session, query)) as found:
        async for each in found:
            yield each
            left -= 1
            if left == 0:
                return


async def _shown(session: Session, query: ReadingQuery) -> AsyncGenerator[StoredReading, None]:
    rows = _of_source(session, query) if query.point is None else _of_point(session, query, query.point)
    heads: dict[str, int] = {}
    runs: list[StoredReading] = []
    async with aclosing(rows) as ordered:
        async for position, address, reading in ordered:
            if address.log not in heads:
                heads[address.log] = await records.marked_up_to(session, address.log, records.ANCHORED)
            anchored = address.seq <= heads[address.log]
            if query.anchored_only and not anchored:
                continue
            last = runs[-1].reading if runs else None
            if last is not None and _identity(last) != _identity(reading):
                for each in _wanted(runs, query):
                    yield each
                runs = []
            elif last is not None and _content(last) == _content(reading):
                continue
            runs.append(StoredReading(address, reading, anchored, _shown_position(position)))
    for each in _wanted(runs, query):
        yield each


def _wanted(runs: list[StoredReading], query: ReadingQuery) -> Iterable[StoredReading]:
    """Return what is shown of the revisions of one reading that comes after the page before."""
    if not runs:
        return ()
    after = None if query.after is None else tuple(query.after)
    if not query.history:
        return runs[-1:] if after is None or runs[-1].position[:KEY_PARTS] != after[:KEY_PARTS] else ()
    if after is None or runs[0].position[:KEY_PARTS] != after[:KEY_PARTS]:
        return runs
    return [each for each in runs if each.position[KEY_PARTS:] > after[KEY_PARTS:]]


def _place(address: Address, reading: Reading) -> tuple[Any, ...]:
    return (
        *(-reading.timestamp, reading.point, reading.quantity, reading.component, reading.reading_type),
        *(reading.phase, reading.received_at, *address),
    )


def _shown_position(place: tuple[Any, ...]) -> tuple[Any, ...]:
    return (-place[0], *place[1:])


def _follows(place: tuple[Any, ...], query: ReadingQuery) -> bool:
    """Tell whether a row is of the natural key the page before ended with, or after it."""
    return query.after is None or place[:KEY_PARTS] >= (-query.after[0], *query.after[1:KEY_PARTS])


# --- one measuring point ------------------------------------------------------------------------------------------


async def _of_point(session: Session, query: ReadingQuery, point: str) -> AsyncGenerator[_Found, None]:
    bounds = _Bounds(query)
    kinds: dict[int, list[tuple[str, int]]] = {}
    key = (query.source, point, era_of(bounds.low), era_of(bounds.high))
    for era, quantity, span in await session.all(_POINT_ERAS, key):
        if query.quantity in (None, quantity):
            kinds.setdefault(era, []).append((quantity, span))
    for era in sorted(kinds, reverse=True):
        streams = [_partitions(session, query, bounds, era, *kind) for kind in kinds[era]]
        async with aclosing(_merged(streams)) as rows:
            async for row in rows:
                yield row


async def _merged(streams: list[AsyncGenerator[_Found, None]]) -> AsyncGenerator[_Found, None]:
    """Merge streams that are each in order."""
    heap = []
    try:
        for number, stream in enumerate(streams):
            first = await anext(stream, None)
            if first is not None:
                heap.append((first[0], number, first))
        heapq.heapify(heap)
        while heap:
            _, number, row = heap[0]
            yield row
            following = await anext(streams[number], None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following[0], number, following))
    finally:
        for stream in streams:
            await stream.aclose()


async def _partitions(
    session: Session, query: ReadingQuery, bounds: _Bounds, era: int, quantity: str, span: int
) -> AsyncGenerator[_Found, None]:
    """Yield the readings of one quantity of a point in an era, bucket after bucket."""
    page, reach = _FIRST_PAGE, reach_of(span)
    for bucket in await _buckets(session, query.source, bounds, era, span):
        partition = Partition(query.source, query.point or "", quantity, span, bucket)
        key = (*partition, bounds.low, bounds.high + reach)
        waiting: list[_Found] = []
        async with aclosing(session.rows(STRIPS_OF_TIMES, key, page=page)) as rows:
            async for row in rows:
                strip = Strip(*row)
                while waiting and waiting[0][2].timestamp > strip.newest:  # what is to come is older
                    yield heapq.heappop(waiting)
                for found in _asked_of(strip, partition, query, bounds):
                    heapq.heappush(waiting, found)
        while waiting:
            yield heapq.heappop(waiting)
        page = STRIP_PAGE


def _asked_of(strip: Strip, partition: Partition, query: ReadingQuery, bounds: _Bounds) -> Iterator[_Found]:
    """Yield what is asked for of a strip; one that can't be read is left out: the audit names it."""
    if (strip.oldest or 0) > bounds.high:
        return
    try:
        readings = strip.readings(partition)
    except Invalid:
        return
    for address, reading in readings:
        if bounds.low <= reading.timestamp <= bounds.high:
            place = _place(address, reading)
            if _follows(place, query):
                yield place, address, reading


async def _buckets(session: Session, source: str, bounds: _Bounds, era: int, span: int) -> list[int]:
    """Return the buckets of an era that may hold readings, newest first."""
    low, high = bucket_of(bounds.low, span), bucket_of(bounds.high, span)
    if span != SLOT_SECONDS:
        return [bucket for bucket in within(era, span) if low <= bucket <= high]
    return [slot for (slot,) in await session.all(_SLOTS, (source, era, low, high))]


# --- a whole source -----------------------------------------------------------------------------------------------


async def _of_source(session: Session, query: ReadingQuery) -> AsyncGenerator[_Found, None]:
    bounds, near = _Bounds(query), _Tiles(session)
    source, low, high = query.source, slot_of(bounds.low), slot_of(bounds.high)
    for (era,) in await session.all(_SOURCE_ERAS, (source, era_of(bounds.low), era_of(bounds.high))):
        async for (slot,) in session.rows(_SLOTS, (source, era, low, high)):
            for row in await _slot(session, near, query, bounds, slot):
                yield row


class _Tiles:
    """Tiles read last: files of days have many five minutes in one tile, and each asks for it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: OrderedDict[tuple[str, int, int], dict[int, list[Numbered]]] = OrderedDict()

    async def readings(self, log: str, seq: int, number: int, slot: int) -> list[Numbered]:
        """Return the readings of five minutes that a tile holds. `Invalid` for one that can't be read."""
        place = log, seq, number
        if place not in self._read:
            slots: dict[int, list[Numbered]] = {}
            for row in await tiles.some(self._session, *place):
                if type(row.entry) is Reading:
                    slots.setdefault(slot_of(row.entry.timestamp), []).append(row)
            self._read[place] = slots
        self._read.move_to_end(place)
        if len(self._read) > _TILES:
            self._read.popitem(last=False)
        return self._read[place].get(slot, [])


async def _slot(
    session: Session, near: _Tiles, query: ReadingQuery, bounds: _Bounds, slot: int
) -> list[_Found]:
    """Return the rows of five minutes, in order; tiles that can't be read are left out: the audit names them."""
    found: list[_Found] = []
    async for log, seq, numbers in session.rows(_SLOT_TILES, (query.source, slot)):
        for number in _numbers(numbers):
            try:
                rows = await near.readings(log, seq, number, slot)
            except Invalid:
                continue
            for index, entry, _ in rows:
                if type(entry) is not Reading or entry.source != query.source:
                    continue
                if not bounds.low <= entry.timestamp <= bounds.high:
                    continue
                if query.quantity in (None, entry.quantity):
                    address = Address(log, seq, index)
                    place = _place(address, entry)
                    if _follows(place, query):
                        found.append((place, address, entry))
    found.sort()
    return found


def _numbers(text: str) -> list[int]:
    numbers = [int(each) for each in (text or "").split() if each.isdigit()]
    return [number for number in numbers if 0 <= number < (1 << 16) // TILE_LEAVES]
