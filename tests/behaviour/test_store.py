"""What every Shared Customer Database does, whatever runs it. An adapter joins the suite by a world of its own."""

from __future__ import annotations

import pytest

from bal.core.address import Address, AddressRange
from bal.core.commitment import Commitment
from bal.core.entry import Erasure, leaf
from bal.core.errors import BalError, Conflict, Erased, LaneLost, NotFound, NotYetAnchored
from bal.core.limits import TILE_LEAVES
from bal.core.source import Lane, Source
from bal.ports import ClosedLog, ErasureNote, Parked, Store
from chaincode.anchor import Anchor
from chaincode.merkle import verify_inclusion
from tests.behaviour.stores import World, anchor, answer, put
from tests.unit.store.rows import START, batch, committed, reading, receipt

# --- registry


async def test_registrations_of_sources_are_kept_and_the_last_is_in_force(store_world: World) -> None:
    first = Source(name="dso-b", lane="bal-1", recorded_at=1)
    changed = first.model_copy(update={"time_zone": "Europe/Rome", "recorded_at": 2})
    other = Source(name="dso-a", lane="bal-1", recorded_at=1)
    for source in (first, other, changed):
        await store_world.store.record_source(source)
    await store_world.reopen()
    assert await store_world.store.sources() == [other, changed]
    assert await store_world.store.source_history("dso-b") == [first, changed]
    assert await store_world.store.source_history("dso-c") == []


async def test_a_lane_writes_the_log_recorded_last_and_no_log_is_opened_twice(store: Store) -> None:
    assert await store.lanes() == []
    assert await store.logs() == []
    for lane in (Lane("b", "b", 1), Lane("a", "a", 2), Lane("b", "b-2", 3)):
        await store.record_lane(lane)
    assert await store.lanes() == [Lane("a", "a", 2), Lane("b", "b-2", 3)]
    assert await store.logs() == ["b", "a", "b-2"]
    for name in ("a", "b", "c"):
        with pytest.raises(Conflict):
            await store.record_lane(Lane(name, "b-2", 4))
    assert await store.lanes() == [Lane("a", "a", 2), Lane("b", "b-2", 3)]


async def test_a_parking_is_kept_until_it_is_lifted_and_the_last_place_counts(store_world: World) -> None:
    first = Parked("jsonl", "dso-b", "bal-1", 7, 1)
    further = first._replace(seq=9, parked_at=2)
    other = Parked("jsonl", "dso-a", "bal-1-2", 0, 3)
    for parked in (first, other, further, other):
        await store_world.store.park(parked)
    await store_world.reopen()
    assert await store_world.store.parked() == [other, further]
    await store_world.store.unpark("jsonl", "dso-b")
    await store_world.store.unpark("mqtt", "dso-a")
    assert await store_world.store.parked() == [other]


# --- write path


async def test_a_batch_is_stored_with_its_receipts_and_found_after_reopening(store_world: World) -> None:
    done = receipt(b"d" * 32, [AddressRange("bal-1", 0, 0, 2)], rejected=1, rejections=(("bad", "value"),))
    begun = receipt(b"p" * 32, [AddressRange("bal-1", 0, 3, 4)], complete=False, ahead=2, duplicates=4)
    sealed = batch([reading(str(value), value) for value in range(1, 6)], receipts=[done, begun])
    await store_world.store.append_batch(sealed)
    await store_world.reopen()
    record = await store_world.store.batch("bal-1", 0)
    assert record.anchor == sealed.anchor
    assert record.sealed_at == sealed.sealed_at
    assert record.commitment is None
    assert not record.published
    assert await store_world.store.last_batch("bal-1") == record
    assert [each async for each in store_world.store.batches("bal-1")] == [record]
    assert await store_world.store.entries("bal-1", 0) == sealed.stored_entries()
    for row in sealed.stored_entries():
        assert await store_world.store.entry(row.address) == row
    known = await store_world.store.receipt("dso-a", b"d" * 32)
    assert known is not None
    assert known.known
    assert known == receipt(b"d" * 32, done.ranges, rejected=1, rejections=(("bad", "value"),), known=True)
    assert await store_world.store.receipt("dso-a", b"p" * 32) == begun
    assert await store_world.store.receipt("dso-b", b"d" * 32) is None


