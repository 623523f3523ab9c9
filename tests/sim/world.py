"""A whole BAL in simulated time: what is durable outlives crashes, everything else dies with its process."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any

from bal.core.certified import CertifiedBatch
from bal.core.entry import Erasure
from bal.core.errors import BalError, NotFound, PublishRefused, StoreFailed, Unavailable, Unreadable
from bal.core.message import Message, Receipt, Rejection
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from bal.pipeline import World as Ports
from tests.sim.ledger import SimulatedLedger
from tests.sim.loop import simulate
from tests.sim.store import SimulatedStore
from tests.unit.lane.world import RULES, CountedMetrics, KeptQuarantine, LineNormaliser, RealTasks, settings
from tests.unit.store.rows import QUARTER, START

SOURCES = {name: Source(name=name, lane="bal-1") for name in ("dso-a", "dso-b", "pmu-1")}
BARRED_AT = 13
"""Readings of this quarter-hour have been erased and may not come back."""
LIFETIME = 40_000.0
"""Simulated seconds after which whatever still waits, waits for ever."""


class Barred:
    """What has been erased."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, reading: Reading) -> bool:
        return reading.timestamp == START + BARRED_AT * QUARTER


class SimulatedClock:
    """The loop's time; the time of day is off by a skew that changes with every start."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> int:
        return 1_800_000_000_000_000 + int(1e6 * (self._world.time() + self._world.skew))

    def monotonic(self) -> float:
        return self._world.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SeededBytes:
    """Chance from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


class SimulatedQuarantine(KeptQuarantine):
    """Keeps rejections after a pause."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def put(
        self, source: str, digest: bytes, rejections: Iterable[tuple[int, Rejection]], now: int
    ) -> None:
        rows = list(rejections)
        if rows:
            await self._world.pause("quarantine")
            await super().put(source, digest, rows, now)
            await self._world.pause("quarantine")


class SimulatedOutput:
    """An output that is away at times, loses acknowledgements, and refuses a source."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._world = world
        self.given: dict[str, list[tuple[str, int]]] = {name: [] for name in SOURCES}
        """Of each source the batches in the order they were handed out."""
        self.entries: Counter[str] = Counter()

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        world = self._world
        await world.pause("output")
        if world.chance.random() < world.faults:
            world.complain("output away")
            raise Unavailable("disk full")
        anchor = batch.commitment.anchor
        assert sources <= anchor.counts.keys()
        if self.name != "events" and world.chance.random() < world.refuses:
            world.complain("output refuses")
            raise PublishRefused("not this one", source=world.chance.choice(sorted(sources)))
        assert batch.tree.root.hex() == anchor.root
        for name in sorted(sources):
            self.given[name].append((anchor.log, anchor.seq))
        for index, _, certificate in batch.certificates(sources):
            assert certificate
            self.entries[str(batch.address(index))] += 1
        if world.chance.random() < world.faults:
            world.complain("acknowledgement of an output lost")
            raise Unavailable("the acknowledgement was lost")
        await world.pause("output")


