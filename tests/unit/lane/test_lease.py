"""The lease of a lane: taken, kept on, waited for, lost."""

import asyncio

import pytest

from bal.core.errors import LaneLost, StoreUnavailable
from bal.lane.lease import Lease


class SlowClock:
    """A clock that only moves when somebody sleeps on it, or when it is set on."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> int:
        return int(self.time * 1e6)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class KeptLeases:
    """Leases that run out on the same clock."""

    def __init__(self, clock: SlowClock) -> None:
        self.clock = clock
        self.held: dict[str, tuple[str, float]] = {}
        self.silent = False

    async def hold(self, lane: str, holder: str, seconds: float) -> bool:
        if self.silent:
            raise StoreUnavailable("no answer")
        other, until = self.held.get(lane, ("", 0.0))
        if other not in {"", holder} and until > self.clock.time:
            return False
        self.held[lane] = (holder, self.clock.time + seconds)
        return True

    async def release(self, lane: str, holder: str) -> None:
        if self.held.get(lane, ("", 0.0))[0] == holder:
            del self.held[lane]


@pytest.fixture
def leases() -> KeptLeases:
    return KeptLeases(SlowClock())


def lease(leases: KeptLeases, holder: str) -> Lease:
    return Lease(leases, "bal-1", holder, leases.clock, 10.0)


async def test_one_holds_it_and_gives_it_back(leases: KeptLeases) -> None:
    first, second = lease(leases, "a"), lease(leases, "b")
    await first.take()
    first.check()
    with pytest.raises(StoreUnavailable):
        second.check()
    await first.release()
    with pytest.raises(StoreUnavailable):
        first.check()
    await second.take()
    second.check()


async def test_the_lease_of_one_that_died_is_waited_out(leases: KeptLeases) -> None:
    await lease(leases, "a").take()
    second = lease(leases, "b")
    await second.take()
    assert leases.clock.time >= 10
    second.check()


async def test_one_that_is_kept_on_is_not_taken(leases: KeptLeases) -> None:
    first = lease(leases, "a")
    await first.take()
    keeping = asyncio.ensure_future(first.keep())
    with pytest.raises(LaneLost):
        await lease(leases, "b").take()
    assert not keeping.done()
    keeping.cancel()


async def test_whoever_slept_past_it_writes_nothing_and_loses_it_to_another(leases: KeptLeases) -> None:
    first, second = lease(leases, "a"), lease(leases, "b")
    await first.take()
    leases.clock.time += 11
    with pytest.raises(StoreUnavailable):
        first.check()
    await second.take()
    with pytest.raises(LaneLost):
        await first.keep()


async def test_whoever_slept_past_it_does_not_wait_for_it_to_come_back(leases: KeptLeases) -> None:
    first, second = lease(leases, "a"), lease(leases, "b")
    await first.take()
    leases.clock.time += 11
    await second.take()
    now = leases.clock.time
    with pytest.raises(LaneLost):
        await first.take()
    assert leases.clock.time == now
    await first.release()
    second.check()


async def test_a_silence_of_the_store_ends_it(leases: KeptLeases) -> None:
    first = lease(leases, "a")
    await first.take()
    leases.silent = True
    with pytest.raises(StoreUnavailable):
        await first.keep()
    assert leases.clock.time < 11