async def test_a_taken_place_in_the_log_is_lost_and_changes_nothing(store: Store) -> None:
    (first,) = await put(store, [reading("1")])
    rival = batch([reading("2"), reading("3", 1)], receipts=[receipt(b"r" * 32)])
    with pytest.raises(LaneLost):
        await store.append_batch(rival)
    assert (await store.batch("bal-1", 0)).anchor == first.anchor
    assert await store.entries("bal-1", 0) == first.stored_entries()
    assert await store.receipt("dso-a", b"r" * 32) is None


async def test_receipts_are_recorded_over_what_was_known_and_forgotten_with_age(store: Store) -> None:
    begun = receipt(b"m" * 32, [AddressRange("bal-1", 0, 0, 0)], complete=False, received_at=10)
    await store.append_batch(batch([reading()], receipts=[begun]))
    done = receipt(b"m" * 32, begun.ranges, rejected=3, received_at=20)
    await store.record_receipts([done, receipt(b"n" * 32, received_at=30)])
    known = await store.receipt("dso-a", b"m" * 32)
    assert known is not None
    assert (known.complete, known.rejected, known.received_at) == (True, 3, 20)
    await store.record_receipts([receipt(b"o" * 32, complete=False, received_at=5)])
    assert await store.forget_receipts(20) == 0
    assert await store.forget_receipts(30) == 1
    assert await store.receipt("dso-a", b"m" * 32) is None
    assert await store.receipt("dso-a", b"n" * 32) is not None
    assert await store.receipt("dso-a", b"o" * 32) is not None, "progress is never forgotten"


async def test_marks_move_a_batch_on_and_again_is_no_harm(store: Store) -> None:
    batches = await put(store, [reading("1")], [reading("2")], [reading("3")])
    assert await store.unanchored("bal-1") == [each.anchor for each in batches]
    assert await store.unpublished("bal-1") == [0, 1, 2]
    commitments = await anchor(store, *batches[:2])
    await store.mark_anchored(commitments)
    await store.mark_anchored([committed(batches[0].anchor, block=99)])
    assert await store.unanchored("bal-1") == [batches[2].anchor]
    assert (await store.batch("bal-1", 0)).commitment == commitments[0], "the first word of the ledger stays"
    for _ in range(2):
        await store.mark_published("bal-1", 0)
    assert await store.unpublished("bal-1") == [1, 2]
    assert (await store.batch("bal-1", 0)).published
    assert not (await store.batch("bal-1", 1)).published
    assert await store.unanchored("other") == []
    assert await store.unpublished("other") == []
    assert await store.last_batch("other") is None


async def test_suspended_sources_of_a_commitment_are_kept(store: Store) -> None:
    (one,) = await put(store, [reading()])
    said = Commitment(
        one.anchor, "fabric", "c", "cd" * 32, 3, "2026-01-01T00:00:00.000000Z", "Dso", ("dso-a",)
    )
    await store.mark_anchored([said])
    assert (await store.batch("bal-1", 0)).commitment == said


