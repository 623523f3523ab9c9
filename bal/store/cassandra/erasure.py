"""Erasing: a reading and its salt are deleted wherever a row holds them; compaction then takes them from the files."""

import asyncio
from typing import Final

from bal.core.address import Address
from bal.core.entry import Erasure
from bal.core.errors import Erased, NotFound
from bal.core.limits import TILE_LEAVES
from bal.core.reading import Reading
from bal.core.stored import ErasureNote
from bal.store.cassandra import tiles
from bal.store.cassandra.buckets import reach_of
from bal.store.cassandra.encoding import decode_tile, encode_tile
from bal.store.cassandra.records import CHUNK
from bal.store.cassandra.rows import DELETE_STRIP
from bal.store.cassandra.session import Session
from bal.store.cassandra.strips import (
    STRIP_PAGE,
    STRIPS_OF_TIMES,
    Partition,
    Strip,
    encode_readings,
    pack,
    partition_of,
)

_NOTE: Final = "INSERT INTO erased (log, seq, idx, lookup) VALUES (?, ?, ?, ?)"
_PARTS: Final = 16
"""Partitions of `erased_lookups`: under 100,000 rows each for 1.6 million erasures."""
_BAR: Final = "INSERT INTO erased_lookups (part, lookup) VALUES (?, ?)"
_LOOKUPS: Final = "SELECT lookup FROM erased_lookups WHERE part = ?"
_NOTES: Final = "SELECT seq, idx FROM erasures WHERE log = ?"
_TILE: Final = "SELECT contents FROM tiles WHERE log = ? AND seq = ? AND number = ?"
# Conditional, so that two who erase from one tile, or one strip, do not put back what the other took out.
_REWRITE: Final = "UPDATE tiles SET contents = ? WHERE log = ? AND seq = ? AND number = ? IF contents = ?"
_DROP_PAYLOAD: Final = "DELETE payload FROM batches WHERE log = ? AND chunk = ? AND seq = ? IF EXISTS"
_STRIP: Final = """SELECT newest, log, seq, number, oldest, indexes, contents FROM readings WHERE source = ? AND point = ?
    AND quantity = ? AND span = ? AND bucket = ? AND newest = ? AND log = ? AND seq = ? AND number = ?"""
_REWRITE_STRIP: Final = """UPDATE readings SET indexes = ?, contents = ? WHERE source = ? AND point = ? AND quantity = ?
    AND span = ? AND bucket = ? AND newest = ? AND log = ? AND seq = ? AND number = ?
    IF contents = ?"""
_DROP_STRIP: Final = f"{DELETE_STRIP} IF contents = ?"


async def erase(session: Session, note: ErasureNote, lookup: bytes) -> None:
    """Delete reading and salt of `note.target` from all tables; again, also after a crash, goes on where it was left."""
    log, seq, index = note.target
    number = index // TILE_LEAVES
    await asyncio.gather(
        session.write(_NOTE, (log, seq, index, lookup)),
        session.write(_BAR, (lookup[0] % _PARTS, lookup)),
        session.apply(_DROP_PAYLOAD, (log, seq // CHUNK, seq)),  # gone already, unless a clock was wrong
    )
    while True:
        found = await session.one(_TILE, (log, seq, number), serial=True)
        blob = found[0] if found is not None else None
        rows = decode_tile(blob, str(note.target)) if blob else []
        kept = [row for row in rows if row.index != index]
        if len(kept) == len(rows):
            return
        for row in rows:
            if row.index == index and type(row.entry) is Reading:
                await _take_out(session, note.target, row.entry)
        done, _ = await session.apply(_REWRITE, (encode_tile(kept), log, seq, number, blob))
        if done:
            return


async def _take_out(session: Session, address: Address, reading: Reading) -> None:
    """Write the strips that hold a reading anew without it. `Invalid` for one that can't be read: it may hold it too."""
    partition = partition_of(reading)
    for strip in await _of_time(session, partition, reading.timestamp):
        if (strip.log, strip.seq) == address[:2]:
            await _thin_out(session, partition, strip, address)


async def _thin_out(session: Session, partition: Partition, strip: Strip, address: Address) -> None:
    done = False
    while not done:
        row = await session.one(_STRIP, (*partition, *strip.key), serial=True)
        if row is None:
            return
        found = Strip(*row)
        held = found.readings(partition)
        kept = [each for each in held if each[0] != address]
        if len(kept) == len(held):
            return
        key = (*partition, *strip.key, found.contents)
        if not kept:
            done, _ = await session.apply(_DROP_STRIP, key)
        else:
            left = pack([place.index for place, _ in kept]), encode_readings([each for _, each in kept])
            done, _ = await session.apply(_REWRITE_STRIP, (*left, *key))


async def _of_time(session: Session, partition: Partition, timestamp: int) -> list[Strip]:
    """Return the strips that may hold a reading of `timestamp`."""
    slice_ = (timestamp, timestamp + reach_of(partition.span))
    rows = session.rows(STRIPS_OF_TIMES, (*partition, *slice_), page=STRIP_PAGE)
    found = [Strip(*row) async for row in rows]
    return [strip for strip in found if (strip.oldest or 0) <= timestamp]


async def repetitions(session: Session, reading: Reading) -> list[Address]:
    """Return where readings of the natural key and value of `reading` stand, in order of receipt.

    `Invalid` where a row that may hold one can't be read.
    """
    partition = partition_of(reading)
    found = [
        (each.received_at, address)
        for strip in await _of_time(session, partition, reading.timestamp)
        for address, each in strip.readings(partition)
        if (each.natural_key, each.value) == (reading.natural_key, reading.value)
    ]
    return [address for _, address in sorted(found)]


async def lookups(session: Session) -> set[bytes]:
    """Return the keyed digests of everything erased: some 100 bytes of memory for each."""
    parts = await asyncio.gather(*(session.all(_LOOKUPS, (part,)) for part in range(_PARTS)))
    return {bytes(lookup) for rows in parts for (lookup,) in rows}


async def erasures(session: Session, log: str) -> list[ErasureNote]:
    """Return the notes whose entry stands in `log`, in order."""
    notes = []
    async for seq, index in session.rows(_NOTES, (log,)):
        place = Address(log, seq, index)
        try:
            row = await tiles.entry(session, place)
        except (NotFound, Erased):
            continue  # the audit tells of it
        if type(row.entry) is Erasure:
            notes.append(ErasureNote(Address.parse(row.entry.address), place, row.entry, row.salt))
    return notes
