"""One lane at work: intake, collecting, storing, answering."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bal.core.address import Address, AddressRange
from bal.core.entry import Erasure
from bal.core.errors import (
    BalError,
    LedgerUnavailable,
    Overloaded,
    Refused,
    Unavailable,
    Unreadable,
)
from bal.core.source import Source
from bal.lanes import Pipeline
from tests.patience import PATIENCE
from tests.unit.lane.bench import Bench, take
from tests.unit.lane.world import (
    RULES,
    SOURCE,
    BarredValues,
    StillClock,
    answered,
    message,
    turns,
)
from tests.unit.store.rows import point


async def test_messages_become_batches_in_order_and_everyone_has_a_receipt() -> None:
    bench = Bench(batch_leaves=4)
    async with bench.running() as worker:
        done = await answered(*await take(worker, "1 2@1 bad 3@2 same", "4@4 5@5", "6@6"))
        await worker.published.reached(1)
        assert await bench.values() == ["1", "2", "3", "4", "5", "6"]
        assert [(each.accepted, each.rejected, each.duplicates) for each in done] == [
            (3, 1, 1),
            (2, 0, 0),
            (1, 0, 0),
        ]
        assert done[1].ranges == (AddressRange("bal-1", 0, 3, 3), AddressRange("bal-1", 1, 0, 0))
        assert done[0].rejections == (("bad word", "word[2]"),)
        assert bench.output.given == [("bal-1", 0, ("dso-a",)), ("bal-1", 1, ("dso-a",))]
        assert bench.metrics.counts["accepted"] == bench.metrics.counts["anchored"] == 6
        assert bench.metrics.counts["published"] == 6
        await worker.settled(done[2])
        assert (worker.room.messages, worker.room.unanchored, worker.room.unpublished_bytes) == (0, 0, 0)


async def test_what_its_door_refuses_is_quarantined_whole_and_never_answered_from_a_receipt() -> None:
    bench = Bench()
    async with bench.running() as worker:
        good = message("1 2@1")
        await answered(*await take(worker, "1 2@1"))
        ticket = await worker.take(replace(good, refusal="too large"), SOURCE, wait=True)
        with pytest.raises(Unreadable, match="too large"):
            await ticket.stored
        ((_, digest, _),) = bench.quarantine.kept
        (refused,) = bench.quarantine.kept.values()
        assert (digest, refused.reason, refused.fragment) == (good.digest, "too large", good.body)


async def test_the_same_message_again_is_answered_from_its_receipt() -> None:
    bench = Bench()
    async with bench.running() as worker:
        (first,) = await answered(*await take(worker, "1 2@1"))
        (again,) = await answered(*await take(worker, "1 2@1"))
        assert again.known
        assert not first.known
        assert again.ranges == first.ranges
        assert len(bench.normaliser.seen) == 1
        assert bench.metrics.counts["duplicates"] == 2


async def test_a_message_in_flight_twice_has_one_leaf_and_does_not_hold_up_others() -> None:
    bench = Bench(StillClock())
    async with bench.running() as worker:
        one, two, other = await take(worker, "1", "1", "2@2")
        await turns(200)
        assert not one.done()
        assert not two.done()
        assert worker.room.messages == 3
        assert worker._collecting.collector.size == 2, "the other is in the open batch already"
        bench.clock.wake.set()  # type: ignore[attr-defined]
        done = await answered(one, two, other)
        assert [each.known for each in done] == [False, True, False]
        assert await bench.values() == ["1", "2"]


async def test_a_sender_that_goes_away_leaves_no_gap_for_a_second_leaf() -> None:
    bench = Bench(StillClock())
    async with bench.running() as worker:
        (one,) = await take(worker, "1")
        await turns(100)
        one.cancel()
        (two,) = await take(worker, "1")
        await turns(100)
        bench.clock.wake.set()  # type: ignore[attr-defined]
        (done,) = await answered(two)
        assert done.known
        assert await bench.values() == ["1"]
        assert worker.room.messages == 0


async def test_a_full_room_seals_at_once() -> None:
    bench = Bench(StillClock(), intake_messages=3)
    async with bench.running() as worker:
        await answered(*await take(worker, "1", "2@2", "3@3"))
        assert await bench.values() == ["1", "2", "3"]
        assert (await bench.store.batch("bal-1", 0)).anchor.size == 3


async def test_who_will_not_wait_is_turned_away_when_work_has_piled_up() -> None:
    bench = Bench(unanchored_batches=1)
    bench.ledger.script = [LedgerUnavailable("down") for _ in range(10**5)]
    async with bench.running() as worker:
        await answered(*await take(worker, "1"))
        with pytest.raises(Overloaded, match="unanchored"):
            await worker.take(message("2"), SOURCE, wait=False)
        waiting = asyncio.create_task(worker.take(message("2"), SOURCE, wait=True))
        await turns(50)
        assert not waiting.done()
        bench.ledger.script.clear()
        await answered((await asyncio.wait_for(waiting, PATIENCE)).stored)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_unreadable_message_is_quarantined_whole_and_stops_nobody(streamed: bool) -> None:
    bench = Bench()
    async with bench.running() as worker:
        bad, good = await take(worker, "unreadable <xml>", "1", streamed=streamed)
        with pytest.raises(Unreadable):
            await bad
        assert (await answered(good))[0].accepted == 1
        (rejection,) = bench.quarantine.kept.values()
        assert rejection.fragment == b"unreadable <xml>"


async def test_a_message_with_nothing_good_in_it_is_answered_without_a_batch() -> None:
    bench = Bench(StillClock())
    async with bench.running() as worker:
        (done,) = await answered(*await take(worker, "bad1 bad2 same"))
        assert (done.accepted, done.rejected, done.duplicates, done.complete) == (0, 2, 1, True)
        assert await bench.store.last_batch("bal-1") is None
        assert len(bench.quarantine.kept) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError("gone"), Unavailable), (MemoryError(), Unavailable), (KeyError("x"), Unreadable)],
)
async def test_what_no_normaliser_should_raise_ends_its_message_alone(
    error: BaseException, told: type[BalError]
) -> None:
    bench = Bench()
    bench.normaliser.crashing = error
    async with bench.running() as worker:
        bad, good = await take(worker, "1 crash", "2@2")
        with pytest.raises(told):
            await bad
        await answered(good)
        assert await bench.values() == ["2"]


async def test_a_message_that_breaks_off_goes_on_without_a_second_leaf_however_soon_it_comes_again() -> None:
    bench = Bench(StillClock(), batch_leaves=50)
    bench.normaliser.crashing = OSError("the line went dead")
    text = " ".join(f"{n}@{n}" for n in range(1, 9)) + " crash"
    async with bench.running() as worker:
        (first,) = await take(worker, text, streamed=True)
        await turns(200)
        assert worker._collecting.collector.size == 4, "one part was handed on before it broke off"
        assert not first.done(), "not before what was taken of it is on record"
        bench.normaliser.crashing = None
        (second,) = await take(worker, text, streamed=True)
        await turns(200)
        assert len(bench.normaliser.seen) == 1
        bench.clock.wake.set()  # type: ignore[attr-defined]
        with pytest.raises(Unavailable):
            await first
        (done,) = await answered(second)
        assert bench.normaliser.seen[1][1] == 4, "goes on where it broke off"
        assert await bench.values() == [*(str(n) for n in range(1, 9)), "crash"]
        assert done.accepted == 9


async def test_erased_readings_are_not_accepted_again() -> None:
    bench = Bench(erased=BarredValues(point()))
    bench.normaliser.part = 2
    async with bench.running() as worker:
        (done,) = await answered(*await take(worker, "1 bad 2@1 3@2"))
        assert (done.accepted, done.rejected) == (0, 4)
        assert [each[0] for each in done.rejections].count(
            "this reading has been erased and is not accepted again"
        ) == 3
        assert len(bench.quarantine.kept) == 4
        (again,) = await answered(*await take(worker, "1 bad 2@1 3@2"))
        assert again.rejected == 4
        assert len(bench.quarantine.kept) == 4


async def test_received_at_does_not_go_back_with_the_clock_nor_over_a_restart() -> None:
    bench = Bench()
    async with bench.running() as worker:
        await answered(*await take(worker, "1"))
        bench.clock.time -= 10**12
        await answered(*await take(worker, "2@1"))
    bench.clock.time -= 10**12
    async with bench.running() as worker:
        await answered(*await take(worker, "3@2"))
    rows = [row for seq in range(3) for row in await bench.store.entries("bal-1", seq)]
    times = [row.entry.received_at for row in rows]
    assert len(times) == 3
    assert times == sorted(times)


async def test_an_entry_of_our_own_has_its_address_once_it_is_stored() -> None:
    bench = Bench()
    word = Erasure("dso-a", "bal-1:0:0", "ab" * 32, "operator", "asked", 5)
    async with bench.running() as worker:
        await answered(*await take(worker, "1"))
        place = await worker.append(word, RULES)
        assert place == Address("bal-1", 1, 0)
        assert (await bench.store.entry(place)).entry == word
        changed = await worker.append(word, "cd" * 32)
        assert (await bench.store.batch("bal-1", changed.seq)).anchor.rules == {"dso-a": "cd" * 32}


async def test_a_source_of_another_worker_is_not_taken_here() -> None:
    bench = Bench()
    async with bench.running() as worker:
        pipeline = Pipeline([worker])
        assert pipeline.lane_of(SOURCE) is worker
        assert pipeline.lane_writing("bal-1") is worker
        assert pipeline.lane_writing("bal-2") is None
        with pytest.raises(Unavailable):
            pipeline.lane_of(Source(name="dso-b", lane="bal-2"))


async def test_refusals_before_reading_are_quarantined_too() -> None:
    bench = Bench()

    async def refuse() -> None:
        raise Refused("this source is suspended")

    bench.normaliser.before = refuse
    async with bench.running() as worker:
        (bad,) = await take(worker, "1")
        with pytest.raises(Refused):
            await bad
        assert len(bench.quarantine.kept) == 1
