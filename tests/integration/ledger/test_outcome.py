"""An outcome nobody knows: the orderers are killed while anchors are submitted; two anchors at one place never stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerOutcomeUnknown
from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS
from bal.system import SystemClock
from tests.integration.ledger.world import RealFabricWorld, access
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


async def test_orderers_killed_under_way_leave_one_chain(real: Real, world: RealFabricWorld) -> None:
    """All orderers die, so that some submission meets a commit that never comes in time; the lane settles it."""
    network = Network(real.layout, real.ports("fabric"))
    orderers = [network.process(each, "orderer") for each in ORGANISATIONS]
    hasty = replace(access(real, "behaviour-dso", "dso"), commit_seconds=2.0)
    ledger = await FabricLedger.connect(hasty)
    unknown = 0
    submit = ledger.anchor

    async def counted(anchors: object) -> object:
        nonlocal unknown
        try:
            return await submit(anchors)  # type: ignore[arg-type]
        except LedgerOutcomeUnknown:
            unknown += 1
            raise

    ledger.anchor = counted  # type: ignore[method-assign,assignment]
    lane = Anchoring(ledger, SystemClock(), LaneSettings(settle_seconds=1.0, retry_seconds=0.5))
    anchors = world.chain(60)

    async def write() -> None:
        done = 0
        while done < len(anchors):
            done += len(await lane.commit(anchors[done : done + 1]))

    async def kill() -> None:
        for _ in range(2):
            await asyncio.sleep(1.5)
            for orderer in orderers:
                await asyncio.to_thread(orderer.kill)
            await asyncio.sleep(4.0)
            for orderer in orderers:
                await asyncio.to_thread(orderer.start)

    await asyncio.gather(write(), kill())
    assert unknown >= 1
    standing = [each async for each in world.regulator.anchors(anchors[0].log)]
    assert [each.anchor for each in standing] == anchors
    assert len({each.tx_id for each in standing}) == len(anchors)
    await world.operator.verify()
    await ledger.close()
