"""One batch held against its root, without any store: every mixture of changes is told apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import Address, AddressRange
from bal.core.batch import SealedBatch
from bal.core.entry import StoredEntry
from bal.verify.batch import TRIALS, StoredBatch, check_batch
from chaincode.merkle import tile_roots
from tests.unit.store.rows import batch, reading

SIZE = 520
SEALED = batch([reading(str(number), number) for number in range(SIZE)])
PLACES = st.integers(0, SIZE - 1)


def stored(rows: list[StoredEntry], leaves: list[bytes], roots: list[bytes] | None = None) -> StoredBatch:
    tiles = [tuple(leaves[start : start + 256]) for start in range(0, len(leaves), 256)]
    return StoredBatch(rows, tiles, tuple(roots if roots is not None else tile_roots(SEALED.leaves)))


def honest(sealed: SealedBatch = SEALED) -> StoredBatch:
    return stored(sealed.stored_entries(), list(sealed.leaves))


def test_an_honest_batch_is_in_order() -> None:
    outcome = check_batch(SEALED.anchor, honest())
    assert outcome.readings == SIZE
    assert not any(
        (outcome.changed, outcome.missing, outcome.added, outcome.swapped, outcome.forged, outcome.unproven)
    )
    assert not outcome.altered


@given(
    changed=st.sets(PLACES, max_size=20),
    missing=st.sets(PLACES, max_size=20),
    added=st.sets(st.integers(SIZE, SIZE + 50) | st.integers(-50, -1), max_size=3),
    swapped=st.sets(PLACES, max_size=4),
)
def test_changed_missing_added_and_swapped_rows_are_told_apart(
    changed: set[int], missing: set[int], added: set[int], swapped: set[int]
) -> None:
    changed -= missing
    turned = sorted(swapped - missing - changed)
    turned = turned[: len(turned) // 2 * 2]
    rows = SEALED.stored_entries()
    kept = []
    for row in rows:
        index = row.address.index
        if index in missing:
            continue
        if index in changed:
            kept.append(row._replace(entry=reading("666", index)))
        elif index in turned:
            partner = turned[turned.index(index) ^ 1]
            kept.append(row._replace(entry=rows[partner].entry, salt=rows[partner].salt))
        else:
            kept.append(row)
    kept += [rows[0]._replace(address=Address("bal-1", 0, index)) for index in added]
    outcome = check_batch(SEALED.anchor, stored(kept, list(SEALED.leaves)))
    assert {address.index for address, _ in outcome.changed} == changed
    assert dict(outcome.missing) == {Address("bal-1", 0, index): SEALED.leaves[index] for index in missing}
    assert {address.index for address in outcome.added} == added
    assert {address.index for address in outcome.swapped} == set(turned)
    assert not outcome.unproven
    assert not outcome.altered


@given(rows=st.sets(PLACES, min_size=1, max_size=4), tiles=st.sets(PLACES, min_size=1, max_size=4))
def test_changed_rows_beside_changed_leaves_are_named(rows: set[int], tiles: set[int]) -> None:
    """Up to eight places: where row or leaf is right, the other one is known to be wrong."""
    tiles -= rows
    leaves = [bytes(32) if index in tiles else leaf for index, leaf in enumerate(SEALED.leaves)]
    kept = [
        row._replace(entry=reading("666")) if row.address.index in rows else row
        for row in SEALED.stored_entries()
    ]
    outcome = check_batch(SEALED.anchor, stored(kept, leaves))
    assert {address.index for address, _ in outcome.changed} == rows
    assert outcome.altered == bool(tiles)
    assert not outcome.unproven


@given(PLACES)
def test_row_and_leaf_changed_alike_leave_their_tile(place: int) -> None:
    rows = SEALED.stored_entries()
    rows[place] = rows[place]._replace(entry=reading("666"))
    forged = check_batch(SEALED.anchor, stored(rows, list(SEALED.leaves))).changed[0][1]
    assert forged is not None
    leaves = list(SEALED.leaves)
    leaves[place] = forged
    outcome = check_batch(SEALED.anchor, stored(rows, leaves))
    first = place // 256 * 256
    assert outcome.unproven == [AddressRange("bal-1", 0, first, min(first + 255, SIZE - 1))]
    assert not outcome.changed
    assert not outcome.altered
    nowhere = check_batch(SEALED.anchor, stored(rows, leaves, tile_roots(leaves)))
    assert nowhere.unproven == [AddressRange("bal-1", 0, 0, SIZE - 1)]


def test_nothing_but_the_root_names_what_can_be_named() -> None:
    outcome = check_batch(SEALED.anchor, StoredBatch([], [None, None, None], None))
    assert outcome.unproven == [AddressRange("bal-1", 0, 0, SIZE - 1)]
    assert not outcome.missing  # nothing of the batch is left: that is one finding, not one for each row


def test_everything_altered_ends_in_bounded_work() -> None:
    rows = [row._replace(entry=reading("666")) for row in SEALED.stored_entries()]
    outcome = check_batch(SEALED.anchor, stored(rows, [bytes([1]) * 32] * SIZE))
    assert len(outcome.changed) == SIZE
    assert len(outcome.unproven) == 3
    assert TRIALS <= 1024
