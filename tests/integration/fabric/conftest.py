"""The real network, and members of it who call the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import pytest

from bal.fabric import (
    Contract,
    Deadlines,
    Endorsers,
    Endpoint,
    EvaluateError,
    Gateway,
    Identity,
    connect,
    private_key_signer,
)
from bal.stack.fabric import Fabric
from bal.stack.fabric.network import Network
from bal.stack.fabric.organisations import CHAINCODE, CHANNEL, ORGANISATIONS, organisation
from bal.stack.process import Process
from bal.stack.server import Guest
from tests.patience import PATIENCE
from tests.real import Real

ENDORSERS = Endorsers(tuple(each.msp for each in ORGANISATIONS), 2)
DEADLINES = Deadlines(evaluate=60.0, endorse=60.0, submit=60.0, commit_status=120.0)
"""Longer than by default: the machine may be busy with other tests."""


@dataclass(frozen=True)
class Ledger:
    """The network of this session. Nothing here starts again what a test has killed, as `real` would."""

    network: Network
    facts: dict[str, Any]

    async def start(self) -> None:
        """Do what `bal stack up` does."""
        ports = self.network.ports
        await asyncio.to_thread(Fabric().start, self.network.layout, ports, lambda _line: None)

    def process(self, owner: str, server: str) -> Process:
        """Return a process of an organisation."""
        return self.network.process(organisation(owner), server)

    def settings(self, name: str = "tests", owner: str = "dso") -> dict[str, Any]:
        """Return the settings of a guest."""
        told = Fabric().admit(self.network.layout, self.network.ports, Guest(name, owner))
        return cast("dict[str, Any]", told["fabric"])

    @asynccontextmanager
    async def contract(
        self, name: str = "tests", owner: str = "dso", *, admin: bool = False, gateways: int = 3
    ) -> AsyncIterator[Contract]:
        """Yield the contract as a guest calls it, its own organisation's gateway first."""
        settings = await asyncio.to_thread(self.settings, name, owner)
        async with connected(settings, admin=admin, gateways=gateways) as gateway:
            yield gateway.network(CHANNEL).contract(CHAINCODE)

    async def agreed(self, log: str) -> None:
        """Return once each organisation's own peer says the same of a log: a commit is told when one of them has it."""
        said: dict[str, bytes] = {}
        async with asyncio.timeout(PATIENCE), AsyncExitStack() as opened:
            contracts = {
                each.msp: await opened.enter_async_context(self.contract(owner=each.name, gateways=1))
                for each in ORGANISATIONS
            }
            while len(said) < len(ORGANISATIONS) or len(set(said.values())) > 1:
                for msp, contract in contracts.items():
                    with suppress(EvaluateError):  # it has not heard of the log yet
                        said[msp] = await contract.evaluate("GetHead", log, organisations=(msp,))
                await asyncio.sleep(0.05)


def connected(settings: dict[str, Any], *, admin: bool = False, gateways: int = 3) -> Gateway:
    """Return a gateway for what the settings say."""
    role = "admin_" if admin else ""
    return connect(
        identity=Identity.from_pem(settings["msp"], Path(settings[f"{role}certificate"]).read_bytes()),
        signer=private_key_signer(Path(settings[f"{role}key"]).read_bytes()),
        endpoints=endpoints(settings["gateways"][:gateways]),
        deadlines=DEADLINES,
        endorsers=ENDORSERS,
    )


def endpoints(gateways: Sequence[dict[str, str]]) -> list[Endpoint]:
    """Return where gateways are."""
    return [Endpoint(each["address"], Path(each["ca"]).read_bytes()) for each in gateways]


@pytest.fixture
def ledger(real: Real) -> Ledger:
    """Return the network, running."""
    facts = real("fabric")
    return Ledger(Network(real.layout, real.ports("fabric")), facts)


@pytest.fixture
def prefix() -> str:
    """Return what begins the names of a test: the ledger is shared and forgets nothing."""
    return f"t{token_hex(4)}"
