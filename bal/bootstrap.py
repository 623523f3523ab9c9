"""Settings to adapters to service: the only file that picks adapters."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from bal.anchor.ledger import EmbeddedLedger
from bal.anchor.signed import SignedAnchors
from bal.config import Settings, load
from bal.core.errors import LedgerAltered, Malformed, NothingToTrust
from bal.core.names import is_name
from bal.core.source import Lane
from bal.erasing import ErasedKeys, Erasing
from bal.gateway import (
    Clients,
    GatewayServices,
    Tokens,
    control_socket_path,
    create_app,
    create_control_app,
    https_server,
    listen,
    socket_server,
)
from bal.home import Home
from bal.ingest import Accounts, BrokerSettings, EmbeddedBroker, EmbeddedInbox, Intake
from bal.keys import Keys, operator_public_key
from bal.lane.room import Room
from bal.metrics import Metrics
from bal.normalise.normaliser import PoolNormaliser
from bal.pipeline import LaneWorker, Pipeline, World
from bal.pki import Authority, RevocationList
from bal.ports import Publisher
from bal.publish import CertifiedTopics, ClosedOutput, EventStream, FlatTopics, JsonLines, send_each
from bal.reader import Reader, pseudonyms
from bal.registry import Registry
from bal.service import Service
from bal.store import SqliteQuarantine, SqliteStore
from bal.system import SystemClock, SystemRandom, SystemTasks
from bal.verify.anchors import AnchorFile
from bal.verify.audit import audit, ledger_altered
from bal.verify.heads import Heads
from bal.verify.report import AuditReport
from bal.verify.verifier import Verdict, verify, verify_on_ledger


@asynccontextmanager
async def open_reader(home: Home) -> AsyncIterator[Reader]:
    """Open a home for reading, beside whoever writes it. `NotFound` where there is none."""
    home.existing()
    keys = Keys.open(home.keys, in_use=True)
    store = SqliteStore(home.scd, read_only=True)
    ledger = await EmbeddedLedger.beside(home.ledger, operator_public_key(home.keys))
    try:
        yield Reader(store, ledger, keys.pseudonyms)
    finally:
        await ledger.close()
        await store.close()


@asynccontextmanager
async def open_quarantine(home: Home) -> AsyncIterator[SqliteQuarantine]:
    """Open the quarantine of a home for reading. `NotFound` where there is no home."""
    home.existing()
    keys = Keys.open(home.keys, in_use=True)
    quarantine = SqliteQuarantine(home.quarantine, keys.quarantine, read_only=True)
    try:
        yield quarantine
    finally:
        await quarantine.close()


@dataclass(frozen=True, slots=True)
class Opened:
    """A home held by this process, everything in it open."""

    home: Home
    settings: Settings
    keys: Keys
    service: Service
    registry: Registry
    metrics: Metrics
    events: EventStream
    publishers: list[Publisher]


@asynccontextmanager
async def open_service(home: Home, settings: Settings) -> AsyncIterator[Opened]:
    """Take a home as its one writer and open everything but the doors; `Service.start` is the caller's.

    `HomeLocked` when another process writes it; `LedgerAltered`, `StoreFailed`.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(home.lock())
        opened = await _open(home, settings, stack)
        yield opened


async def _open(home: Home, settings: Settings, stack: AsyncExitStack) -> Opened:
    keys = Keys.open(home.keys, in_use=home.scd.exists())
    clock, random = SystemClock(), SystemRandom()
    store = SqliteStore(home.scd)
    stack.push_async_callback(store.close)
    quarantine = SqliteQuarantine(home.quarantine, keys.quarantine)
    stack.push_async_callback(quarantine.close)
    ledger = await EmbeddedLedger.open(home.ledger, keys.operator, clock, random)
    stack.push_async_callback(ledger.close)
    normaliser = PoolNormaliser(settings.workers, keys.pseudonym_key)
    stack.push_async_callback(normaliser.close)
    files, events = JsonLines(home.out), EventStream()
    publishers: list[Publisher] = [files, events, ClosedOutput("mqtt"), ClosedOutput("mqtt-flat")]
    metrics, registry = Metrics(), Registry()
    registry.replace(await store.sources())
    erased = ErasedKeys(_digest(keys.lookup))
    erased.replace(await store.erased_lookups())
    world = World(store, ledger, quarantine, normaliser, publishers, clock, random, SystemTasks(), metrics)
    pipeline = Pipeline(
        [
            LaneWorker(lane, world, settings.lane, sources=registry.all, erased=erased)
            for lane in await _lanes(store, settings, clock)
        ]
    )
    service = Service(
        store=store,
        ledger=ledger,
        quarantine=quarantine,
        pipeline=pipeline,
        erasing=Erasing(store, ledger, pipeline, clock, erased, [files]),
        registry=registry,
        clock=clock,
        receipt_days=settings.lane.receipt_days,
    )
    _watch(metrics, pipeline)
    return Opened(home, settings, keys, service, registry, metrics, events, publishers)


