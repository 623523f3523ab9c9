"""One batch: its rows, tiles and record held against the root the ledger has. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice, product
from typing import NamedTuple

from bal.core.address import Address, AddressRange
from bal.core.entry import Entry, Erasure, StoredEntry, leaf, leaves
from bal.core.errors import Malformed
from bal.core.limits import TILE_LEAVES
from bal.core.reading import Reading
from chaincode.anchor import Anchor
from chaincode.merkle import root, tile_roots

TRIALS = 256
"""Most ways of putting stored and recomputed hashes together that are tried to find out which of them are the anchored
ones, in one tile or among the tiles: with 256, any eight places where they differ are settled."""


class StoredBatch(NamedTuple):
    """What the SCD holds of a batch, as far as it can be read."""

    rows: Sequence[StoredEntry]
    tiles: Sequence[tuple[bytes, ...] | None]
    """As many as the batch's size asks for; None for one that is missing or of the wrong length."""
    tile_roots: tuple[bytes, ...] | None
    """Those of the batch record; None without a record, or where it holds another number of them."""
    unreadable: frozenset[int] = frozenset()
    """Indexes of rows the SCD could not hand out."""


@dataclass(slots=True)
class Outcome:
    """What is wrong with a batch, and what it proves."""

    readings: int = 0
    """Rows of readings looked at."""
    notes: list[Erasure] = field(default_factory=list)
    """Erasure entries that are proven leaves."""
    doubtful: list[str] = field(default_factory=list)
    """Targets of erasure entries in a part of the batch that nothing proves."""
    forged: list[Address] = field(default_factory=list)
    """Targets of erasure entries that are no leaves."""
    changed: list[tuple[Address, bytes | None]] = field(default_factory=list)
    """Rows that are not what was anchored, with the leaf they have now; None for one that has none."""
    swapped: list[Address] = field(default_factory=list)
    missing: list[tuple[Address, bytes | None]] = field(default_factory=list)
    """Places without a row, with their anchored leaf; None where nothing proves it."""
    added: list[Address] = field(default_factory=list)
    altered: bool = False
    """Tiles or tile roots are not those of the anchored tree."""
    unproven: list[AddressRange] = field(default_factory=list)
    """Places for which neither rows nor tiles lead to the anchored root."""


def check_batch(anchor: Anchor, stored: StoredBatch) -> Outcome:
    """Return what is wrong with a batch that should have the root and size of `anchor`."""
    entries = [row.entry for row in stored.rows]
    outcome = Outcome(readings=sum(type(entry) is Reading for entry in entries))
    if [row.address.index for row in stored.rows] == list(range(anchor.size)):
        found = _leaves(entries, stored.rows)
        if None not in found:
            whole: list[bytes] = found  # type: ignore[assignment]  # None is excluded above
            roots = tile_roots(whole)
            if root(roots).hex() == anchor.root:
                outcome.altered = stored.tile_roots != tuple(roots) or any(
                    tile != tuple(whole[start : start + TILE_LEAVES])
                    for tile, start in zip(stored.tiles, range(0, anchor.size, TILE_LEAVES), strict=True)
                )
                outcome.notes = [entry for entry in entries if type(entry) is Erasure]
                return outcome
    _Search(anchor, stored, outcome).run()
    return outcome


def _leaves(entries: Sequence[Entry], rows: Sequence[StoredEntry]) -> Sequence[bytes | None]:
    """Return the leaf of every row, None for one whose content no entry can have."""
    try:
        return leaves(entries, [row.salt for row in rows])
    except Exception:  # noqa: BLE001 - whatever was put into a column, its row is what is wrong
        return [_leaf(row) for row in rows]


def _leaf(row: StoredEntry) -> bytes | None:
    try:
        return leaf(row.entry, row.salt)
    except Exception:  # noqa: BLE001 - as above
        return None


