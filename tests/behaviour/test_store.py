"""What every Shared Customer Database does, whatever runs it. An adapter joins the suite by a world of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby, product
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bal.core.address import Address, AddressRange
from bal.core.batch import SealedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry, Erasure, leaf
from bal.core.errors import BalError, Conflict, Erased, LaneLost, NotFound, NotYetAnchored
from bal.core.limits import TILE_LEAVES
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.ports import ClosedLog, ErasureNote, ReadingQuery, Store, StoredReading
from bal.store import SqliteStore
from chaincode.anchor import Anchor
from chaincode.merkle import verify_inclusion
from tests.unit.store.rows import QUARTER, START, batch, committed, point, reading, receipt


class World(Protocol):
    """A store that can be closed and opened again."""

    @property
    def store(self) -> Store:
        """The store as the pipeline has it."""

    async def reopen(self) -> None:
        """Close everything and connect again."""

    async def close(self) -> None:
        """End it."""


class SqliteWorld:
    """The embedded store in a folder."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "scd.sqlite"
        self.store = SqliteStore(self.path)

    async def reopen(self) -> None:
        await self.store.close()
        self.store = SqliteStore(self.path)

    async def close(self) -> None:
        await self.store.close()


@pytest.fixture(params=["sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    adapter = SqliteWorld(tmp_path / request.param)
    yield adapter
    await adapter.close()


@pytest.fixture
def store(world: World) -> Store:
    return world.store


async def put(store: Store, *contents: Sequence[Entry], log: str = "bal-1") -> list[SealedBatch]:
    """Append batches to the end of a log that is opened when it is new."""
    if log not in await store.logs():
        await store.record_lane(Lane(log, log, 1))
    last = await store.last_batch(log)
    previous = last.anchor if last else None
    done = []
    for entries in contents:
        done.append(batch(entries, previous, log=log))
        previous = done[-1].anchor
        await store.append_batch(done[-1])
    return done


async def anchor(store: Store, *batches: SealedBatch) -> list[Commitment]:
    """Mark batches anchored."""
    commitments = [committed(each.anchor) for each in batches]
    await store.mark_anchored(commitments)
    return commitments


async def answer(store: Store, source: str = "dso-a", **asked: Any) -> list[StoredReading]:
    """Return all that a query yields."""
    query = ReadingQuery(source, **asked)
    return [found async for found in store.readings(query)]


# --- registry


async def test_registrations_of_sources_are_kept_and_the_last_is_in_force(world: World) -> None:
    first = Source(name="dso-b", lane="bal-1", recorded_at=1)
    changed = first.model_copy(update={"time_zone": "Europe/Rome", "recorded_at": 2})
    other = Source(name="dso-a", lane="bal-1", recorded_at=1)
    for source in (first, other, changed):
        await world.store.record_source(source)
    await world.reopen()
    assert await world.store.sources() == [other, changed]
    assert await world.store.source_history("dso-b") == [first, changed]
    assert await world.store.source_history("dso-c") == []


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


# --- write path


async def test_a_batch_is_stored_with_its_receipts_and_found_after_reopening(world: World) -> None:
    done = receipt(b"d" * 32, [AddressRange("bal-1", 0, 0, 2)], rejected=1, rejections=(("bad", "value"),))
    begun = receipt(b"p" * 32, [AddressRange("bal-1", 0, 3, 4)], complete=False, ahead=2, duplicates=4)
    sealed = batch([reading(str(value), value) for value in range(1, 6)], receipts=[done, begun])
    await world.store.append_batch(sealed)
    await world.reopen()
    record = await world.store.batch("bal-1", 0)
    assert record.anchor == sealed.anchor
    assert record.sealed_at == sealed.sealed_at
    assert record.commitment is None
    assert not record.published
    assert await world.store.last_batch("bal-1") == record
    assert [each async for each in world.store.batches("bal-1")] == [record]
    assert await world.store.entries("bal-1", 0) == sealed.stored_entries()
    for row in sealed.stored_entries():
        assert await world.store.entry(row.address) == row
    known = await world.store.receipt("dso-a", b"d" * 32)
    assert known is not None
    assert known.known
    assert known == receipt(b"d" * 32, done.ranges, rejected=1, rejections=(("bad", "value"),), known=True)
    assert await world.store.receipt("dso-a", b"p" * 32) == begun
    assert await world.store.receipt("dso-b", b"d" * 32) is None


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
async def test_every_path_is_the_trees_and_proves_its_row(store: Store, size: int) -> None:
    (sealed,) = await put(store, [reading(str(number), number) for number in range(size)])
    record = await store.batch("bal-1", 0)
    for row in sealed.stored_entries():
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
    batches = await put(store, *([reading(str(number), number)] for number in range(600)))
    await put(store, [reading("9")], log="bal-2")
    everything = [record.anchor async for record in store.batches("bal-1")]
    assert everything == [each.anchor for each in batches]
    assert [record.anchor.seq async for record in store.batches("bal-1", 597)] == [597, 598, 599]


# --- queries


def wanted(
    entries: Sequence[tuple[Address, Reading, bool]], query: ReadingQuery
) -> list[tuple[Address, Reading]]:
    """Answer a query the slow way."""
    rows = [
        (address, one)
        for address, one, anchored in entries
        if one.source == query.source
        and query.point in (None, one.point)
        and query.quantity in (None, one.quantity)
        and (query.start is None or one.timestamp >= query.start)
        and (query.end is None or one.timestamp < query.end)
        and (anchored or not query.anchored_only)
    ]
    rows.sort(
        key=lambda row: (
            -row[1].timestamp,
            *(row[1].point, row[1].quantity, row[1].component, row[1].reading_type, row[1].phase),
            row[1].received_at,
            row[0],
        )
    )
    shown: list[tuple[Address, Reading]] = []
    for _, revisions in groupby(rows, key=lambda row: row[1].natural_key):
        firsts = [next(run) for _, run in groupby(revisions, key=lambda row: row[1].content)]
        shown += firsts if query.history else firsts[-1:]
    return shown[: query.limit]


async def test_readings_by_point_quantity_time_limit_history_and_state(store: Store) -> None:
    def some(log: int, part: int) -> list[Reading]:
        return [
            reading(str(at * 100 + number), at, point=point(number), **kind)
            for at in range(part, part + 4)
            for number in range(3)
            for kind in (
                {},
                {"quantity": "voltageMagnitude", "reading_type": "voltmagnitude", "unit": "V", "interval": 0},
                {"phase": "A", "received_at": START + log},
            )
        ]

    known: list[tuple[Address, Reading, bool]] = []
    for log, name in enumerate(("bal-1", "bal-2")):
        contents = [some(log, 0), some(log, 2), [reading("7", 3, source="dso-b")]]
        batches = await put(store, *contents, log=name)
        await anchor(store, *batches[: 1 + log])
        known += [
            (row.address, row.entry, each.seq <= log)
            for each in batches
            for row in each.stored_entries()
            if isinstance(row.entry, Reading)
        ]
    choices = product(
        ("dso-a", "dso-b", "dso-c"),
        (None, point(1)),
        (None, "voltageMagnitude", "current"),
        (None, START + QUARTER),
        (None, START + 3 * QUARTER),
        (False, True),
        (False, True),
        (None, 5),
    )
    for source, where, quantity, start, end, history, anchored_only, limit in choices:
        query = ReadingQuery(source, where, quantity, start, end, history, anchored_only, limit)
        found = [each async for each in store.readings(query)]
        assert [(each.address, each.reading) for each in found] == wanted(known, query), query
        states = {address: state for address, _, state in known}
        assert all(each.anchored is states[each.address] for each in found)


async def test_a_then_b_then_a_shows_a_and_has_three_entries_in_its_history(store: Store) -> None:
    await put(store, [reading("1")], [reading("2")], [reading("1")])
    (shown,) = await answer(store)
    assert (shown.reading.value, shown.address) == ("1", Address("bal-1", 2, 0))
    history = await answer(store, history=True)
    assert [(each.reading.value, each.address.seq) for each in history] == [("1", 0), ("2", 1), ("1", 2)]


async def test_equal_neighbours_are_one_reading_at_its_first_address(store: Store) -> None:
    await put(store, [reading("1"), reading("1")], [reading("1"), reading("2")], [reading("2")])
    history = await answer(store, history=True)
    assert [(each.reading.value, each.address) for each in history] == [
        ("1", Address("bal-1", 0, 0)),
        ("2", Address("bal-1", 1, 1)),
    ]
    assert [each.address for each in await answer(store)] == [Address("bal-1", 1, 1)]


@pytest.mark.parametrize("member", ["unit", "interval", "quality"])
async def test_a_difference_in_anything_but_the_value_is_a_revision_too(store: Store, member: str) -> None:
    changed: Any = {"unit": "kWh", "interval": 60, "quality": "1.4.6"}[member]
    await put(store, [reading("1")], [reading("1", **{member: changed})])
    assert len(await answer(store, history=True)) == 2


async def test_revisions_are_in_order_of_receipt_not_of_name_of_log(store: Store) -> None:
    await put(store, [reading("new", received_at=START + 9)], log="aaa")
    await put(store, [reading("old", received_at=START + 8)], log="zzz")
    assert [each.reading.value for each in await answer(store)] == ["new"]


async def test_a_correction_not_yet_anchored_is_invisible_to_who_asks_for_anchored(store: Store) -> None:
    batches = await put(store, [reading("1")], [reading("2")])
    await anchor(store, batches[0])
    assert [(each.reading.value, each.anchored) for each in await answer(store)] == [("2", False)]
    assert [(each.reading.value, each.anchored) for each in await answer(store, anchored_only=True)] == [
        ("1", True)
    ]


async def test_long_answers_over_many_buckets_are_complete_and_newest_first(store: Store) -> None:
    await put(store, *([reading(str(at), at) for at in range(part, 3000, 7)] for part in range(7)))
    found = await answer(store)
    assert [each.reading.value for each in found] == [str(at) for at in reversed(range(3000))]
    assert len(await answer(store, limit=777)) == 777


async def test_many_readings_of_one_moment_are_complete(store: Store) -> None:
    await put(store, [reading(str(number), point=point(number)) for number in range(3000)])
    found = await answer(store)
    assert len(found) == len({each.reading.point for each in found}) == 3000


_rows: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        value=st.sampled_from(["1", "2", "3"]),
        at=st.integers(0, 3),
        point=st.integers(0, 2).map(point),
        phase=st.sampled_from(["A", "none"]),
        received_at=st.integers(START, START + 2),
        interval=st.sampled_from([0, 900]),
    ),
    min_size=1,
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_rows, cut=st.integers(1, 12), page=st.integers(1, 7), history=st.booleans(), where=st.booleans())
async def test_pages_together_are_the_unpaged_answer(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    cut: int,
    page: int,
    history: bool,
    where: bool,
) -> None:
    adapter = SqliteWorld(tmp_path_factory.mktemp("pages"))
    try:
        entries = [reading(**row) for row in rows]
        batches = await put(
            adapter.store, *(entries[start : start + cut] for start in range(0, len(entries), cut))
        )
        known = [
            (row.address, row.entry, True)
            for each in batches
            for row in each.stored_entries()
            if isinstance(row.entry, Reading)
        ]
        query = ReadingQuery("dso-a", point(1) if where else None, history=history)
        whole = [each async for each in adapter.store.readings(query)]
        assert [(each.address, each.reading) for each in whole] == wanted(known, query)
        paged: list[StoredReading] = []
        while True:
            after = paged[-1].position if paged else None
            some = [each async for each in adapter.store.readings(query._replace(limit=page, after=after))]
            paged += some
            if len(some) < page:
                break
        assert paged == whole
    finally:
        await adapter.close()


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


async def test_errors_are_of_the_one_tree(world: World) -> None:
    await world.close()
    with pytest.raises(BalError):
        await world.store.sources()
    with pytest.raises(BalError):
        await world.store.append_batch(batch([reading()]))


async def test_an_anchor_is_given_back_whole(store: Store) -> None:
    (sealed,) = await put(store, [reading("1"), reading("2", source="dso-b")])
    record = await store.batch("bal-1", 0)
    assert isinstance(record.anchor, Anchor)
    assert record.anchor.hash == sealed.anchor.hash
    assert record.anchor.counts == {"dso-a": 1, "dso-b": 1}


# --- closed logs


async def test_a_closed_log_keeps_its_first_reason(world: World) -> None:
    await put(world.store, [reading()], log="zzz")
    await put(world.store, [reading()], log="aaa")
    await world.store.close_log("aaa", "fork: another anchor", 5)
    await world.store.close_log("aaa", "again", 6)
    await world.store.close_log("zzz", "size", 7)
    await world.reopen()
    assert await world.store.closed_logs() == [
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
