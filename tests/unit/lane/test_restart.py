"""A lane that is stopped, fails, and is started again."""

from __future__ import annotations

import asyncio

import pytest

from bal.core.address import AddressRange
from bal.core.batch import SealedBatch
from bal.core.entry import Erasure
from bal.core.errors import (
    BalError,
    LaneLost,
    LedgerAltered,
    LedgerRefused,
    StoreFailed,
    Unavailable,
)
from bal.core.source import Lane
from tests.patience import PATIENCE
from tests.unit.lane.bench import Bench, take
from tests.unit.lane.world import (
    RULES,
    SOURCE,
    answered,
    message,
    turns,
)
from tests.unit.store.rows import batch, committed, reading


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
        await asyncio.wait_for(worker.stop(), PATIENCE)
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
