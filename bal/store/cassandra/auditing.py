"""What an audit asks of the tables beyond their own words: rows that nothing leads to, and places nothing leads to rows."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from bal.core.address import Address
from bal.core.entry import Erasure, StoredEntry
from bal.core.errors import Invalid, NotFound
from bal.core.limits import TILE_LEAVES
from bal.core.reading import Reading
from bal.core.stored import BatchPlace
from bal.store.cassandra import records, registry, rows, tiles
from bal.store.cassandra.buckets import era_of, reach_of, slot_of, span_of
from bal.store.cassandra.encoding import decode_tile
from bal.store.cassandra.session import Session
from bal.store.cassandra.strips import STRIP_PAGE, Partition, Strip, indexes_of, partition_of

_STRIPS: Final = "SELECT log, seq, indexes FROM readings"
_TILES: Final = "SELECT log, seq, number FROM tiles"
_TILE: Final = "SELECT contents FROM tiles WHERE log = ? AND seq = ? AND number = ?"
_BATCHES: Final = "SELECT log, chunk, seq, anchor, tile_roots FROM batches"
_NOTES: Final = "SELECT log, seq, idx FROM erasures"
_ERASED: Final = "SELECT log, seq, idx FROM erased"
_MOVED: Final = "SELECT log, seq, state FROM marks"
_NOTE: Final = "SELECT idx FROM erasures WHERE log = ? AND seq = ? AND idx = ?"
_SOME: Final = """SELECT point, newest, log, seq, number, oldest, indexes, contents FROM readings
    WHERE source = ? AND point IN ? AND quantity = ? AND span = ? AND bucket = ? AND newest >= ? AND newest <= ?"""
_POINT_ERAS: Final = "SELECT point, era, quantity, span FROM point_eras WHERE source = ? AND point IN ?"
_SOURCE_ERA: Final = "SELECT era FROM source_eras WHERE source = ? AND era = ?"
_SOURCE_SLOT: Final = "SELECT slot FROM source_slots WHERE source = ? AND era = ? AND slot = ?"
_SLOT_TILES: Final = "SELECT numbers FROM slot_tiles WHERE source = ? AND slot = ? AND log = ? AND seq = ?"
_POINTS: Final = 64
"""Measuring points asked for in one request."""
_AT_ONCE: Final = 16
_SCAN_ROWS: Final = 5000
_SCAN_STRIPS: Final = 1000
"""Each with half a kilobyte of indexes at most."""
_PASS_READINGS = 1 << 30
"""Readings marked off in one pass, a bit each: 128 MiB."""

Sizes = dict[tuple[str, int], int]
"""How many rows each batch may have, by log and sequence number."""


# --- rows nothing leads to ----------------------------------------------------------------------------------------


async def strays(session: Session) -> list[Address]:
    """Return the addresses of readings that are no batch's, or of a batch but there twice, moved or erased.

    Reads all partitions of `readings`, with one bit of memory for each reading, again for every further billion of readings,
    and some hundred bytes for each batch. Named is only what is there at a second look: a batch may be written, carried over or
    erased from meanwhile.
    """
    found, sizes = await _strays(session, await _sizes(session))
    if found:
        again = set((await _strays(session, sizes))[0])
        found = [address for address in found if address in again]
    return sorted(set(found), key=lambda address: tuple(map(str, address)))


async def _strays(session: Session, sizes: Sizes) -> tuple[list[Address], Sizes]:
    """Return what a look finds, and the sizes as they are after it; `sizes`: those before it."""
    passes = sum(sizes.values()) // _PASS_READINGS + 1
    unknown = [row async for row in session.rows(_TILES, page=_SCAN_ROWS) if (row[0], row[1]) not in sizes]
    found = []
    for turn in range(passes):
        strays, sizes = await _stray_readings(session, passes, turn)
        found += strays
    tiled = [place for place in unknown if (place[0], place[1]) not in sizes]
    return found + await _stray_tiles(session, tiled), sizes


async def _stray_readings(session: Session, passes: int, turn: int) -> tuple[list[Address], Sizes]:
    """Look at the batches whose turn it is, every `passes`-th of a log; return the sizes that were held against them."""
    seen: dict[tuple[str, int], bytearray] = {}
    found: list[Address] = []
    async for page in session.pages(_STRIPS, page=_SCAN_STRIPS):
        for log, seq, blob in page:
            if seq % passes == turn:
                found += _marked_off(seen.setdefault((log, seq), bytearray()), log, seq, blob)
    gone = {Address(*row) for cql in (_NOTES, _ERASED) async for row in session.rows(cql, page=_SCAN_ROWS)}
    found += [each for each in gone if _is_set(seen, each)]
    sizes = await _sizes(session)
    for (log, seq), bits in seen.items():
        first = sizes.get((log, seq), 0)
        found += [Address(log, seq, index) for index in range(first, 8 * len(bits)) if _bit(bits, index)]
    return found, sizes


def _marked_off(bits: bytearray, log: str, seq: int, blob: bytes) -> list[Address]:
    """Set the bits of a strip's indexes; return those that were set. One without indexes is named by -1."""
    try:
        indexes = indexes_of(blob)
    except ValueError:
        return [Address(log, seq, -1)]
    found = []
    for index in indexes:
        byte, bit = index >> 3, 1 << (index & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits)))
        if bits[byte] & bit:
            found.append(Address(log, seq, index))
        bits[byte] |= bit
    return found


