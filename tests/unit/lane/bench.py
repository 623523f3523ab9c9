"""A lane on a bench: a simulated store, a scripted ledger, messages of words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bal.core.errors import (
    Unavailable,
)
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.lane.collecting import Erased
from bal.lane.lease import Lease
from bal.pipeline import LaneWorker
from bal.pipeline import World as Ports
from tests.sim.store import SimulatedStore
from tests.unit.lane.world import (
    SOURCE,
    CountedMetrics,
    CountingRandom,
    FakeClock,
    KeptQuarantine,
    LineNormaliser,
    ListedOutput,
    NoneErased,
    RealTasks,
    ScriptedLedger,
    message,
    settings,
)


class Bench:
    """A lane and everything it touches."""

    def __init__(
        self, clock: FakeClock | None = None, *, erased: Erased | None = None, **numbers: Any
    ) -> None:
        self.store = SimulatedStore()
        self.ledger = ScriptedLedger()
        self.quarantine = KeptQuarantine()
        self.normaliser = LineNormaliser()
        self.output = ListedOutput()
        self.clock = clock or FakeClock()
        self.tasks = RealTasks()
        self.metrics = CountedMetrics()
        self.random = CountingRandom()
        self.numbers = settings(**numbers)
        self.erased = erased or NoneErased()
        self.sources: dict[str, Source] = {"dso-a": SOURCE}

    def worker(self, lease: Lease | None = None) -> LaneWorker:
        ports = Ports(
            self.store,
            self.ledger,
            self.quarantine,
            self.normaliser,
            [self.output],
            self.clock,
            self.random,
            self.tasks,
            self.metrics,
        )
        return LaneWorker(
            Lane("bal-1", "bal-1"),
            ports,
            self.numbers,
            sources=lambda: self.sources,
            erased=self.erased,
            lease=lease,
        )

    @asynccontextmanager
    async def running(self, lease: Lease | None = None) -> AsyncIterator[LaneWorker]:
        if not await self.store.lanes():
            await self.store.record_lane(Lane("bal-1", "bal-1"))
        worker = self.worker(lease)
        await worker.start()
        try:
            yield worker
        finally:
            worker.fail(Unavailable("the test is over"))
            await self.tasks.end()

    async def values(self, log: str = "bal-1") -> list[str]:
        found: list[str] = []
        async for record in self.store.batches(log):
            rows = await self.store.entries(log, record.anchor.seq)
            found += [row.entry.value for row in rows if isinstance(row.entry, Reading)]
        return found


async def take(worker: LaneWorker, *texts: str, streamed: bool = False) -> list[Any]:
    return [(await worker.take(message(text, streamed=streamed), SOURCE, wait=True)).stored for text in texts]
