"""An outcome nobody knows: the orderers are killed while anchors are submitted; two anchors at one place never stand."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from bal.anchor.fabric.ledger import FabricLedger
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown
from bal.fabric import Status, SubmittedTransaction
from bal.lane.anchoring import Anchoring
from bal.lane.settings import LaneSettings
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import ORGANISATIONS
from bal.stack.process import Process
from bal.system import SystemClock
from chaincode.anchor import GENESIS, Anchor
from tests.integration.ledger.world import RealFabricWorld, access
from tests.patience import PATIENCE
from tests.real import Real

pytestmark = pytest.mark.real

LEAST, MOST = 2, 6
"""Unknown outcomes there must have been; how often the orderers are killed to have them."""


@pytest.fixture
async def world(real: Real) -> AsyncIterator[RealFabricWorld]:
    made = RealFabricWorld(real)
    await made.open()
    await made.operator.register_log(f"{made.prefix}bal-1")
    await made.operator.register_source(f"{made.prefix}dso-a")
    yield made
    await made.close()


class Murder:
    """Kills all orderers once armed, as soon as one has acknowledged a transaction that a client then waits for.

    They cut a block 50 ms after its first transaction: this one is in none yet, and whether it will be nobody knows.
    """

    def __init__(self, orderers: Sequence[Process], monkeypatch: pytest.MonkeyPatch) -> None:
        self._orderers = orderers
        self._armed = False
        status = SubmittedTransaction.status

        async def waited_for(submitted: SubmittedTransaction) -> Status:
            if self._armed:
                self._armed = False
                for orderer in self._orderers:
                    orderer.signal(signal.SIGKILL)
            return await status(submitted)

        monkeypatch.setattr(SubmittedTransaction, "status", waited_for)

    async def commit(self) -> None:
        """Arm, and return once all are dead."""
        self._armed = True
        await until(lambda: all(orderer.pid is None for orderer in self._orderers))


async def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


async def test_orderers_killed_under_way_leave_one_chain(
    real: Real, world: RealFabricWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All orderers die while a commit is waited for that never comes in time; the lane settles it."""
    network = Network(real.layout, real.ports("fabric"))
    murder = Murder([network.process(each, "orderer") for each in ORGANISATIONS], monkeypatch)
    hasty = replace(access(real, "behaviour-dso", "dso"), commit_seconds=2.0)
    ledger = await FabricLedger.connect(hasty)
    unknown = 0
    submit = ledger.anchor

    async def counted(anchors: Sequence[Anchor]) -> list[Commitment]:
        nonlocal unknown
        try:
            return await submit(anchors)
        except LedgerOutcomeUnknown:
            unknown += 1
            raise

    ledger.anchor = counted  # type: ignore[method-assign]
    lane = Anchoring(ledger, SystemClock(), LaneSettings(settle_seconds=1.0, retry_seconds=0.5))
    done: list[Anchor] = []
    killing = True

    async def write() -> None:
        while killing:
            anchors = world.chain(1, start=len(done), previous=done[-1].hash if done else GENESIS)
            await lane.commit(anchors)
            done.extend(anchors)

    async def grown(by: int) -> None:
        target = len(done) + by
        await until(lambda: len(done) >= target)

    def more(than: int) -> bool:
        return unknown > than

    async def kill() -> None:
        nonlocal killing
        for count in range(1, MOST + 1):
            await grown(3)
            before = unknown
            await murder.commit()
            with suppress(TimeoutError):  # the block was cut nevertheless: once more
                await until(partial(more, before), 15.0)
            await asyncio.to_thread(real, "fabric")
            if unknown >= LEAST and count >= LEAST:
                break
        await grown(3)
        killing = False

    async with asyncio.TaskGroup() as both:  # nobody goes on killing orderers where the other failed
        both.create_task(write())
        both.create_task(kill())
    assert unknown >= LEAST
    standing = [each async for each in world.regulator.anchors(done[0].log)]
    assert [each.anchor for each in standing] == done
    assert len({each.tx_id for each in standing}) == len(done)
    await world.operator.verify()
    await ledger.close()
