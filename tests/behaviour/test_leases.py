"""Leases: one holder at a time, kept on, given back, run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from bal.ports import Leases
from bal.store.cassandra.leases import CassandraLeases
from tests.cassandra_field import admitted, connected
from tests.patience import PATIENCE
from tests.real import Real

LONG = 600.0
SHORT = 1.0


class KeptLeases:
    """Leases in memory, on the machine's clock."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, float]] = {}

    async def hold(self, lane: str, holder: str, seconds: float) -> bool:
        other, until = self._held.get(lane, ("", 0.0))
        if other not in {"", holder} and until > time.monotonic():
            return False
        self._held[lane] = (holder, time.monotonic() + seconds)
        return True

    async def release(self, lane: str, holder: str) -> None:
        if self._held.get(lane, ("", 0.0))[0] == holder:
            del self._held[lane]


@asynccontextmanager
async def _in_memory(real: Real) -> AsyncIterator[Leases]:
    yield KeptLeases()


@asynccontextmanager
async def _cassandra(real: Real) -> AsyncIterator[Leases]:
    async with connected(admitted(real, "leasing-bal")) as session:
        leases = CassandraLeases(session)
        for lane in ("bal-1", "bal-2"):  # what the test before left
            for holder in ("a", "b"):
                await leases.release(lane, holder)
        yield leases


World = Callable[[Real], AbstractAsyncContextManager[Leases]]


@pytest.fixture(params=[_in_memory, pytest.param(_cassandra, marks=pytest.mark.real)])
async def leases(request: pytest.FixtureRequest) -> AsyncIterator[Leases]:
    world: World = request.param
    real = request.getfixturevalue("real")
    async with world(real) as found:
        yield found


async def test_one_holds_a_lane_until_it_is_given_back(leases: Leases) -> None:
    assert await leases.hold("bal-1", "a", LONG)
    assert not await leases.hold("bal-1", "b", LONG)
    await leases.release("bal-1", "a")
    assert await leases.hold("bal-1", "b", LONG)
    assert not await leases.hold("bal-1", "a", LONG)


async def test_lanes_are_held_apart(leases: Leases) -> None:
    assert await leases.hold("bal-1", "a", LONG)
    assert await leases.hold("bal-2", "b", LONG)
    assert not await leases.hold("bal-2", "a", LONG)


async def test_holding_what_one_holds_keeps_it_on(leases: Leases) -> None:
    assert await leases.hold("bal-1", "a", SHORT)
    assert await leases.hold("bal-1", "a", LONG)
    await asyncio.sleep(4 * SHORT)
    assert not await leases.hold("bal-1", "b", LONG)


async def test_a_lease_that_is_not_kept_on_runs_out_and_not_before_its_time(leases: Leases) -> None:
    for _ in range(4):  # whole seconds of the server's clock and ours fall differently
        asked = time.monotonic()  # it stands from somewhere between asking and the answer on
        assert await leases.hold("bal-1", "a", SHORT)
        async with asyncio.timeout(PATIENCE):
            while not await leases.hold("bal-1", "b", LONG):  # noqa: ASYNC110 - nobody tells when it runs out
                await asyncio.sleep(0.05)
        assert time.monotonic() - asked >= SHORT
        await leases.release("bal-1", "b")


async def test_nobody_gives_back_what_another_holds(leases: Leases) -> None:
    assert await leases.hold("bal-1", "a", LONG)
    await leases.release("bal-1", "b")
    assert not await leases.hold("bal-1", "b", LONG)
    await leases.release("bal-2", "b")  # none at all


async def test_of_many_at_once_one_holds_it(leases: Leases) -> None:
    async def settled(holder: str) -> bool:
        return await leases.hold("bal-1", holder, LONG)

    tries: list[Coroutine[Any, Any, bool]] = [settled(holder) for holder in "ababab"]
    held = dict(zip("ababab", await asyncio.gather(*tries), strict=True))
    assert sorted(held.values()) == [False, True]
