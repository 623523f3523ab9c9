"""A lane that takes long to begin: its lease is kept on meanwhile, its backlog is read many records at a time."""

import asyncio
from collections import Counter

import pytest

from bal.core.errors import LaneLost, StoreUnavailable
from bal.core.source import Lane
from bal.lane.lease import Lease
from tests.patience import PATIENCE
from tests.unit.lane.bench import Bench
from tests.unit.lane.test_lease import KeptLeases, SlowClock
from tests.unit.lane.world import turns
from tests.unit.store.rows import batch, reading

BATCHES = 120


class Passing(SlowClock):
    """A clock that others set on; who sleeps, sleeps until then."""

    async def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:  # noqa: ASYNC110 - simulated time
            await asyncio.sleep(0)


class Slow:
    """Lets time pass at every request to a store, and counts them by kind."""

    def __init__(self, clock: Passing, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.asked: Counter[str] = Counter()

    async def __call__(self, kind: str) -> None:
        self.asked[kind] += 1
        for _ in range(10):
            self.clock.time += self.seconds / 10
            await asyncio.sleep(0)


async def backlog(bench: Bench) -> None:
    """Store and anchor batches that were not published."""
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    previous = None
    for number in range(BATCHES):
        sealed = batch([reading(str(number), number)], previous)
        previous = sealed.anchor
        await bench.store.append_batch(sealed)
        await bench.store.mark_anchored(await bench.ledger.anchor([sealed.anchor]))


async def test_a_lane_with_a_backlog_begins_though_that_takes_longer_than_its_lease() -> None:
    bench, clock = Bench(), Passing()
    await backlog(bench)
    slow = bench.store.before = Slow(clock, 0.1)
    async with bench.running(Lease(KeptLeases(clock), "bal-1", "a", clock, 1.0)) as worker:
        assert clock.time > 1.0, "or this test says nothing"
        assert sum(slow.asked.values()) < BATCHES
        async with asyncio.timeout(PATIENCE):
            await worker.published.reached(BATCHES - 1)
        assert not worker.failed.done()
    assert [seq for _, seq, _ in bench.output.given] == list(range(BATCHES))


@pytest.mark.parametrize(("silent", "error"), [(True, StoreUnavailable), (False, LaneLost)])
async def test_a_lease_lost_meanwhile_stops_the_start(silent: bool, error: type[Exception]) -> None:
    bench, clock = Bench(), Passing()
    await backlog(bench)
    leases = KeptLeases(clock)
    slow = Slow(clock, 0.1)

    async def losing(kind: str) -> None:
        leases.silent = silent
        if not silent:
            leases.held["bal-1"] = ("b", 1e9)
        await slow(kind)

    bench.store.before = losing
    worker = bench.worker(Lease(leases, "bal-1", "a", clock, 1.0))
    with pytest.raises(error):
        await worker.start()
    assert bench.output.given == []
    await bench.tasks.end()


async def test_a_start_that_fails_keeps_no_lease_on() -> None:
    bench, clock = Bench(), Passing()
    leases = KeptLeases(clock)
    bench.store.before = Slow(clock, 0.1)

    async def away() -> list[Lane]:
        raise StoreUnavailable("no answer")

    bench.store.lanes = away  # type: ignore[method-assign]
    worker = bench.worker(Lease(leases, "bal-1", "a", clock, 1.0))
    with pytest.raises(StoreUnavailable):
        await worker.start()
    await turns()
    assert bench.tasks.running == set()