def _watch(metrics: Metrics, pipeline: Pipeline) -> None:
    """Show the numbers of back-pressure, over all lanes: sums, and the longest wait."""

    def rooms() -> list[Room]:
        return [worker.room for worker in pipeline.lanes.values()]

    metrics.watch_batches("unanchored", lambda: sum(room.unanchored for room in rooms()))
    metrics.watch_batches("unpublished", lambda: sum(room.unpublished for room in rooms()))
    metrics.watch(
        "intake_messages",
        "Messages taken and not yet stored.",
        lambda: sum(room.messages for room in rooms()),
    )
    metrics.watch(
        "unpublished_bytes",
        "Bytes of certificates anchored and not yet published, estimated.",
        lambda: sum(room.unpublished_bytes for room in rooms()),
    )
    metrics.watch(
        "unpublished_hours",
        "Hours the oldest unpublished batch has waited.",
        lambda: max((room.unpublished_hours() for room in rooms()), default=0.0),
    )


def _digest(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


async def _lanes(store: SqliteStore, settings: Settings, clock: SystemClock) -> list[Lane]:
    """Return the lanes this worker runs, each with its log; a lane's first log has the lane's name."""
    known = {lane.name: lane for lane in await store.lanes()}
    for name in settings.lanes:
        if name not in known:
            known[name] = Lane(name, name, clock.now())
            await store.record_lane(known[name])
    return [known[name] for name in settings.lanes]


def authority(home: Home) -> Authority:
    """Return the development CA of a home, made with a server certificate on first use."""
    if Authority.exists(home.pki):
        return Authority.open(home.pki)
    made = Authority.create(home.pki)
    made.issue_server(load(home.path).server.names)
    return made


def accounts(home: Home) -> Accounts:
    """Return the field broker's accounts of a home."""
    return Accounts(home.accounts)


@asynccontextmanager
async def judge(
    home: Home, anchors: Path | None, heads: list[str]
) -> AsyncIterator[Callable[[bytes], Awaitable[Verdict]]]:
    """Yield what judges a certificate: by a file of trusted anchors, else by the home's ledger.

    `heads` are `log=hash` texts up to which the file's chains must lead. `NothingToTrust` where there is neither.
    """
    if anchors is not None:
        with AnchorFile(anchors, dict(_head(text) for text in heads) or None) as trusted:

            async def by_file(text: bytes) -> Verdict:
                return verify(text, trusted)

            yield by_file
        return
    if not home.ledger.exists():
        message = "there is nothing to trust: no file of anchors, and no ledger in this home"
        raise NothingToTrust(
            message, subject=home.path.name, remedy="give --anchors FILE, or name a home with --home"
        )
    key = operator_public_key(home.keys)
    ledger = await EmbeddedLedger.beside(home.ledger, key)
    try:
        signed = SignedAnchors(ledger, key)

        async def by_ledger(text: bytes) -> Verdict:
            return await verify_on_ledger(text, signed)

        yield by_ledger
    finally:
        await ledger.close()


def _head(text: str) -> tuple[str, str]:
    log, _, digest = text.partition("=")
    if not is_name(log) or len(digest) != 64:
        message = "this is not a head"
        raise Malformed(message, remedy="write it as log=hash, the hash in 64 hex characters")
    return log, digest.lower()


async def audit_home(home: Home, since: Heads | None) -> AuditReport:
    """Audit a home beside whoever writes it, also against the heads an earlier audit saw."""
    try:
        async with open_reader(home) as reader:
            return await audit(reader.store, reader.ledger, since=since)
    except LedgerAltered as error:  # so that it cannot even be opened
        return ledger_altered(error)


def _broker(opened: Opened) -> tuple[EmbeddedBroker, dict[str, EmbeddedInbox]]:
    """Make the embedded field broker: its inboxes feed the lanes, the lanes feed its certified topics."""
    settings, registry = opened.settings.mqtt, opened.registry
    ca = authority(opened.home)
    certificate, key = ca.server_paths
    where = BrokerSettings(
        ca=ca.certificate_path,
        certificate=certificate,
        key=key,
        host=settings.host,
        port=settings.port,
        connections=settings.max_connections,
    )
    broker = EmbeddedBroker(
        where,
        rights_of=lambda identity: registry.ownership().rights_of(identity),
        is_revoked=RevocationList(ca.certificate_path, ca.crl_path).is_revoked,
        accounts=accounts(opened.home),
    )
    inboxes = {name: EmbeddedInbox(broker.send) for name in opened.service.pipeline.lanes}

    def inbox_of(source: str) -> EmbeddedInbox | None:
        registered = registry.all().get(source)
        if registered is None or registry.is_moving(source):
            return None
        return inboxes.get(registered.lane)

    broker.serve(Intake(registry.ownership, inbox_of, broker.send))
    for output in (CertifiedTopics(send_each(broker.send)), FlatTopics(send_each(broker.send))):
        place = next(i for i, publisher in enumerate(opened.publishers) if publisher.name == output.name)
        opened.publishers[place] = output
    return broker, inboxes


@dataclass(frozen=True, slots=True)
class Running:
    """A service with its doors open."""

    opened: Opened
    facts: dict[str, Any]
    """Where its doors are: `mqtt` host:port, `gateway` URL, `control` socket; empty for a door that is shut."""
    doors: Sequence[asyncio.Task[None]]
    """What takes messages in, one task a lane."""

    async def until(self, stopping: asyncio.Event) -> None:
        """Return once `stopping` is set or an operator asks for the end; raise what stops a lane or its door."""
        service = self.opened.service
        ways = [
            asyncio.ensure_future(work)
            for work in (stopping.wait(), service.stopping.wait(), service.pipeline.failure())
        ]
        try:
            done, _ = await asyncio.wait([*ways, *self.doors], return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()


def control_app(opened: Opened) -> FastAPI:
    """Return the operator's control routes of an open home."""
    return create_control_app(opened.service, Clients(opened.home.clients, SystemClock()))


def _gateway(opened: Opened, url: str) -> FastAPI:
    """Return the REST API of an open home, known to its clients by `url`."""
    service, settings, clock = opened.service, opened.settings.gateway, SystemClock()

    async def check(text: bytes) -> Verdict:
        return await verify_on_ledger(text, service.ledger)

    services = GatewayServices(
        store=service.store,
        ledger=service.ledger,
        quarantine=service.quarantine,
        intake=service,
        events=opened.events,
        clients=Clients(opened.home.clients, clock),
        tokens=Tokens(opened.keys.token, url, clock, settings.token_seconds),
        clock=clock,
        metrics=opened.metrics,
        pseudonyms=lambda source, identifier: pseudonyms(opened.keys.pseudonyms, source, identifier),
        verify=check,
        health=service.health,
        docs=settings.docs,
    )
    return create_app(services)


@asynccontextmanager
async def running(home: Home, settings: Settings) -> AsyncIterator[Running]:
    """Open a home and its doors; leave by finishing what was taken. `HomeLocked`, `Unavailable` for a port in use."""
    async with open_service(home, settings) as opened, AsyncExitStack() as stack:
        facts: dict[str, Any] = {"mqtt": "", "gateway": "", "control": ""}
        broker, inboxes = _broker(opened) if settings.mqtt.enabled else (None, {})
        if broker is not None:
            stack.push_async_callback(broker.stop)  # last: what was taken still goes out by it
        await opened.service.start()
        stack.push_async_callback(opened.service.close)
        doors: list[asyncio.Task[None]] = []
        if broker is not None:
            await broker.start()
            facts["mqtt"] = f"{settings.mqtt.host}:{broker.port}"
        if settings.gateway.enabled:
            listening = listen(settings.gateway.host, settings.gateway.port)
            port = listening.getsockname()[1]
            facts["gateway"] = settings.gateway.public_url or f"https://{settings.gateway.host}:{port}"
            app = _gateway(opened, facts["gateway"])
            await stack.enter_async_context(https_server(app, listening, *authority(home).server_paths))
            stack.callback(opened.events.close)
        path = control_socket_path(home.path)
        if path.parent != home.path:
            stack.callback(path.parent.rmdir)
        await stack.enter_async_context(socket_server(control_app(opened), path))
        # Before the servers end, so that whoever waits for what was taken gets its receipt.
        stack.push_async_callback(opened.service.close)
        for name, inbox in inboxes.items():
            doors.append(asyncio.create_task(opened.service.serve(inbox), name=f"inbox {name}"))
            stack.push_async_callback(_end, doors[-1])
        home.announce({**facts, "control": str(path)})
        stack.callback(home.running.unlink, missing_ok=True)
        yield Running(opened, {**facts, "control": str(path)}, doors)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
