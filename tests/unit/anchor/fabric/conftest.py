"""A network in memory, the DSO's access to it, and a clock that goes on only while somebody sleeps."""

from __future__ import annotations

import pytest

from bal.anchor.fabric.ledger import FabricLedger
from tests.unit.anchor.embedded.home import SteppingClock, begin_with
from tests.unit.anchor.fabric.network import Network

DSO, MARKET, REGULATOR = range(3)


class Clock(SteppingClock):
    """Goes on only while somebody sleeps; then the peers that are behind may catch up."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.wakes: dict[int, float] = {}
        """When a peer that is behind catches up."""

    def monotonic(self) -> float:
        return self.time / 1e6

    async def sleep(self, seconds: float) -> None:
        self.time += int(seconds * 1e6)
        for peer, at in self.wakes.items():
            if self.monotonic() >= at:
                self.network.peers[peer].behind = False
        self.network.catch_up()


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def clock(network: Network) -> Clock:
    return Clock(network)


@pytest.fixture
async def ledger(network: Network, clock: Clock) -> FabricLedger:
    made = FabricLedger(network.channel("DsoMSP"), clock)
    await begin_with(made)
    return made
