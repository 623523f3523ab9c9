"""A service on a bench: its lanes, an inbox in memory, erasures, sources that come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bal.core.message import Message
from bal.core.source import Lane, Source
from bal.erasing import ErasedKeys, Erasing
from bal.granting import Granting
from bal.ingest import EmbeddedInbox
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from bal.pipeline import World as Ports
from bal.registry import Registry
from bal.service import Service
from bal.system import SystemClock
from tests.patience import PATIENCE
from tests.sim.store import SimulatedStore
from tests.unit.lane.world import (
    CountedMetrics,
    CountingRandom,
    KeptQuarantine,
    LineNormaliser,
    ListedOutput,
    RealTasks,
    ScriptedLedger,
    message,
    settings,
)


class OpenLedger(ScriptedLedger):
    """Takes every registration."""

    regulated: bool = False
    """Whether the regulator suspends every source."""
    owned: bool = False
    """Whether their owner does."""

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        self.owned = suspended

    async def suspended(self, source: str) -> bool:
        return self.owned or self.regulated

    async def register_source(self, source: str) -> None:
        return None

    async def set_rules(self, source: str, digest: str) -> None:
        return None


class Office:
    """A service and everything it touches. Its lanes are `bal-1` and `bal-2`."""

    def __init__(self) -> None:
        self.store = SimulatedStore()
        self.ledger = OpenLedger()
        self.quarantine = KeptQuarantine()
        self.normaliser = LineNormaliser()
        self.output = ListedOutput()
        self.clock = SystemClock()
        self.tasks = RealTasks()
        self.told: list[tuple[str, bytes]] = []
        self.inbox = EmbeddedInbox(self.tell)
        self.service: Service

    async def tell(self, topic: str, payload: bytes) -> None:
        self.told.append((topic, payload))

    def receipts(self) -> Counter[str]:
        """Return how many messages were sent on each topic."""
        return Counter(topic for topic, _ in self.told)

    @asynccontextmanager
    async def open(self, *sources: Source) -> AsyncIterator[Service]:
        """Start the service, watch its lanes, and serve its inbox."""
        if not await self.store.lanes():
            for name in ("bal-1", "bal-2"):
                await self.store.record_lane(Lane(name, name))
        ports = Ports(
            self.store,
            self.ledger,
            self.quarantine,
            self.normaliser,
            [self.output],
            self.clock,
            CountingRandom(),
            self.tasks,
            CountedMetrics(),
        )
        registry, keys = Registry(), ErasedKeys(lambda data: data)
        registry.replace(await self.store.sources() or sources)
        numbers = settings(batch_leaves=1, retry_seconds=0.1)
        pipeline = Pipeline(
            [
                LaneWorker(lane, ports, numbers, sources=registry.all, erased=keys)
                for lane in await self.store.lanes()
            ]
        )
        self.service = Service(
            store=self.store,
            ledger=self.ledger,
            quarantine=self.quarantine,
            pipeline=pipeline,
            erasing=Erasing(self.store, self.ledger, pipeline, self.clock, keys, []),
            granting=Granting((), registry, self.clock),
            clock=self.clock,
            receipt_days=30,
        )
        await self.service.start()
        beside = [asyncio.create_task(work) for work in (self.service.serve(self.inbox), pipeline.failure())]
        try:
            yield self.service
        finally:
            for task in beside:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.service.close()
            await self.tasks.end()

    async def send(self, *texts: str, source: str = "dso-a") -> list[Message]:
        """Put messages into the inbox."""
        made = [message(text, source=source) for text in texts]
        for each in made:
            await self.inbox.offer(each)
        return made

    async def emptied(self) -> None:
        """Return once everything in the inbox has its answer."""
        async with asyncio.timeout(PATIENCE):
            while self.inbox.pending:  # noqa: ASYNC110 - the inbox has no event
                await asyncio.sleep(0.005)
