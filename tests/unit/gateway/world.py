"""A gateway over a real embedded store and quarantine, an in-memory ledger and intake, and clients with tokens."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.errors import BalError
from bal.core.message import Message, Receipt, Rejection
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.gateway import Client, Clients, GatewayServices, Tokens, create_app
from bal.gateway.scopes import SCOPES
from bal.metrics import Metrics
from bal.publish import EventStream
from bal.store.sqlite import SqliteQuarantine, SqliteStore
from tests.unit.store.rows import batch, committed, reading

ISSUER = "https://localhost:8443"
METER = "00000000000000IT001E99999999"
"""A plain meter number, which must stand nowhere."""
NOW = 1_790_000_000_000_000
CHEAP = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)


class StandingClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.micros = NOW

    def now(self) -> int:
        return self.micros

    def monotonic(self) -> float:
        return self.micros / 1e6

    async def sleep(self, seconds: float) -> None:
        self.micros += int(seconds * 1e6)
        await asyncio.sleep(0)


class MemoryLedger:
    """Anchors in memory: what the gateway reads of a ledger."""

    kind = "embedded"
    channel = "certification"
    organisation = "DsoMSP"

    def __init__(self) -> None:
        self.commitments: dict[str, list[Commitment]] = {}

    async def logs(self) -> list[str]:
        return sorted(self.commitments)

    async def find(self, log: str, seq: int) -> Commitment | None:
        held = self.commitments.get(log, [])
        return held[seq] if seq < len(held) else None

    async def head(self, log: str) -> Commitment | None:
        return next(reversed(self.commitments.get(log, [])), None)

    async def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        for commitment in self.commitments.get(log, [])[first:]:
            yield commitment


class MemoryIntake:
    """Keeps what it is given, or raises what it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[Message, bytes]] = []
        self.error: BalError | None = None

    async def submit(self, message: Message) -> Receipt:
        if self.error is not None:
            raise self.error
        content = message.body if isinstance(message.body, bytes) else message.body().read()
        self.taken.append((message, content))
        return Receipt(message.source, message.digest, 2, 1, 0, 3, (), (("not a number", "x[1]"),), NOW, True)


class Judgement(NamedTuple):
    valid: bool
    reason: str


@dataclass
class World:
    """Everything a test touches."""

    app: FastAPI
    services: GatewayServices
    store: SqliteStore
    quarantine: SqliteQuarantine
    ledger: MemoryLedger
    intake: MemoryIntake
    events: EventStream
    clock: StandingClock
    http: httpx.AsyncClient
    health: dict[str, str]
    key: Ed25519PrivateKey
    secrets: dict[str, str] = field(default_factory=dict)
    last: dict[str, SealedBatch] = field(default_factory=dict)

    def add_client(
        self, name: str, sources: Sequence[str], scopes: Sequence[str] = tuple(SCOPES), ingest_as: str = ""
    ) -> str:
        """Register a client and return a token with all its scopes."""
        if not ingest_as and "ingest" in scopes and (len(sources) != 1 or sources[0] == "*"):
            ingest_as = "dso-a"
        self.secrets[name] = self.services.clients.add(name, scopes, sources, ingest_as)
        return self.token(name)

    def client(self, name: str) -> Client:
        found = self.services.clients.get(name)
        assert found is not None
        return found

    def token(self, name: str, scopes: Sequence[str] | None = None) -> str:
        client = self.client(name)
        return self.services.tokens.issue(client, client.scopes if scopes is None else scopes)

    async def get(self, path: str, token: str, **request: Any) -> httpx.Response:
        return await self.http.get(path, headers=bearer(token), **request)

    async def certify(
        self, entries: Sequence[Entry], log: str = "bal-1", *, published: bool = True, anchored: bool = True
    ) -> SealedBatch:
        """Store the next batch of a log, anchor it, hand it to the events and mark it published."""
        previous = self.last.get(log)
        sealed = batch(entries, previous.anchor if previous else None, log=log)
        self.last[log] = sealed
        await self.store.append_batch(sealed)
        if anchored:
            commitment = committed(sealed.anchor)
            self.ledger.commitments.setdefault(log, []).append(commitment)
            await self.store.mark_anchored([commitment])
            if published:
                await self.events.publish(
                    await self.store.certified_batch(log, sealed.seq), frozenset({"dso-a", "dso-b"})
                )
                await self.store.mark_published(log, sealed.seq)
        return sealed

    async def refuse(self, source: str, number: int) -> None:
        digest = hashlib.sha256(f"{source}{number}".encode()).digest()
        rejection = Rejection("not a number", f"readings[{number}]", METER.encode(), "value")
        await self.quarantine.put(source, digest, [(0, rejection)], NOW)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def pseudonym(source: str, identifier: str) -> str:
    digest = hashlib.sha256(f"{source}/{identifier}".encode()).digest()
    return base64.b32encode(digest[:16]).decode().rstrip("=").lower()


def readings(source: str = "dso-a", count: int = 3, start: int = 0, **members: Any) -> list[Reading]:
    return [
        reading(**{"value": str(100 + at), "at": at, "source": source, **members})
        for at in range(start, start + count)
    ]


def assert_problem(response: httpx.Response, status: int, slug: str | None = None) -> dict[str, Any]:
    """Hold an error against RFC 9457 and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["title"]
    assert document["type"] == (f"urn:bal:problem:{slug}" if slug else document["type"])
    assert METER not in response.text
    return document


@asynccontextmanager
async def gateway(home: Path) -> AsyncIterator[World]:
    """Open a gateway with sources dso-a and dso-b and no clients."""
    clock, ledger, intake, events = StandingClock(), MemoryLedger(), MemoryIntake(), EventStream()
    store = SqliteStore(home / "scd.sqlite")
    quarantine = SqliteQuarantine(home / "quarantine.sqlite", bytes(32))
    key = Ed25519PrivateKey.generate()
    health: dict[str, str] = {"store": "ok", "ledger": "ok"}

    async def verify(text: bytes) -> Judgement:
        return (
            Judgement(valid=True, reason="") if text == b"good" else Judgement(valid=False, reason="bad salt")
        )

    async def check() -> Mapping[str, str]:
        return health

    services = GatewayServices(
        store=store,
        ledger=ledger,  # type: ignore[arg-type] # the reading side is all the gateway uses
        quarantine=quarantine,
        intake=intake,
        events=events,
        clients=Clients(home / "clients.json", clock, CHEAP),
        tokens=Tokens(key, ISSUER, clock),
        clock=clock,
        metrics=Metrics(),
        pseudonyms=lambda source, identifier: [pseudonym(source, identifier)],
        verify=verify,
        health=check,
    )
    for name in ("dso-a", "dso-b"):
        await store.record_source(Source(name=name, lane="bal-1", identities=("secret-cn",)))
    for log in ("bal-1", "bal-2"):
        await store.record_lane(Lane(log, log))
    app = create_app(services)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
        yield World(app, services, store, quarantine, ledger, intake, events, clock, http, health, key)
    events.close()
    await store.close()
    await quarantine.close()


def with_services(world: World, **changes: Any) -> FastAPI:
    """Return an application whose services differ in some members."""
    return create_app(replace(world.services, **changes))


def address(sealed: SealedBatch, index: int = 0) -> Address:
    return Address(sealed.log, sealed.seq, index)