class _Search:
    """Finds the anchored leaves among stored and recomputed ones, then says which row is not what it should be."""

    def __init__(self, anchor: Anchor, stored: StoredBatch, outcome: Outcome) -> None:
        self._anchor = anchor
        self._stored = stored
        self._outcome = outcome
        size = anchor.size
        self._rows: list[list[tuple[StoredEntry, bytes | None]]] = [[] for _ in range(size)]
        digests = _leaves([row.entry for row in stored.rows], stored.rows)
        for row, digest in zip(stored.rows, digests, strict=True):
            index = row.address.index
            if type(index) is int and 0 <= index < size:
                self._rows[index].append((row, digest))
            else:
                self._extra(row)
        self._kept: list[bytes | None] = []
        for number, tile in enumerate(stored.tiles):
            self._kept += tile or [None] * min(TILE_LEAVES, size - number * TILE_LEAVES)

    def run(self) -> None:
        """Fill the outcome."""
        anchored = self._anchored()
        places = {digest: index for index, digest in enumerate(anchored) if digest is not None}
        for index, digest in enumerate(anchored):
            if digest is None:
                self._unproven(index)
            else:
                self._proven(index, digest, places)

    # --- which leaves were anchored -------------------------------------------------------------------------------
    def _anchored(self) -> list[bytes | None]:
        kept = [self._kept[start : start + TILE_LEAVES] for start in range(0, self._anchor.size, TILE_LEAVES)]
        own = [
            [rows[0][1] if rows else None for rows in self._rows[start : start + TILE_LEAVES]]
            for start in range(0, self._anchor.size, TILE_LEAVES)
        ]
        recorded = self._stored.tile_roots
        columns: list[Sequence[bytes | None]] = [[*map(_root, kept)], [*map(_root, own)]]
        roots = _combine(columns + ([recorded] if recorded else []), bytes.fromhex(self._anchor.root))
        if roots is None:
            self._outcome.unproven.append(self._range(0, self._anchor.size))
            return [None] * self._anchor.size
        self._outcome.altered |= recorded != tuple(roots)
        anchored: list[bytes | None] = []
        for number, wanted in enumerate(roots):
            found = _combine((kept[number], own[number]), wanted)
            if found is None:
                self._outcome.unproven.append(self._range(number * TILE_LEAVES, len(kept[number])))
            anchored += found or [None] * len(kept[number])
        return anchored

    def _range(self, first: int, count: int) -> AddressRange:
        return AddressRange(self._anchor.log, self._anchor.seq, first, first + count - 1)

    # --- rows -----------------------------------------------------------------------------------------------------
    def _proven(self, index: int, digest: bytes, places: dict[bytes, int]) -> None:
        outcome, rows = self._outcome, self._rows[index]
        outcome.altered |= self._kept[index] != digest
        good = next((row for row, own in rows if own == digest), None)
        if good is not None:
            if type(good.entry) is Erasure:
                outcome.notes.append(good.entry)
        elif not rows:
            self._absent(index, digest)
        else:
            good, own = rows[0]
            if type(good.entry) is Erasure:
                if self._forged(good) != good.address:
                    outcome.changed.append((good.address, own))
            elif own is not None and places.get(own, index) != index:
                outcome.swapped.append(good.address)
            else:
                outcome.changed.append((good.address, own))
        for row, _ in rows:
            if row is not good:
                self._extra(row)

    def _unproven(self, index: int) -> None:
        rows, kept = self._rows[index], self._kept[index]
        if not rows:
            self._absent(index, None)
            return
        row, own = rows[0]
        if own is None or (kept is not None and own != kept):
            self._outcome.changed.append((row.address, own))
        if type(row.entry) is Erasure:
            self._outcome.doubtful.append(row.entry.address)
        for other, _ in rows[1:]:
            self._extra(other)

    def _absent(self, index: int, digest: bytes | None) -> None:
        address = Address(self._anchor.log, self._anchor.seq, index)
        if index in self._stored.unreadable:
            self._outcome.changed.append((address, None))
        elif digest is not None or self._stored.rows or self._kept[index] is not None:
            self._outcome.missing.append((address, digest))

    def _extra(self, row: StoredEntry) -> None:
        if type(row.entry) is Erasure:
            self._forged(row)
        else:
            self._outcome.added.append(row.address)

    def _forged(self, row: StoredEntry) -> Address:
        target = claimed(row)
        self._outcome.forged.append(target)
        return target


def claimed(row: StoredEntry) -> Address:
    """Return the address an erasure row says was erased, its own where it says none."""
    try:
        return Address.parse(getattr(row.entry, "address", ""))
    except (Malformed, TypeError):
        return row.address


def _root(digests: Sequence[bytes | None]) -> bytes | None:
    return None if None in digests else root(digests)  # type: ignore[arg-type]  # None is excluded


def _combine(columns: Sequence[Sequence[bytes | None]], wanted: bytes) -> list[bytes] | None:
    """Return one hash of each place such that their root is `wanted`, taken from `columns` (None where one has none).

    Each column is tried whole; then the first one with ever more places taken from the others, `TRIALS` ways at most.
    """
    for column in columns:
        if _root(column) == wanted:
            return [digest for digest in column if digest is not None]
    options = [_distinct(*place) for place in zip(*columns, strict=True)]
    if not all(options):
        return None
    for way in islice(_ways(options), TRIALS):
        if root(way) == wanted:
            return way
    return None


def _ways(options: Sequence[Sequence[bytes]]) -> Iterator[list[bytes]]:
    open_places = [place for place, option in enumerate(options) if len(option) > 1]
    for count in range(len(open_places) + 1):
        for places in combinations(open_places, count):
            for others in product(*(options[place][1:] for place in places)):
                way = [option[0] for option in options]
                for place, digest in zip(places, others, strict=True):
                    way[place] = digest
                yield way


def _distinct(*digests: bytes | None) -> list[bytes]:
    return list(dict.fromkeys(digest for digest in digests if digest is not None))
