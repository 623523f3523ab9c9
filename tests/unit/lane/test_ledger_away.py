"""A service that starts while the ledger answers and commits nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerUnavailable
from bal.core.source import Source
from bal.system import SystemClock
from tests.patience import PATIENCE
from tests.unit.anchor.fabric.network import Network
from tests.unit.lane.office import Office
from tests.unit.lane.world import message

SOURCES = [Source(name=f"dso-{letter}", lane="bal-1") for letter in "abcdefgh"]


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def office(network: Network) -> Office:
    made = Office()
    made.ledger = FabricLedger(network.channel("DsoMSP"), SystemClock())  # type: ignore[assignment]
    return made


async def test_sources_that_are_registered_are_taken_from_at_once_and_nothing_is_submitted(
    network: Network, office: Office
) -> None:
    """Orderers away at a restart: intake goes on, and what it takes is anchored once they are back."""
    async with office.open(*SOURCES) as service:
        await service.ingest(message("1", source="dso-a"))
    blocks = len(network.order)
    assert blocks == 1 + 2 + 2 * len(SOURCES) + 1  # the first one, lanes, sources and their rules, an anchor
    network.orderers_away = True
    channel: Any = office.ledger._channel
    submissions = channel.submissions
    async with office.open(*SOURCES) as service:
        assert channel.submissions == submissions
        receipt = await service.submit(message("2@1", source="dso-b"))
        assert receipt.accepted == 1
        waiting = asyncio.create_task(service.ingest(message("3@2", source="dso-c")))
        await asyncio.sleep(0)
        assert not waiting.done()
        network.orderers_away = False
        await asyncio.wait_for(waiting, PATIENCE)
    assert len(network.order) > blocks


async def test_a_source_the_ledger_does_not_have_is_submitted(network: Network, office: Office) -> None:
    async with office.open(*SOURCES[:1]):
        pass
    network.orderers_away = True
    with pytest.raises(LedgerUnavailable):
        async with office.open(*SOURCES):
            pass


async def test_only_what_differs_is_submitted(network: Network) -> None:
    ledger = FabricLedger(network.channel("DsoMSP"), SystemClock())
    for _ in range(2):
        await ledger.register_log("bal-1")
        await ledger.register_source("dso-a")
        await ledger.set_rules("dso-a", "12" * 32)
    assert len(network.order) == 1 + 3
    await ledger.set_rules("dso-a", "13" * 32)
    await ledger.set_rules("dso-a", "12" * 32)
    assert len(network.order) == 1 + 5
