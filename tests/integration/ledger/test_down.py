"""Parts of one's own organisation killed: anchors go on and are read, whatever of it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import organisation
from bal.system import SystemClock
from tests.integration.ledger.world import RealFabricWorld
from tests.real import Real

pytestmark = pytest.mark.real


@pytest.fixture
async def world(real: Real) -> AsyncIterator[RealFabricWorld]:
    made = RealFabricWorld(real)
    await made.open()
    await made.operator.register_log(f"{made.prefix}bal-1")
    await made.operator.register_source(f"{made.prefix}dso-a")
    yield made
    await made.close()


@pytest.mark.parametrize("away", [["chaincode"], ["peer"], ["orderer"], ["chaincode", "peer", "orderer"]])
async def test_the_ledger_goes_on(real: Real, world: RealFabricWorld, away: list[str]) -> None:
    network = Network(real.layout, real.ports("fabric"))
    killed = [network.process(organisation("dso"), part) for part in away]
    lane = Anchoring(world.operator, SystemClock(), LaneSettings(retry_seconds=0.5))
    done = await lane.commit(world.chain(1))
    try:
        for process in killed:
            process.kill()
        for _ in range(5):
            done += await lane.commit(world.chain(1, start=len(done), previous=done[-1].anchor.hash))
        assert await world.operator.head(done[0].anchor.log) == done[-1]
        assert [each async for each in world.operator.anchors(done[0].anchor.log)] == done
        assert not await world.operator.suspended(f"{world.prefix}dso-a")
        assert f"{world.prefix}bal-1" in await world.operator.logs()
    finally:
        await asyncio.to_thread(real, "fabric")  # what `bal stack up` does
    done += await lane.commit(world.chain(1, start=len(done), previous=done[-1].anchor.hash))
    assert [each async for each in world.regulator.anchors(done[0].anchor.log)] == done
