"""A peer that is put back to an older copy of its ledger, and one that is down: what an audit says of them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bal.anchor.fabric.access import FabricAccess
from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerUnavailable
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import organisation
from bal.system import SystemClock
from bal.verify.peers import compare_peers
from bal.verify.report import AuditReport, Finding
from tests.integration.ledger.world import RealFabricWorld, auditor
from tests.patience import PATIENCE
from tests.real import Real

pytestmark = pytest.mark.real

MARKET = organisation("market")
ALONE = {"CORE_PEER_GOSSIP_USELEADERELECTION": "false", "CORE_PEER_GOSSIP_ORGLEADER": "false"}
"""A peer that leads nobody asks no orderer for blocks."""


@pytest.fixture
async def world(real: Real) -> AsyncIterator[RealFabricWorld]:
    made = RealFabricWorld(real)
    await made.open()
    await made.operator.register_log(f"{made.prefix}bal-1")
    await made.operator.register_source(f"{made.prefix}dso-a")
    yield made
    await made.close()


async def compared(inspector: FabricAccess, patience: float) -> set[Finding]:
    """Return what the regulator's audit says of the peers."""
    ledger = await FabricLedger.connect(inspector, own=True)
    report = AuditReport()
    await compare_peers(ledger, report, SystemClock(), patience=patience)
    await ledger.verify()
    await ledger.close()
    return set(report.findings)


async def answers(ledger: FabricLedger, peer: str, log: str) -> None:
    """Return once a peer that was started answers."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            await ledger.head_at(peer, log)
        except LedgerUnavailable:
            assert time.monotonic() < until, "the peer does not answer"
            await SystemClock().sleep(0.3)
        else:
            return


async def test_a_peer_put_back_to_an_older_copy_differs(real: Real, world: RealFabricWorld) -> None:
    inspector = auditor(real, "inspector", "regulator")  # asked for once: asking starts what is down
    network = Network(real.layout, real.ports("fabric"))
    peer, address = network.process(MARKET, "peer"), network.address(MARKET, "peer")
    data = network.path / "data" / "market-peer"
    copy = network.path / "data" / "market-peer.old"
    anchors = world.chain(4)
    log = anchors[0].log
    try:
        await world.operator.anchor(anchors[:2])
        assert await compared(inspector, PATIENCE) == set()
        peer.stop()
        shutil.copytree(data, copy)
        peer.start()
        await answers(world.operator, address, log)
        await world.operator.anchor(anchors[2:])
        assert await compared(inspector, PATIENCE) == set()

        peer.stop()
        assert await compared(inspector, 1) == {Finding("peer_silent", address)}
        shutil.rmtree(data)
        copy.rename(data)
        replace(peer, environment={**peer.environment, **ALONE}).start()
        await answers(world.operator, address, log)
        assert await compared(inspector, 3) == {Finding("peer_differs", address)}
        # The log goes on meanwhile, and whoever asks that peer first is not misled.
        more = world.chain(1, start=4, previous=anchors[3].hash)
        assert (await world.operator.anchor(more))[0].anchor == more[0]
        head = await world.other.head(log)
        assert head is not None
        assert head.anchor == more[0]
    finally:
        peer.stop()
        shutil.rmtree(copy, ignore_errors=True)
        await asyncio.to_thread(real, "fabric")  # what `bal stack up` does
    assert await compared(inspector, PATIENCE) == set()
