"""The client alone against the real network: nothing of the adapter of the ledger is used here."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from bal import fabric
from bal.stack.server import Guest
from chaincode.anchor import GENESIS, Anchor
from tests.patience import PATIENCE
from tests.real import Real

ORGANISATIONS = ("dso", "market", "regulator")
MSPS = ("DsoMSP", "MarketMSP", "RegulatorMSP")
READY = fabric.Deadlines(evaluate=60, endorse=60, submit=60, commit_status=120)
"""Longer than by default: the machine may be busy with other tests."""


@dataclass
class Client:
    """Gateways of one guest of an organisation, who is an administrator as well."""

    settings: dict[str, Any]
    opened: list[fabric.Gateway] = field(default_factory=list)

    def identity(self, *, admin: bool = False) -> fabric.Identity:
        name = "admin_certificate" if admin else "certificate"
        return fabric.Identity.from_pem(self.settings["msp"], Path(self.settings[name]).read_bytes())

    def signer(self, *, admin: bool = False) -> fabric.Signer:
        return fabric.private_key_signer(Path(self.settings["admin_key" if admin else "key"]).read_bytes())

    @property
    def endpoints(self) -> list[fabric.Endpoint]:
        return [
            fabric.Endpoint(peer["address"], tls_roots=Path(peer["ca"]).read_bytes())
            for peer in self.settings["gateways"]
        ]

    def gateway(self, *, admin: bool = False, **options: Any) -> fabric.Gateway:
        """Connect to one's own organisation's peer, or to `endpoints`."""
        options.setdefault("endpoints", self.endpoints[:1])
        options.setdefault("identity", self.identity(admin=admin))
        options.setdefault("signer", self.signer(admin=admin))
        options.setdefault("deadlines", READY)
        self.opened.append(fabric.connect(**options))
        return self.opened[-1]

    def network(self, **options: Any) -> fabric.Network:
        return self.gateway(**options).network(self.settings["channel"])

    def contract(self, **options: Any) -> fabric.Contract:
        return self.network(**options).contract(self.settings["chaincode"])


@pytest.fixture
async def clients(real: Real) -> AsyncIterator[dict[str, Client]]:
    """Admit a guest of each organisation; a network killed by a test before is started again."""
    guests = {
        name: Client(real.admit("fabric", Guest("client-tests", name))["fabric"]) for name in ORGANISATIONS
    }
    yield guests
    for guest in guests.values():
        for gateway in guest.opened:
            await gateway.close()


@pytest.fixture
async def dso(clients: dict[str, Client]) -> Client:
    return clients["dso"]


class Log:
    """A registered log; each anchor emits an event "anchored" with its log and `first` sequence number."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self.name = f"log-{token_hex(4)}"
        self._clients = clients
        self._seq = 0
        self._previous = GENESIS

    async def register(self) -> None:
        contract = self._clients["dso"].contract(admin=True)
        await contract.submit("RegisterLog", self.name)
        await contract.submit("RegisterSource", self.name)
        await known(self._clients, "GetSource", self.name)

    async def reached(self) -> None:
        """Return once every peer has what was anchored so far: one that has not refuses what comes next as a gap."""
        await known(self._clients, "GetAnchor", self.name, str(self._seq - 1))

    def next(self) -> str:
        """Return the argument that anchors the next batch."""
        time = f"2026-01-01T00:00:{self._seq:02}.000000Z"
        anchor = Anchor(
            self.name,
            self._seq,
            "ab" * 32,
            1,
            self._previous,
            time,
            time,
            {self.name: 1},
            {self.name: "cd" * 32},
        )
        self._seq, self._previous = self._seq + 1, anchor.hash
        return json.dumps([anchor.to_json()])


async def known(clients: dict[str, Client], *question: str) -> None:
    """Return once every organisation's peer answers: a commit is told as soon as one of them has it."""
    async with asyncio.timeout(PATIENCE):
        for client, msp in zip(clients.values(), MSPS, strict=True):
            contract = client.contract()
            while True:
                try:
                    await contract.evaluate(*question, organisations=[msp])
                    break
                except fabric.EvaluateError:
                    await asyncio.sleep(0.02)


@pytest.fixture
async def log(clients: dict[str, Client]) -> Log:
    made = Log(clients)
    await made.register()
    return made


@pytest.fixture
async def source(clients: dict[str, Client]) -> str:
    """Register a source, whose rules can be set over and over."""
    name = f"source-{token_hex(4)}"
    await clients["dso"].contract(admin=True).submit("RegisterSource", name)
    await known(clients, "GetSource", name)
    return name
