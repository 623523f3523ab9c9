"""A store that does not answer for a while: the lane goes on by itself, nothing lost, nothing twice."""

import asyncio

import pytest

from bal.core.batch import SealedBatch
from bal.core.errors import LaneLost, StoreFailed, StoreUnavailable, Unavailable
from bal.lane.lease import Lease
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from tests.patience import PATIENCE
from tests.unit.lane.bench import Bench, take
from tests.unit.lane.test_lease import KeptLeases, SlowClock
from tests.unit.lane.world import answered, turns


class Away:
    """Fails appends: before the batch is stored, or after it."""

    def __init__(self, bench: Bench, *, stored: bool) -> None:
        self._append = bench.store.append_batch
        self._stored = stored
        self.times = 1

    async def append_batch(self, batch: SealedBatch) -> None:
        if self.times:
            self.times -= 1
            if self._stored:
                await self._append(batch)
            raise StoreUnavailable("no answer")
        await self._append(batch)


async def followed(pipeline: Pipeline, worker: LaneWorker) -> LaneWorker:
    for _ in range(2000):
        if pipeline.lanes["bal-1"] is not worker:
            return pipeline.lanes["bal-1"]
        await turns(1)
    return pytest.fail("the lane does not go on")


@pytest.mark.parametrize("stored", [False, True])
async def test_the_lane_goes_on_once_the_store_answers(
    monkeypatch: pytest.MonkeyPatch, *, stored: bool
) -> None:
    bench = Bench(retry_seconds=0.1)
    monkeypatch.setattr(bench.store, "append_batch", Away(bench, stored=stored).append_batch)
    async with bench.running() as worker:
        pipeline = Pipeline([worker])
        watching = asyncio.create_task(pipeline.failure())
        (lost,) = await take(worker, "1 2@1")
        with pytest.raises(Unavailable):
            await lost
        fresh = await followed(pipeline, worker)
        (again,) = await answered(*await take(fresh, "1 2@1"))
        assert again.known == stored
        await fresh.published.reached(0)
        assert await bench.values() == ["1", "2"]
        assert [given[:2] for given in bench.output.given] == [("bal-1", 0)]
        watching.cancel()
        await fresh.stop()


async def test_a_store_that_refuses_stops_the_lane_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()

    async def refuse(batch: SealedBatch) -> None:
        del batch
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(bench.store, "append_batch", refuse)
    async with bench.running() as worker:
        (lost,) = await take(worker, "1")
        with pytest.raises(Unavailable):
            await lost
        with pytest.raises(StoreFailed):
            await asyncio.wait_for(Pipeline([worker]).failure(), PATIENCE)


async def test_whoever_slept_past_its_lease_stores_nothing_and_stops_when_another_has_it() -> None:
    bench, clock = Bench(retry_seconds=0.1), SlowClock()
    leases = KeptLeases(clock)
    lease = Lease(leases, "bal-1", "a", clock, 1e6)
    async with bench.running(lease) as worker:
        clock.time += 2e6
        await leases.hold("bal-1", "b", 1e9)
        (lost,) = await take(worker, "1")
        with pytest.raises(Unavailable):
            await lost
        with pytest.raises(LaneLost):
            await asyncio.wait_for(Pipeline([worker]).failure(), PATIENCE)
    assert await bench.store.last_batch("bal-1") is None