def _bit(bits: bytearray, index: int) -> bool:
    return bool(index >> 3 < len(bits) and bits[index >> 3] & 1 << (index & 7))


def _is_set(seen: dict[tuple[str, int], bytearray], address: Address) -> bool:
    bits = seen.get((address.log, address.seq))
    return bits is not None and _bit(bits, address.index)


async def _sizes(session: Session) -> Sizes:
    """Return how many rows each batch may have: 0 for one that was moved, none for one of a log never opened.

    A batch whose record can't be read is named by the audit; its rows are then no strays.
    """
    opened = set(await registry.logs(session))
    moved = {
        (log, seq)
        async for log, seq, state in session.rows(_MOVED, page=_SCAN_ROWS)
        if state == records.MOVED
    }
    sizes = {}
    async for log, chunk, seq, text, _ in session.rows(_BATCHES, page=_SCAN_ROWS):
        if log in opened and chunk == seq // records.CHUNK:
            sizes[log, seq] = 0 if (log, seq) in moved else _size(text)
    return sizes


def _size(text: str) -> int:
    try:
        size = json.loads(text)["size"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return 1 << 16
    return size if type(size) is int else 1 << 16


async def _stray_tiles(session: Session, places: Sequence[tuple[str, int, int]]) -> list[Address]:
    found = []
    for log, seq, number in places:
        row = await session.one(_TILE, (log, seq, number))
        try:
            inside = decode_tile(row[0], f"{log}:{seq}") if row is not None and row[0] else []
        except Invalid:
            continue
        found += [Address(log, seq, each.index) for each in inside]
    return found


async def loose_batches(session: Session) -> list[BatchPlace]:
    """Return where records stand that no lane wrote or, not anchored, none goes before, and tiles that are too many."""
    opened, found, tiled = set(await registry.logs(session)), set(), {}
    there: dict[str, set[int]] = {}
    async for log, chunk, seq, _, roots in session.rows(_BATCHES, page=_SCAN_ROWS):
        tiled[log, seq] = len(roots or b"") // records.HASH_BYTES
        if log not in opened or chunk != seq // records.CHUNK or seq < 0:
            found.add(BatchPlace(log, seq))
        else:
            there.setdefault(log, set()).add(seq)
    for log, seqs in there.items():
        for seq in seqs:
            if seq and seq - 1 not in seqs and await _is_loose(session, log, seq):
                found.add(BatchPlace(log, seq))
    async for log, seq, number in session.rows(_TILES, page=_SCAN_ROWS):
        if (log, seq) not in tiled:
            tiled[log, seq] = await _tiles_of(session, log, seq)
        if not 0 <= number < tiled[log, seq]:
            found.add(BatchPlace(log, seq))
    return sorted(found)


async def _is_loose(session: Session, log: str, seq: int) -> bool:
    try:
        if (await records.batch(session, log, seq)).commitment is not None:
            return False
    except NotFound:
        return False
    except Invalid:
        pass
    try:
        await records.batch(session, log, seq - 1)
    except NotFound:
        return True
    except Invalid:
        pass
    return False


async def _tiles_of(session: Session, log: str, seq: int) -> int:
    """Return how many tiles a batch has that was written after its table was read."""
    try:
        return len((await records.batch(session, log, seq)).tile_roots)
    except (NotFound, Invalid):
        return 0


# --- rows that nothing leads to the queries -----------------------------------------------------------------------


async def unlisted(session: Session, log: str, seq: int) -> list[Address]:
    """Return the addresses of a batch's readings that a query would not show as they were stored, in order.

    Also those of erasures that are not listed as such.
    """
    try:
        stored = await tiles.entries(session, log, seq)
    except Invalid:
        return []
    readings = [row for row in stored if type(row.entry) is Reading]
    found = await _not_shown(session, readings)
    found |= await _not_led_to(session, log, seq, readings)
    for row in stored:
        if type(row.entry) is Erasure and await session.one(_NOTE, row.address) is None:
            found.add(row.address)
    return sorted(found)


async def _not_shown(session: Session, stored: Sequence[StoredEntry]) -> set[Address]:
    """Return the addresses of those that stand in no row of `readings`, or otherwise there."""
    groups: dict[tuple[str, str, int, int], dict[str, list[int]]] = {}
    wanted = {}
    for address, entry, _ in stored:
        if type(entry) is not Reading:
            continue
        wanted[address] = entry
        source, point, quantity, span, bucket = partition_of(entry)
        group = groups.setdefault((source, quantity, span, bucket), {})
        group.setdefault(point, []).append(entry.timestamp)
    asked = []
    for (source, quantity, span, bucket), points in groups.items():
        names = list(points)
        for at in range(0, len(names), _POINTS):
            some = names[at : at + _POINTS]
            times = [time for name in some for time in points[name]]
            asked.append((source, some, quantity, span, bucket, min(times), max(times) + reach_of(span)))
    limit = asyncio.Semaphore(_AT_ONCE)
    batches = {(address.log, address.seq) for address in wanted}

    async def take(key: tuple[Any, ...]) -> None:
        async with limit:
            async for point, *row in session.rows(_SOME, key, page=STRIP_PAGE):
                strip = Strip(*row)
                if (strip.log, strip.seq) not in batches:
                    continue
                try:
                    shown = strip.readings(Partition(key[0], point, *key[2:5]))
                except Invalid:
                    continue  # a query leaves it out
                for address, each in shown:
                    if wanted.get(address) == each:
                        del wanted[address]

    await asyncio.gather(*map(take, asked))
    return set(wanted)


async def _not_led_to(session: Session, log: str, seq: int, stored: Sequence[StoredEntry]) -> set[Address]:
    """Return the addresses of those whose point, era or time the lists of the queries lack."""
    readings = [(row.address, row.entry) for row in stored if isinstance(row.entry, Reading)]
    points: dict[str, set[str]] = {}
    for _, each in readings:
        points.setdefault(each.source, set()).add(each.point)
    known: set[tuple[Any, ...]] = set()
    for source, names in points.items():
        ordered = sorted(names)
        for at in range(0, len(ordered), _POINTS):
            async for row in session.rows(_POINT_ERAS, (source, ordered[at : at + _POINTS])):
                known.add((source, *row))
    times = {(each.source, slot_of(each.timestamp), era_of(each.timestamp)) for _, each in readings}
    led = {}
    for source, slot, era in times:
        era_row, slot_row, tile_row = await asyncio.gather(
            session.one(_SOURCE_ERA, (source, era)),
            session.one(_SOURCE_SLOT, (source, era, slot)),
            session.one(_SLOT_TILES, (source, slot, log, seq)),
        )
        complete = era_row is not None and slot_row is not None and tile_row is not None
        led[source, slot] = set((tile_row[0] or "").split()) if complete and tile_row is not None else set()
    found = set()
    for address, each in readings:
        kind = (each.source, each.point, era_of(each.timestamp), each.quantity, span_of(each.reading_type))
        number = rows.numbers_text([address.index // TILE_LEAVES])
        if kind not in known or number not in led[each.source, slot_of(each.timestamp)]:
            found.add(address)
    return found