@pytest.mark.parametrize("size", [1, 2, TILE_LEAVES - 1, TILE_LEAVES, TILE_LEAVES + 1, 3 * TILE_LEAVES + 7])
async def test_paths_are_the_trees_and_prove_their_rows(store: Store, size: int) -> None:
    (sealed,) = await put(store, [reading(str(number), number) for number in range(size)])
    record = await store.batch("bal-1", 0)
    edges = {at + by for at in range(0, size + 1, TILE_LEAVES) for by in (-1, 0, 1)}
    for row in sealed.stored_entries():
        if row.address.index not in edges | {size - 2, size - 1} and row.address.index % 31:
            continue
        path = await store.proof_path(row.address)
        index = row.address.index
        assert path == sealed.tree.path(index)
        assert verify_inclusion(
            leaf(row.entry, row.salt), index, size, path, bytes.fromhex(record.anchor.root)
        )
    tiles = [await store.tile("bal-1", 0, number) for number in range(-(-size // TILE_LEAVES))]
    assert [tile.first for tile in tiles] == list(range(0, size, TILE_LEAVES))
    assert tuple(one for tile in tiles for one in tile.leaves) == sealed.leaves
    with pytest.raises(NotFound):
        await store.proof_path(Address("bal-1", 0, size))
    with pytest.raises(NotFound):
        await store.tile("bal-1", 0, len(tiles))


async def test_a_certified_batch_is_what_was_sealed_once_it_is_anchored(store: Store) -> None:
    (sealed,) = await put(store, [reading(str(number), number) for number in range(300)])
    with pytest.raises(NotYetAnchored):
        await store.certified_batch("bal-1", 0)
    with pytest.raises(NotFound):
        await store.certified_batch("bal-1", 1)
    (commitment,) = await anchor(store, sealed)
    certified = await store.certified_batch("bal-1", 0)
    assert certified.commitment == commitment
    assert tuple(certified.entries) == sealed.entries
    assert tuple(certified.salts) == sealed.salts
    assert tuple(certified.leaves) == sealed.leaves
    assert certified.tree.root.hex() == sealed.anchor.root
    assert len(list(certified.certificates())) == 300


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.batch("bal-1", 0)
    with pytest.raises(NotFound):
        await store.entry(Address("bal-1", 0, 0))
    assert await store.entries("bal-1", 0) == []
    assert await store.strays() == []
    assert [each async for each in store.batches("bal-1")] == []
    assert await answer(store) == []


async def test_batch_records_come_in_sequence_over_pages_from_any_number(store: Store) -> None:
    batches = await put(store, *([reading(str(number), number)] for number in range(300)))
    await put(store, [reading("9")], log="bal-2")
    everything = [record.anchor async for record in store.batches("bal-1")]
    assert everything == [each.anchor for each in batches]
    assert [record.anchor.seq async for record in store.batches("bal-1", 297)] == [297, 298, 299]


# --- erasure


def note(target: Address, noted_at: Address, salt: bytes, entry: Erasure) -> ErasureNote:
    return ErasureNote(target, noted_at, entry, salt)


def erasure(target: Address, digest: bytes) -> Erasure:
    return Erasure("dso-a", str(target), digest.hex(), "operator", "asked by the customer", START + 5)


async def test_erasing_keeps_the_note_the_leaf_and_every_other_proof(store: Store) -> None:
    (first,) = await put(store, [reading(str(value), value) for value in range(5)])
    target = Address("bal-1", 0, 2)
    word = erasure(target, first.leaves[2])
    (second,) = await put(store, [word, reading("9", 9)])
    commitments = await anchor(store, first, second)
    written = note(target, Address("bal-1", 1, 0), second.salts[0], word)
    assert await store.erasures("bal-1") == [written]
    await store.erase(written, b"k" * 32)
    await store.erase(written, b"k" * 32)
    assert await store.erased_lookups() == {b"k" * 32}
    with pytest.raises(Erased):
        await store.entry(target)
    assert [row.address.index for row in await store.entries("bal-1", 0)] == [0, 1, 3, 4]
    assert [each.reading.value for each in await answer(store)] == ["9", "4", "3", "1", "0"]
    assert await store.erasures("bal-1") == [written]
    assert await store.entries("bal-1", 1) == second.stored_entries()
    for index in range(5):
        assert await store.proof_path(Address("bal-1", 0, index)) == first.tree.path(index)
    certified = await store.certified_batch("bal-1", 0)
    assert certified.commitment == commitments[0]
    assert certified.entries[2] is None
    assert tuple(certified.leaves) == first.leaves
    assert [index for index, _, _ in certified.certificates()] == [0, 1, 3, 4]


async def test_every_erased_revision_of_a_reading_says_so(store: Store) -> None:
    batches = await put(store, [reading("1")], [reading("2")], [reading("3")])
    words = [erasure(Address("bal-1", seq, 0), batches[seq].leaves[0]) for seq in (0, 1)]
    (last,) = await put(store, words)
    for index, word in enumerate(words):
        place = Address("bal-1", 3, index)
        await store.erase(note(Address.parse(word.address), place, last.salts[index], word), b"same")
    for seq in (0, 1):
        with pytest.raises(Erased):
            await store.entry(Address("bal-1", seq, 0))
    assert [each.reading.value for each in await answer(store, history=True)] == ["3"]
    assert await store.erased_lookups() == {b"same"}


async def test_errors_are_of_the_one_tree(store_world: World) -> None:
    await store_world.close()
    with pytest.raises(BalError):
        await store_world.store.sources()
    with pytest.raises(BalError):
        await store_world.store.append_batch(batch([reading()]))


async def test_an_anchor_is_given_back_whole(store: Store) -> None:
    (sealed,) = await put(store, [reading("1"), reading("2", source="dso-b")])
    record = await store.batch("bal-1", 0)
    assert isinstance(record.anchor, Anchor)
    assert record.anchor.hash == sealed.anchor.hash
    assert record.anchor.counts == {"dso-a": 1, "dso-b": 1}


# --- closed logs


async def test_a_closed_log_keeps_its_first_reason(store_world: World) -> None:
    await put(store_world.store, [reading()], log="zzz")
    await put(store_world.store, [reading()], log="aaa")
    await store_world.store.close_log("aaa", "fork: another anchor", 5)
    await store_world.store.close_log("aaa", "again", 6)
    await store_world.store.close_log("zzz", "size", 7)
    await store_world.reopen()
    assert await store_world.store.closed_logs() == [
        ClosedLog("zzz", "zzz", "size", 7),
        ClosedLog("aaa", "aaa", "fork: another anchor", 5),
    ]


async def test_a_batch_is_carried_over_with_its_receipts_and_stays_as_evidence(store: Store) -> None:
    first, second = await put(store, [reading("0")], [reading(str(value), value) for value in range(1, 4)])
    await anchor(store, first)
    both = receipt(b"b" * 32, [AddressRange("bal-1", 0, 0, 0), AddressRange("bal-1", 1, 0, 1)])
    begun = receipt(b"p" * 32, [AddressRange("bal-1", 1, 2, 2)], complete=False)
    other = receipt(b"o" * 32, [AddressRange("bal-1", 11, 0, 1)])
    await store.record_receipts([both, begun, other])
    await store.record_lane(Lane("bal-1", "bal-1-2", 2))
    moved = batch(second.entries, log="bal-1-2")
    for _ in range(2):
        await store.carry_over("bal-1", 1, moved)
    assert await store.entries("bal-1", 1) == []
    assert await store.entries("bal-1-2", 0) == moved.stored_entries()
    old = await store.batch("bal-1", 1)
    assert old.anchor == second.anchor
    assert old.moved_to == ("bal-1-2", 0)
    assert (await store.batch("bal-1", 0)).moved_to is None
    assert await store.unanchored("bal-1") == []
    assert await store.unpublished("bal-1") == [0]
    assert await store.unanchored("bal-1-2") == [moved.anchor]
    assert await store.strays() == []
    known = await store.receipt("dso-a", b"b" * 32)
    assert known is not None
    assert known.ranges == (AddressRange("bal-1", 0, 0, 0), AddressRange("bal-1-2", 0, 0, 1))
    progress = await store.receipt("dso-a", b"p" * 32)
    assert progress is not None
    assert progress.ranges == (AddressRange("bal-1-2", 0, 2, 2),)
    untouched = await store.receipt("dso-a", b"o" * 32)
    assert untouched is not None
    assert untouched.ranges == other.ranges
    for lost in (store.entry, store.proof_path):
        with pytest.raises(NotFound, match="bal-1-2:0:1"):
            await lost(Address("bal-1", 1, 1))
    assert sorted(each.reading.value for each in await answer(store, history=True)) == ["0", "1", "2", "3"]
    await anchor(store, moved)
    assert len(await answer(store, anchored_only=True)) == 4


async def test_what_is_anchored_or_moved_is_not_carried_over(store: Store) -> None:
    first, second = await put(store, [reading("0")], [reading("1")])
    await anchor(store, first)
    await put(store, [reading("7")], log="bal-1-2")
    with pytest.raises(Conflict):
        await store.carry_over("bal-1", 0, batch(first.entries, log="bal-1-3"))
    with pytest.raises(LaneLost):
        await store.carry_over("bal-1", 1, batch(second.entries, log="bal-1-2"))
    assert await store.entries("bal-1", 1) == second.stored_entries()
    await store.carry_over("bal-1", 1, batch(second.entries, log="bal-1-3"))
    with pytest.raises(Conflict):
        await store.carry_over("bal-1", 1, batch(second.entries, log="bal-1-4"))
    with pytest.raises(NotFound):
        await store.carry_over("bal-1", 2, batch(second.entries, log="bal-1-4"))