class World:
    """Everything that lives on, and the seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.faults = self.chance.choice([0.0, 0.02, 0.1, 0.3])
        self.refuses = self.chance.choice([0.0, 0.0, 0.05])
        self.slow = self.chance.choice([0.001, 0.05, 1.0])
        self.at = 0.0
        self.skew = 0.0
        self.dead = False
        self.injected: Counter[str] = Counter()
        self.refused: set[bytes] = set()
        """Messages whose sender was told that they cannot be read."""
        self.clock = SimulatedClock(self)
        self.store = SimulatedStore(self._before_store, self._after_store)
        self.ledger = SimulatedLedger(self)
        self.ledger.refusable = self.chance.choice([0.0, 0.05, 0.3])
        self.quarantine = SimulatedQuarantine(self)
        self.outputs = [SimulatedOutput(self, "jsonl"), SimulatedOutput(self, "events")]
        self.metrics = CountedMetrics()
        self.settings = settings(
            batch_leaves=self.chance.choice([1, 3, 8, 50]),
            batch_window_ms=self.chance.choice([1, 250, 5000]),
            anchors_per_transaction=self.chance.choice([1, 3, 64]),
            intake_messages=self.chance.choice([1, 3, 256]),
            intake_bytes=self.chance.choice([1024, 1 << 20]),
            unanchored_batches=self.chance.choice([1, 4, 256]),
            unpublished_bytes=self.chance.choice([2048, 1 << 30]),
        )
        self.part = self.chance.choice([1, 4, 20])

    # --- what the fakes ask
    def time(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return self.at

    def complain(self, what: str) -> None:
        self.injected[what] += 1

    async def pause(self, kind: str) -> None:
        """Let others run, and mostly some time pass; whoever is dead gets no further."""
        if self.chance.random() < 0.7:
            await asyncio.sleep(self.chance.expovariate(1 / self.slow))
        else:
            await asyncio.sleep(0)
        if self.dead:
            raise asyncio.CancelledError

    async def _before_store(self, kind: str) -> None:
        await self.pause("store")
        self._fail_store(kind, "before")

    async def _after_store(self, kind: str) -> None:
        await self.pause("store")
        self._fail_store(kind, "after")

    def _fail_store(self, kind: str, when: str) -> None:
        if self.chance.random() < self.faults / 200:
            self.complain(f"store failed {when} {kind}")
            raise StoreFailed("the disk is full")

    # --- lives
    def live(self, *senders: Coroutine[Any, Any, None], crash_after: float | None) -> bool:
        """Run a BAL and its senders; return whether the senders came to an end before it did."""
        self.dead = False
        self.skew = self.chance.choice([0.0, 0.0, -7200.0, 3600.0])
        done, self.at = simulate(self._life(senders, crash_after), self.at)
        return done

    async def _life(self, senders: Iterable[Coroutine[Any, Any, None]], crash_after: float | None) -> bool:
        tasks = RealTasks()
        self.pipeline, self.started = Pipeline([]), asyncio.Event()
        sending = asyncio.ensure_future(self._all(senders))
        running = asyncio.ensure_future(self._run(tasks))
        try:
            done, _ = await asyncio.wait(
                {sending, running}, timeout=crash_after or LIFETIME, return_when=asyncio.FIRST_COMPLETED
            )
            if sending in done:
                sending.result()
                await self._drained(running)
                return True
            assert crash_after is not None or running in done, "senders wait for ever"
            return False
        finally:
            self.dead = True
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            sending.cancel()
            await asyncio.gather(sending, running, return_exceptions=True)

    @staticmethod
    async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
        await asyncio.gather(*work)

    async def _drained(self, running: asyncio.Future[None]) -> None:
        started = asyncio.ensure_future(self.started.wait())
        ways: set[asyncio.Future[Any]] = {running, started}
        await asyncio.wait(ways, timeout=LIFETIME, return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
            return
        stopping = asyncio.ensure_future(self.pipeline.stop())
        _, late = await asyncio.wait({stopping}, timeout=LIFETIME)
        assert not late, "the lanes do not come to an end"
        stopping.result()

    async def _run(self, tasks: RealTasks) -> None:
        """Run the lanes until one stops for good."""
        normaliser = LineNormaliser(self.part, before=lambda: self.pause("normaliser"))
        ports = Ports(
            self.store,
            self.ledger,
            self.quarantine,
            normaliser,
            self.outputs,
            self.clock,
            SeededBytes(self.chance),
            tasks,
            self.metrics,
        )
        try:
            if not await self.store.lanes():
                await self.store.record_lane(Lane("bal-1", "bal-1", 1))
            lanes = await self.store.lanes()
            for name in SOURCES:
                await self.ledger.register_source(name)
            pipeline = Pipeline(
                [
                    LaneWorker(lane, ports, self.settings, sources=lambda: SOURCES, erased=Barred())
                    for lane in lanes
                ]
            )
            await pipeline.start()
            self.pipeline = pipeline
            self.started.set()
            await pipeline.failure()
        except BalError as error:
            self.complain(f"service stopped: {type(error).__name__}")

    # --- senders
    async def send(self, messages: list[Message], receipts: dict[bytes, list[Receipt]]) -> None:
        """Send what has no receipt, again and again, until everything has one."""
        chance = self.chance
        while waiting := [each for each in messages if each.digest not in {*receipts, *self.refused}]:
            some = chance.sample(waiting, min(len(waiting), chance.randint(1, 6)))
            if chance.random() < 0.3:
                some += chance.sample(messages, 1)
            await asyncio.gather(*(self._send_one(each, receipts) for each in some))

    async def _send_one(self, message: Message, receipts: dict[bytes, list[Receipt]]) -> None:
        chance = self.chance
        source = SOURCES[message.source]
        await asyncio.sleep(chance.expovariate(10))
        try:
            ticket = await self.pipeline.lane_of(source).take(message, source, wait=chance.random() < 0.7)
            if chance.random() < 0.1:
                ticket.stored.cancel()
                self.complain("sender gone")
                return
            receipt = await ticket.stored
        except Unavailable:
            await asyncio.sleep(chance.expovariate(1))
        except Unreadable:
            self.refused.add(message.digest)
        else:
            receipts.setdefault(message.digest, []).append(receipt)

    async def republish(self, times: int) -> None:
        """Let an operator hand on what is parked, as often as said, whatever comes of it."""
        for _ in range(times):
            await asyncio.sleep(self.chance.expovariate(1 / (10 * self.slow)))
            await self.hand_on()

    async def hand_on(self) -> None:
        """Hand on everything that is parked, as far as the outputs take it."""
        for worker in list(self.pipeline.lanes.values()):
            for output, name in sorted(worker.publishing.parked):
                try:
                    count = await worker.publishing.republish(output, SOURCES[name], asyncio.Lock(), None)
                    self.complain("handed on" if count else "lifted")
                except (Unavailable, PublishRefused, NotFound) as error:
                    self.complain(f"not handed on: {type(error).__name__}")

    async def note(self, count: int, noted: list[str], tried: list[str]) -> None:
        """Put entries of the BAL's own into the log, each until it has an address."""
        while len(noted) < count:
            await asyncio.sleep(self.chance.expovariate(1))
            why = f"note {len(tried)}"
            entry = Erasure("dso-a", "bal-9:0:0", "ab" * 32, "operator", why, self.clock.now())
            try:
                lane = self.pipeline.lane_of(SOURCES["dso-a"])
                tried.append(why)
                await lane.append(entry, RULES)
            except Unavailable:
                await asyncio.sleep(1)
            else:
                noted.append(why)
