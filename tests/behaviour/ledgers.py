"""Ledgers to run the behaviour suite over. An adapter joins by a world of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from bal.anchor.embedded.chain import EmbeddedChain
from bal.anchor.embedded.identity import REGULATOR, Identity
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.fabric.ledger import FabricLedger
from bal.core.errors import LedgerOutcomeUnknown
from bal.ports import Ledger
from bal.system import SystemClock
from tests.real import Real
from tests.unit.anchor.embedded.home import KEY, SeededRandom, SteppingClock
from tests.unit.anchor.fabric.network import Network


class World(Protocol):
    """A ledger with members of three organisations on it."""

    prefix: str
    """Begin of all names of one test, where a ledger outlasts it."""

    @property
    def operator(self) -> Ledger:
        """Whoever runs the BAL."""

    @property
    def regulator(self) -> Ledger:
        """Who may suspend."""

    @property
    def other(self) -> Ledger:
        """Who owns nothing here."""

    async def open(self) -> None:
        """Connect."""

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the outcome of the next submission be unknown to its submitter."""

    async def reopen(self) -> None:
        """Close everything and connect again."""

    async def close(self) -> None:
        """End it."""


class EmbeddedWorld:
    """The embedded ledger in a folder."""

    prefix = ""
    operator: EmbeddedLedger
    regulator: EmbeddedLedger
    other: EmbeddedLedger

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def open(self) -> None:
        self.operator = await EmbeddedLedger.open(self.directory, KEY, SteppingClock(), SeededRandom())
        self.regulator = self.operator.as_identity(REGULATOR)
        self.other = self.operator.as_identity(Identity("MarketMSP", frozenset({"admin"})))

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def lost(*_: object) -> bytes:
            await submit(*_)  # type: ignore[arg-type]
            raise LedgerOutcomeUnknown("the answer was lost")

        submit = EmbeddedChain.submit
        monkeypatch.setattr(EmbeddedChain, "submit", lost)

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def close(self) -> None:
        await self.operator.close()


class MemoryFabricWorld:
    """The adapter of Fabric on a network in memory."""

    prefix = ""
    operator: FabricLedger
    regulator: FabricLedger
    other: FabricLedger

    def __init__(self) -> None:
        self.network = Network()

    async def open(self) -> None:
        self.operator, self.other, self.regulator = (
            FabricLedger(self.network.channel(msp), SystemClock())
            for msp in ("DsoMSP", "MarketMSP", "RegulatorMSP")
        )

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.network, "lose_outcomes", 1)

    async def reopen(self) -> None:
        await self.open()

    async def close(self) -> None:
        """Nothing outlasts it."""


def ledger_world(name: str, directory: Path, request: pytest.FixtureRequest) -> World:
    """Return the world of an adapter."""
    if name == "embedded":
        return EmbeddedWorld(directory)
    if name == "fabric-memory":
        return MemoryFabricWorld()
    from tests.integration.ledger.world import RealFabricWorld

    real: Real = request.getfixturevalue("real")
    return RealFabricWorld(real)


LEDGERS: list[Any] = ["embedded", "fabric-memory", pytest.param("fabric", marks=pytest.mark.real)]
