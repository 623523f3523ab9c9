"""One lane at work: intake, collecting, storing, answering, anchoring, publishing, stopping, starting again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bal.core.address import Address, AddressRange
from bal.core.batch import SealedBatch
from bal.core.entry import Erasure
from bal.core.errors import (
    BalError,
    Invalid,
    LaneLost,
    LedgerAltered,
    LedgerRefused,
    LedgerUnavailable,
    Overloaded,
    Refused,
    StoreFailed,
    Unavailable,
    Unreadable,
)
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.lane.collecting import Erased
from bal.lane.succession import numbered
from bal.pipeline import LaneWorker, Pipeline
from bal.pipeline import World as Ports
from tests.sim.store import SimulatedStore
from tests.unit.lane.world import (
    RULES,
    SOURCE,
    BarredValues,
    CountedMetrics,
    CountingRandom,
    FakeClock,
    KeptQuarantine,
    LineNormaliser,
    ListedOutput,
    NoneErased,
    RealTasks,
    ScriptedLedger,
    StillClock,
    answered,
    message,
    settings,
    turns,
)
from tests.unit.store.rows import batch, committed, point, reading


class Bench:
    """A lane and everything it touches."""

    def __init__(
        self, clock: FakeClock | None = None, *, erased: Erased | None = None, **numbers: Any
    ) -> None:
        self.store = SimulatedStore()
        self.ledger = ScriptedLedger()
        self.quarantine = KeptQuarantine()
        self.normaliser = LineNormaliser()
        self.output = ListedOutput()
        self.clock = clock or FakeClock()
        self.tasks = RealTasks()
        self.metrics = CountedMetrics()
        self.random = CountingRandom()
        self.numbers = settings(**numbers)
        self.erased = erased or NoneErased()
        self.sources: dict[str, Source] = {"dso-a": SOURCE}

    def worker(self) -> LaneWorker:
        ports = Ports(
            self.store,
            self.ledger,
            self.quarantine,
            self.normaliser,
            [self.output],
            self.clock,
            self.random,
            self.tasks,
            self.metrics,
        )
        return LaneWorker(
            Lane("bal-1", "bal-1"), ports, self.numbers, sources=lambda: self.sources, erased=self.erased
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LaneWorker]:
        if not await self.store.lanes():
            await self.store.record_lane(Lane("bal-1", "bal-1"))
        worker = self.worker()
        await worker.start()
        try:
            yield worker
        finally:
            worker.fail(Unavailable("the test is over"))
            await self.tasks.end()

    async def values(self, log: str = "bal-1") -> list[str]:
        found: list[str] = []
        async for record in self.store.batches(log):
            rows = await self.store.entries(log, record.anchor.seq)
            found += [row.entry.value for row in rows if isinstance(row.entry, Reading)]
        return found


async def take(worker: LaneWorker, *texts: str, streamed: bool = False) -> list[Any]:
    return [(await worker.take(message(text, streamed=streamed), SOURCE, wait=True)).stored for text in texts]


# --- the way of a message


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
        await answered((await asyncio.wait_for(waiting, 20)).stored)


async def test_an_unreadable_message_is_quarantined_whole_and_stops_nobody() -> None:
    bench = Bench()
    async with bench.running() as worker:
        bad, good = await take(worker, "unreadable <xml>", "1")
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


# --- stopping, failing, starting again


async def test_stopping_finishes_what_was_taken() -> None:
    bench = Bench()
    async with bench.running() as worker:
        stored = await take(worker, "1 2@1", "3@3")
        await worker.stop()
        assert [each.accepted for each in await answered(*stored)] == [2, 1]
        assert await bench.store.unpublished("bal-1") == []
        with pytest.raises(Unavailable):
            await worker.take(message("4"), SOURCE, wait=True)
        with pytest.raises(Unavailable):
            await worker.append(Erasure("dso-a", "", "", "", "", 0), RULES)
        await worker.stop()


async def test_stopping_does_not_wait_for_an_output_that_is_away() -> None:
    bench = Bench()
    bench.output.script = [Unavailable("disk full") for _ in range(10**5)]
    async with bench.running() as worker:
        await answered(*await take(worker, "1"))
        await asyncio.wait_for(worker.stop(), 20)
    assert await bench.store.unanchored("bal-1") == []
    assert await bench.store.unpublished("bal-1") == [0]
    bench.output.script.clear()
    async with bench.running() as worker:
        await worker.published.reached(0)
        assert bench.output.given == [("bal-1", 0, ("dso-a",))]


async def test_a_worker_that_never_started_can_be_stopped() -> None:
    worker = Bench().worker()
    with pytest.raises(Unavailable):
        await worker.take(message("1"), SOURCE, wait=True)
    await worker.stop()


async def test_a_store_that_fails_stops_the_lane_and_senders_keep_their_messages() -> None:
    bench = Bench()

    async def broken(kind: str) -> None:
        if kind == "append_batch":
            raise StoreFailed("disk full")

    async with bench.running() as worker:
        bench.store.before = broken
        stored = await take(worker, "1", "2@2")
        waiting = asyncio.create_task(worker.anchored.reached(0))
        for each in stored:
            with pytest.raises(Unavailable):
                await each
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(StoreFailed):
            await worker.failed
        with pytest.raises(Unavailable):
            await worker.take(message("3"), SOURCE, wait=True)
        await turns()
        assert bench.tasks.running == set(), "nothing goes on behind a lane that has failed"


async def test_what_is_being_stored_when_a_lane_fails_is_waited_for() -> None:
    bench = Bench()
    go_on = asyncio.Event()

    async def slow(kind: str) -> None:
        if kind == "append_batch":
            await go_on.wait()

    async with bench.running() as worker:
        bench.store.before = slow
        (stored,) = await take(worker, "1")
        await turns(100)
        worker.fail(LedgerRefused("no", code="malformed"))
        ended = asyncio.create_task(worker.ended())
        await turns(50)
        assert not ended.done()
        go_on.set()
        await ended
        assert await bench.values() == ["1"]
        with pytest.raises(Unavailable):
            await stored
    async with bench.running() as worker:
        (done,) = await answered(*await take(worker, "1"))
        assert done.known


async def test_unanchored_and_unpublished_batches_are_taken_up_in_order() -> None:
    bench = Bench(batch_leaves=1)
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    previous = None
    for number in range(5):
        sealed = batch([reading(str(number), number)], previous)
        previous = sealed.anchor
        await bench.store.append_batch(sealed)
        if number < 3:
            (commitment,) = await bench.ledger.anchor([sealed.anchor])
            await bench.store.mark_anchored([commitment])
    await bench.store.mark_published("bal-1", 0)
    async with bench.running() as worker:
        assert worker.published.value == 0
        assert worker.anchored.value == 2
        (done,) = await answered(*await take(worker, "7@7"))
        assert done.ranges == (AddressRange("bal-1", 5, 0, 0),)
        await worker.published.reached(5)
        assert [seq for _, seq, _ in bench.output.given] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("stored", "marked", "standing", "error"),
    [(3, 3, 2, LedgerAltered), (3, 1, 0, LedgerAltered), (1, 1, 2, LaneLost), (0, 0, 1, LaneLost)],
)
async def test_a_head_that_does_not_fit_stops_the_start(
    stored: int, marked: int, standing: int, error: type[BalError]
) -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    chain: list[SealedBatch] = []
    for number in range(3):
        chain.append(batch([reading(str(number), number)], chain[-1].anchor if chain else None))
    for each in chain[:stored]:
        await bench.store.append_batch(each)
    await bench.store.mark_anchored([committed(each.anchor) for each in chain[:marked]])
    await bench.ledger.anchor([each.anchor for each in chain[:standing]]) if standing else None
    with pytest.raises(error):
        await bench.worker().start()


async def test_another_head_on_the_ledger_is_an_altered_ledger() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    ours, theirs = batch([reading("1")]), batch([reading("2")])
    await bench.store.append_batch(ours)
    await bench.store.mark_anchored([committed(ours.anchor)])
    await bench.ledger.anchor([theirs.anchor])
    with pytest.raises(LedgerAltered, match="bal-1:0"):
        await bench.worker().start()


# --- a log that is closed


async def settle(bench: Bench, pipeline: Pipeline, log: str) -> None:
    for _ in range(2000):
        worker = pipeline.lanes["bal-1"]
        if worker.lane.log == log and not worker.failed.done() and not await bench.store.unpublished(log):
            return
        await turns(1)
    pytest.fail(f"{log} was not reached")


async def poisoned(bench: Bench, worker: LaneWorker, text: str) -> AddressRange:
    """Take a message whose batch the contract will never take."""
    bench.ledger.open.clear()
    (done,) = await answered(*await take(worker, text))
    (part,) = done.ranges
    bench.ledger.poison.add((await bench.store.batch(part.log, part.seq)).anchor.root)
    bench.ledger.open.set()
    return part


async def test_a_refused_batch_closes_its_log_and_the_lane_goes_on_in_a_new_one() -> None:
    bench = Bench(retry_seconds=0.1)
    async with bench.running() as worker:
        pipeline = Pipeline([worker])
        watching = asyncio.create_task(pipeline.failure())
        (first,) = await answered(*await take(worker, "1 2@1"))
        await worker.published.reached(0)
        await poisoned(bench, worker, "3@3 bad 4@4")
        await settle(bench, pipeline, "bal-1-2")
        (closed,) = await bench.store.closed_logs()
        assert (closed.lane, closed.log) == ("bal-1", "bal-1")
        assert closed.reason.startswith("malformed")
        assert bench.metrics.counts["log-closed"] == 1
        assert await bench.values() == ["1", "2"]
        assert await bench.values("bal-1-2") == ["3", "4"]
        moved = await bench.store.batch("bal-1", 1)
        assert moved.moved_to == ("bal-1-2", 0)
        assert moved.commitment is None
        fresh = pipeline.lanes["bal-1"]
        again, new = await answered(*await take(fresh, "3@3 bad 4@4", "5@5"))
        assert again.known
        assert again.ranges == (AddressRange("bal-1-2", 0, 0, 1),)
        assert new.ranges == (AddressRange("bal-1-2", 1, 0, 0),)
        assert first.ranges == (AddressRange("bal-1", 0, 0, 1),)
        await fresh.published.reached(1)
        assert [given[:2] for given in bench.output.given] == [("bal-1", 0), ("bal-1-2", 0), ("bal-1-2", 1)]
        assert await bench.store.lanes() == [
            Lane("bal-1", "bal-1-2", (await bench.store.lanes())[0].opened_at)
        ]
        watching.cancel()
        await fresh.stop()


async def test_a_log_refused_from_its_first_batch_on_is_for_the_operator() -> None:
    bench = Bench()
    async with bench.running() as worker:
        await poisoned(bench, worker, "1")
        with pytest.raises(LedgerRefused):
            await asyncio.wait_for(Pipeline([worker]).failure(), 20)
    assert [each.log for each in await bench.store.closed_logs()] == ["bal-1"]
    async with bench.running() as worker:
        assert worker.lane.log == "bal-1-2"
        await worker.published.reached(0)
        assert await bench.values("bal-1-2") == ["1"]


async def test_a_batch_that_stands_on_the_ledger_after_all_is_not_moved() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    first = batch([reading("1")])
    second = batch([reading("2", 1)], first.anchor)
    for each in (first, second):
        await bench.store.append_batch(each)
    await bench.ledger.anchor([first.anchor])
    await bench.store.close_log("bal-1", "malformed", 1)
    async with bench.running() as worker:
        await worker.published.reached(0)
        assert [given[:2] for given in bench.output.given] == [("bal-1", 0), ("bal-1-2", 0)]
        assert (await bench.store.batch("bal-1", 0)).commitment is not None
        assert await bench.values("bal-1-2") == ["2"]


async def test_rows_that_were_altered_are_not_sealed_anew() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    await bench.store.append_batch(batch([reading("1"), reading("2", 1)]))
    await bench.store.close_log("bal-1", "malformed", 1)
    bench.store.db.execute("UPDATE readings SET value = '3' WHERE idx = 1")
    with pytest.raises(Invalid, match="bal-1:0"):
        await bench.worker().start()
    bench.store.db.execute("DELETE FROM readings WHERE idx = 1")
    with pytest.raises(Invalid, match="bal-1:0"):
        await bench.worker().start()


async def test_a_name_somebody_else_has_registered_is_passed_over() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    await bench.store.close_log("bal-1", "malformed", 1)
    asked: list[str] = []

    async def register(log: str) -> None:
        asked.append(log)
        if log != "bal-1-4":
            raise LedgerRefused("taken", code="wrong_organisation")

    bench.ledger.register_log = register  # type: ignore[method-assign]
    async with bench.running() as worker:
        assert worker.lane.log == "bal-1-4"
        assert asked == ["bal-1-2", "bal-1-3", "bal-1-4"]


def test_numbered_logs_stay_within_the_grammar_of_names() -> None:
    assert numbered("bal-1", 2) == "bal-1-2"
    assert numbered("a" * 48, 10) == "a" * 45 + "-10"


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
