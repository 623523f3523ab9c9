"""Tiles: the leaves of a batch, 256 a row, with their entries and salts beside them."""

from collections.abc import Iterable

from bal.core.address import Address
from bal.core.certified import CertifiedBatch
from bal.core.entry import Entry, StoredEntry
from bal.core.errors import Erased, Invalid, NotFound, NotYetAnchored
from bal.core.limits import TILE_LEAVES
from bal.core.stored import BatchPlace, Tile
from bal.store.cassandra import records
from bal.store.cassandra.encoding import Numbered, decode_tile
from bal.store.cassandra.session import Session
from chaincode.errors import ContractError
from chaincode.merkle import path_through_tile

_LEAVES = "SELECT leaves FROM tiles WHERE log = ? AND seq = ? AND number = ?"
_ENTRIES = "SELECT contents FROM tiles WHERE log = ? AND seq = ? AND number = ?"
_ALL_ENTRIES = "SELECT number, contents FROM tiles WHERE log = ? AND seq = ?"
_ALL = "SELECT number, contents, leaves FROM tiles WHERE log = ? AND seq = ?"
_ERASED = "SELECT idx FROM erased WHERE log = ? AND seq = ? AND idx = ?"
PAGE_TILES = 64
"""A tile is some 20 kB."""


async def some(session: Session, log: str, seq: int, number: int) -> list[Numbered]:
    """Return the rows of one tile, none where it is not there or was emptied."""
    row = await session.one(_ENTRIES, (log, seq, number))
    return decode_tile(row[0], f"{log}:{seq} tile {number}") if row is not None and row[0] else []


async def entries(session: Session, log: str, seq: int) -> list[StoredEntry]:
    """Return every row that claims to belong to a batch, by index."""
    found: list[StoredEntry] = []
    async for number, blob in session.rows(_ALL_ENTRIES, (log, seq), page=PAGE_TILES):
        if blob:
            found += _stored(log, seq, decode_tile(blob, f"{log}:{seq} tile {number}"))
    return sorted(found, key=lambda row: row.address.index)


def _stored(log: str, seq: int, rows: Iterable[Numbered]) -> list[StoredEntry]:
    return [StoredEntry(Address(log, seq, index), entry, salt) for index, entry, salt in rows]


async def entry(session: Session, address: Address) -> StoredEntry:
    """Return one entry. `NotFound`, `Erased`; `Invalid` where its tile cannot be read."""
    log, seq, index = address
    for row in await some(session, log, seq, index // TILE_LEAVES):
        if row.index == index:
            return StoredEntry(address, row.entry, row.salt)
    if await session.one(_ERASED, address) is not None:
        message = "this entry has been erased"
        raise Erased(message, subject=str(address))
    place = await records.moved_to(session, log, seq)
    if place is not None:
        raise _moved(address, place)
    message = "there is no such entry"
    raise NotFound(message, subject=str(address), remedy="addresses are written log:seq:index")


def _moved(address: Address, place: BatchPlace) -> NotFound:
    message = "this entry was moved when its log was closed"
    return NotFound(message, subject=str(address), remedy=f"ask for {Address(*place, address.index)}")


async def tile(session: Session, log: str, seq: int, number: int) -> Tile:
    """Return the leaves of one tile. `NotFound`."""
    row = await session.one(_LEAVES, (log, seq, number))
    if row is None or row[0] is None:
        message = "there is no such tile"
        raise NotFound(message, subject=f"{log}:{seq} tile {number}")
    return Tile(number * TILE_LEAVES, records.cut(row[0]))


async def proof_path(session: Session, address: Address) -> list[bytes]:
    """Return the inclusion path of an address, reading its tile and the batch record. `NotFound`, `Invalid`."""
    record = await records.batch(session, address.log, address.seq)
    if record.moved_to is not None:
        raise _moved(address, record.moved_to)
    if address.index >= record.anchor.size:
        message = "there is no such entry"
        raise NotFound(message, subject=str(address))
    part = await tile(session, address.log, address.seq, address.index // TILE_LEAVES)
    try:
        return path_through_tile(part.leaves, record.tile_roots, address.index, record.anchor.size)
    except ContractError as error:
        message = "the tiles of this batch were altered"
        raise Invalid(message, subject=str(address), remedy="run `bal audit`") from error


async def certified_batch(session: Session, log: str, seq: int) -> CertifiedBatch:
    """Return an anchored batch with `None` for what is erased. `NotFound`, `NotYetAnchored`."""
    record = await records.batch(session, log, seq)
    if record.commitment is None:
        message = "this batch has no anchor yet"
        raise NotYetAnchored(message, subject=f"{log}:{seq}", remedy="ask again in a moment")
    size = record.anchor.size
    members: list[Entry | None] = [None] * size
    salts = [b""] * size
    leaves: list[bytes] = []
    async for number, blob, hashes in session.rows(_ALL, (log, seq), page=PAGE_TILES):
        leaves += records.cut(hashes)
        for index, member, salt in decode_tile(blob, f"{log}:{seq} tile {number}") if blob else ():
            if 0 <= index < size:
                members[index], salts[index] = member, salt
    return CertifiedBatch(record.commitment, members, salts, leaves)
