"""A home held by its one writer, everything in it open but the doors."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bal.bootstrap.adapters import open_ledger, open_store
from bal.bootstrap.broker import rights_folder
from bal.config import MqttSettings, Settings
from bal.core.source import Lane
from bal.erasing import ErasedKeys, Erasing
from bal.granting import Granting, Grants
from bal.home import Home
from bal.ingest import BrokerRights
from bal.keys import Keys
from bal.lane.lease import Lease
from bal.lane.room import Room
from bal.lanes import Pipeline
from bal.metrics import Metrics
from bal.normalise.normaliser import PoolNormaliser
from bal.pipeline import LaneWorker, World
from bal.ports import Leases, Ledger, Publisher, Store
from bal.publish import ClosedOutput, EventStream, JsonLines
from bal.registry import Registry
from bal.reporting import Readers
from bal.service import Service
from bal.store.sqlite import SqliteQuarantine
from bal.system import SystemClock, SystemRandom, SystemTasks
from bal.verify.verifier import LedgerAnchors


@dataclass(frozen=True, slots=True)
class Opened:
    """A home held by this process, everything in it open."""

    home: Home
    settings: Settings
    keys: Keys
    ledger: Ledger
    anchors: LedgerAnchors
    service: Service
    registry: Registry
    metrics: Metrics
    events: EventStream
    publishers: list[Publisher]
    places: list[Grants]
    """Where registrations take effect outside."""
    rights: BrokerRights | None
    """Of these places the field broker, where its rights are written from here."""
    readers: Readers
    """Who may read what was refused."""


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
    clock, random = SystemClock(), SystemRandom()
    database = await stack.enter_async_context(open_store(home, settings))
    store = database.store
    keys = Keys.open(home.keys, in_use=bool(await store.logs()))
    quarantine = SqliteQuarantine(home.quarantine, keys.quarantine)
    stack.push_async_callback(quarantine.close)
    opened = await stack.enter_async_context(open_ledger(home, settings, keys, clock, random))
    ledger = opened.ledger
    normaliser = PoolNormaliser(settings.workers, keys.pseudonym_key)
    stack.push_async_callback(normaliser.close)
    files, events = JsonLines(home.out), EventStream()
    metrics, registry = Metrics(), Registry(settings.outputs)
    registry.replace(await store.sources())
    rights = _rights(settings.mqtt)
    kafka, topics = await stack.enter_async_context(_kafka(settings, registry, quarantine, metrics))
    places: list[Grants] = [*([rights] if rights else []), *topics]
    publishers: list[Publisher] = [files, events, ClosedOutput("mqtt"), ClosedOutput("mqtt-flat"), kafka]
    erased = await _erased(store, keys)
    world = World(store, ledger, quarantine, normaliser, publishers, clock, random, SystemTasks(), metrics)
    pipeline = Pipeline(
        [
            LaneWorker(
                lane,
                world,
                settings.lane,
                sources=registry.all,
                erased=erased,
                lease=_lease(database.leases, lane.name, settings, clock, random),
            )
            for lane in await _lanes(store, settings, clock)
        ]
    )
    granting = Granting(places, registry, clock)
    service = Service(
        store=store,
        ledger=ledger,
        quarantine=quarantine,
        pipeline=pipeline,
        erasing=Erasing(store, ledger, pipeline, clock, erased, [files, events]),
        granting=granting,
        clock=clock,
        receipt_days=settings.lane.receipt_days,
    )
    _watch(metrics, pipeline)
    return Opened(
        home,
        settings,
        keys,
        ledger,
        opened.anchors,
        service,
        registry,
        metrics,
        events,
        publishers,
        places,
        rights,
        Readers(quarantine, granting),
    )


async def _erased(store: Store, keys: Keys) -> ErasedKeys:
    """Return what must not come back."""
    erased = ErasedKeys(_digest(keys.lookup))
    erased.replace(await store.erased_lookups())
    return erased


def _rights(settings: MqttSettings) -> BrokerRights | None:
    folder = rights_folder(settings)
    return None if folder is None else BrokerRights(folder, settings.identity)


@asynccontextmanager
async def _kafka(
    settings: Settings, registry: Registry, quarantine: SqliteQuarantine, metrics: Metrics
) -> AsyncIterator[tuple[Publisher, Sequence[Grants]]]:
    """Open Kafka where the settings name one; nothing of it runs elsewhere."""
    if not settings.kafka.servers:
        yield ClosedOutput("kafka"), ()
        return
    from bal.bootstrap.kafka import open_kafka

    async with open_kafka(settings, registry, quarantine, metrics) as opened:
        yield opened.publisher, [opened.topics]


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


def _lease(
    leases: Leases | None, lane: str, settings: Settings, clock: SystemClock, random: SystemRandom
) -> Lease | None:
    if leases is None:
        return None
    return Lease(leases, lane, random.bytes(16).hex(), clock, settings.lane.lease_seconds)


async def _lanes(store: Store, settings: Settings, clock: SystemClock) -> list[Lane]:
    """Return the lanes this worker runs, each with its log; a lane's first log has the lane's name."""
    known = {lane.name: lane for lane in await store.lanes()}
    for name in settings.lanes:
        if name not in known:
            known[name] = Lane(name, name, clock.now())
            await store.record_lane(known[name])
    return [known[name] for name in settings.lanes]
