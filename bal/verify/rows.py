"""Reading a batch as it is stored, however it was altered: what can't be read is a finding, never an end of the audit."""

from collections.abc import Awaitable
from typing import TypeVar

from bal.core.address import Address
from bal.core.entry import StoredEntry
from bal.core.errors import BalError, Erased, NotFound, StoreFailed
from bal.core.limits import TILE_LEAVES
from bal.ports import BatchPlace, BatchRecord, Store
from bal.verify.batch import StoredBatch
from chaincode.errors import ContractError
from chaincode.merkle import HASH_SIZE

T = TypeVar("T")

_ALTERED = (
    BalError,
    ContractError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)
"""What reading raises when columns hold what the BAL never wrote."""


class Rows:
    """What the SCD holds of batches. Raises `StoreFailed` only when the SCD as a whole can't be read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, log: str, seq: int) -> tuple[BatchRecord | None, bool]:
        """Return the record of a batch, None without one, and whether there is one that can't be read."""
        try:
            return await self._store.batch(log, seq), False
        except NotFound:
            return None, False
        except _ALTERED as error:
            await self._settle(error)
            return None, True

    async def last_seq(self, log: str) -> int | None:
        """Return the number of the newest batch of a log, -1 for none, None where its record can't be read."""
        try:
            record = await self._store.last_batch(log)
        except _ALTERED as error:
            await self._settle(error)
            return None
        return record.anchor.seq if record is not None else -1

    async def marked(self, log: str) -> int:
        """Return the number of the newest batch marked anchored, -1 for none.

        Marks are only ever set in sequence, so what is marked now stands on the ledger from now on.
        """
        last = await self.last_seq(log)
        try:
            waiting = await self._store.unanchored(log)
        except _ALTERED as error:
            await self._settle(error)
            return -1
        seq = waiting[0].seq - 1 if waiting else last if last is not None else -1
        while (
            seq >= 0
        ):  # of a closed log, batches that were carried over wait no more and were never anchored
            record, _ = await self.record(log, seq)
            if record is None or record.moved_to is None:
                break
            seq -= 1
        return seq

    async def batch(self, log: str, seq: int, size: int, record: BatchRecord | None) -> StoredBatch:
        """Return rows and tiles of a batch that should have `size` leaves."""
        count = -(-size // TILE_LEAVES)
        tiles = [
            await self._tile(log, seq, number, min(TILE_LEAVES, size - number * TILE_LEAVES))
            for number in range(count)
        ]
        roots = record.tile_roots if record is not None and _are_hashes(record.tile_roots, count) else None
        try:
            return StoredBatch(await self._store.entries(log, seq), tiles, roots)
        except _ALTERED as error:
            rows, unreadable = await self._one_by_one(log, seq, size, error)
            return StoredBatch(rows, tiles, roots, unreadable)

    async def tile(self, log: str, seq: int, number: int, count: int) -> tuple[bytes, ...]:
        """Return the leaves of a tile that should have `count`, none where it does not."""
        return await self._tile(log, seq, number, count) or ()

    async def unlisted(self, log: str, seq: int) -> list[Address]:
        """Return the readings of a batch that no query would show."""
        return await self._value(self._store.unlisted(log, seq)) or []

    async def loose_batches(self) -> list[BatchPlace]:
        """Return where records and tiles stand that are no batch's."""
        return await self._value(self._store.loose_batches()) or []

    async def row(self, address: Address) -> StoredEntry | None:
        """Return one row, None where it can't be read."""
        return await self._value(self._store.entry(address))

    async def says_erased(self, address: Address) -> bool:
        """Tell whether the SCD says that a row which is not there was erased."""
        try:
            await self._store.entry(address)
        except Erased:
            return True
        except _ALTERED as error:
            await self._settle(error)
        return False

    async def _one_by_one(
        self, log: str, seq: int, size: int, error: Exception
    ) -> tuple[list[StoredEntry], frozenset[int]]:
        rows: list[StoredEntry] = []
        unreadable = set()
        for index in range(size):
            try:
                rows.append(await self._store.entry(Address(log, seq, index)))
            except NotFound:
                pass
            except _ALTERED:
                unreadable.add(index)
        if len(unreadable) == size:
            await self._settle(error)
        return rows, frozenset(unreadable)

    async def _tile(self, log: str, seq: int, number: int, count: int) -> tuple[bytes, ...] | None:
        tile = await self._value(self._store.tile(log, seq, number))
        return tile.leaves if tile is not None and _are_hashes(tile.leaves, count) else None

    async def _value(self, reading: Awaitable[T]) -> T | None:
        try:
            return await reading
        except _ALTERED as error:
            await self._settle(error)
            return None

    async def _settle(self, error: Exception) -> None:
        """Raise `error` unless the SCD still answers: then it is what it was asked for that was altered."""
        if isinstance(error, StoreFailed):
            await self._store.logs()


def _are_hashes(hashes: object, count: int) -> bool:
    return (
        isinstance(hashes, tuple)
        and len(hashes) == count
        and all(type(digest) is bytes and len(digest) == HASH_SIZE for digest in hashes)
    )
