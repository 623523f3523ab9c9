"""The flow: take, normalise, batch, store, answer, anchor, publish. The only file that knows the order.

Each loop is one stage of one lane. Stages are joined by queues with numbers, so batch k + 1 is collected and stored
while k commits, and a stage that stands still holds back those before it, up to the sender.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.errors import BalError, LaneLost, LedgerAltered, Unavailable
from bal.core.message import Message, Receipt
from bal.core.source import Lane, Source
from bal.lane.anchoring import Anchoring
from bal.lane.collecting import Collecting, Erased, Note
from bal.lane.collector import Collector
from bal.lane.intake import Intake
from bal.lane.metrics import LaneMetrics
from bal.lane.publishing import Publishing
from bal.lane.room import Room
from bal.lane.settings import LaneSettings
from bal.lane.ticket import Ticket
from bal.lane.watermark import Watermark
from bal.ports import Clock, Ledger, Normaliser, Publisher, Quarantine, Random, Store, Task, Tasks
from chaincode.anchor import Anchor

_log = structlog.get_logger()
KEPT_FOR_PUBLISHING = 16
"""Batches kept in memory from storing to publishing; further ones are read again from the store."""
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class World:
    """Everything the flow needs of the world."""

    store: Store
    ledger: Ledger
    quarantine: Quarantine
    normaliser: Normaliser
    publishers: Sequence[Publisher]
    clock: Clock
    random: Random
    tasks: Tasks
    metrics: LaneMetrics


class LaneWorker:
    """One lane: one log, one order, one writer."""

    def __init__(
        self,
        lane: Lane,
        world: World,
        settings: LaneSettings,
        *,
        sources: Callable[[], Mapping[str, Source]],
        erased: Erased,
    ) -> None:
        self.lane = lane
        self.settings = settings
        self.anchored = Watermark()
        self.published = Watermark()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.room = Room(settings, world.clock)
        self.publishing = Publishing(world.publishers, sources, world.clock, settings, world.metrics.alarm)
        self._world = world
        self._erased = erased
        self._intake = Intake(
            world.store, world.normaliser, world.clock, world.random, world.tasks, self.room
        )
        self._anchoring = Anchoring(world.ledger, world.clock, settings)
        self._collecting: Collecting
        self._to_anchor: asyncio.Queue[tuple[Anchor, SealedBatch | None]] = asyncio.Queue()
        self._to_publish: asyncio.Queue[tuple[int, CertifiedBatch | None]] = asyncio.Queue()
        self._loops: list[Task] = []

    # --- start and stop
    async def start(self) -> None:
        """Compare the store's head with the ledger's, take up unfinished batches in order, and begin.

        Raises `LedgerAltered` when the ledger lacks what it had confirmed, `LaneLost` when it is ahead of the store.
        """
        log, store, world = self.lane.log, self._world.store, self._world
        await world.ledger.register_log(log)
        last = await store.last_batch(log)
        waiting = await store.unanchored(log)
        head = None if last is None else last.anchor
        self._compare(-1 if head is None else head.seq, len(waiting), await world.ledger.head(log))
        self._collecting = Collecting(
            Collector(log, head, self.settings.batch_leaves),
            quarantine=world.quarantine,
            clock=world.clock,
            random=world.random,
            tasks=world.tasks,
            room=self.room,
            erased=self._erased,
            metrics=world.metrics,
            settings=self.settings,
            failed=self.fail,
        )
        if last is not None:
            self._intake.received_at = last.sealed_at
            self.anchored.advance(last.anchor.seq - len(waiting))
        await self._take_up(waiting)
        loops = (self._collecting.run, self._store, self._anchor, self._publish)
        self._loops = [world.tasks.spawn(self._guard(loop), f"{log} {loop.__name__}") for loop in loops]

    def _compare(self, last: int, waiting: int, head: Commitment | None) -> None:
        standing = -1 if head is None else head.anchor.seq
        if standing < last - waiting:
            message = "the ledger lacks anchors it had confirmed"
            raise LedgerAltered(
                message, block=-1, subject=self.lane.log, remedy="run `bal audit`; restore the ledger"
            )
        if standing > last:
            message = (
                "the ledger is ahead of this database: it is an older copy, or another worker writes this log"
            )
            raise LaneLost(message, subject=self.lane.log, remedy="restore the newest copy of the database")

    async def _take_up(self, waiting: Sequence[Anchor]) -> None:
        unpublished = await self._world.store.unpublished(self.lane.log)
        first = unpublished[0] if unpublished else self._collecting.collector.seq
        self.published.advance(first - 1)
        for seq in unpublished[: len(unpublished) - len(waiting)]:
            self.room.to_publish((await self._world.store.batch(self.lane.log, seq)).anchor.size)
            self._to_publish.put_nowait((seq, None))
        for anchor in waiting:
            self.room.stored()
            self._to_anchor.put_nowait((anchor, None))

    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - whatever stops a stage stops the lane, loudly
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Stop taking messages and tell everyone who waits; what is stored is taken up at the next start."""
        if self.failed.done():
            return
        self.failed.set_exception(error)
        self.failed.exception()
        stopped = (
            error
            if isinstance(error, BalError)
            else Unavailable("this lane has stopped", subject=self.lane.name)
        )
        self.room.close(stopped)
        self._intake.close(stopped)
        self.anchored.fail(stopped)
        self.published.fail(stopped)
        for task in self._loops:
            task.cancel()

    async def stop(self, *, drain: bool = True) -> None:
        """Store what was taken; with `drain` also anchor and publish it. Then end."""
        if not self.failed.done():
            work = asyncio.ensure_future(self._finish(drain=drain))
            await asyncio.wait([work, self.failed], return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
        self.fail(Unavailable("the service is stopping", remedy="send again once it runs"))

    async def _finish(self, *, drain: bool) -> None:
        await self._collecting.queue.join()
        await self._collecting.flush()
        await self._collecting.sealed.join()
        if drain:
            await self.published.reached(self._collecting.collector.seq - 1)

    # --- taking
    async def take(self, message: Message, source: Source, *, wait: bool) -> Ticket:
        """Take a message into the lane; `Ticket.stored` has its receipt once that is durable.

        With `wait` the caller is held until there is room, which holds senders back; without it `Overloaded` is raised.
        """
        ticket = await self._intake.take(message, source, wait=wait)
        self._collecting.queue.put_nowait(ticket)
        return ticket

    async def append(self, entry: Entry, rules: str) -> Address:
        """Put an entry of the BAL's own into the log; return its address once it is stored."""
        note = Note(entry, rules, asyncio.get_running_loop().create_future())
        self._collecting.queue.put_nowait(note)
        waiting: set[asyncio.Future[Any]] = {note.placed, self.failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not note.placed.done():
            await self.failed
        return note.placed.result()

    async def settled(self, receipt: Receipt) -> None:
        """Return once every address of `receipt` is anchored."""
        newest = max((part.seq for part in receipt.ranges if part.log == self.lane.log), default=-1)
        await self.anchored.reached(newest)

    # --- the stages behind collecting
    async def _store(self) -> None:
        store, sealed = self._world.store, self._collecting.sealed
        while True:
            item = await sealed.get()
            batch = item.batch
            if batch is not None:
                await store.append_batch(batch)
                self._world.metrics.accepted(batch.size)
                self.room.stored()
                self._to_anchor.put_nowait((batch.anchor, batch))
            elif receipts := [receipt for _, receipt in item.moved if receipt.accepted]:
                await store.record_receipts(receipts)
            item.stored()
            sealed.task_done()

    async def _anchor(self) -> None:
        queue = self._to_anchor
        while True:
            group = [await queue.get()]
            while not queue.empty() and len(group) < self.settings.anchors_per_transaction:
                group.append(queue.get_nowait())
            commitments = await self._anchoring.commit([anchor for anchor, _ in group])
            await self._world.store.mark_anchored(commitments)
            now = self._world.clock.now()
            for commitment, (anchor, batch) in zip(commitments, group, strict=True):
                self.room.anchored(anchor.size)
                lag = 0.0 if batch is None else (now - batch.sealed_at) / _SECOND
                self._world.metrics.anchored(anchor.size, lag)
                certified = None
                if batch is not None and self._to_publish.qsize() < KEPT_FOR_PUBLISHING:
                    certified = CertifiedBatch(commitment, batch.entries, batch.salts, batch.leaves)
                    certified.__dict__["tree"] = batch.tree
                self._to_publish.put_nowait((anchor.seq, certified))
            self.anchored.advance(group[-1][0].seq)

    async def _publish(self) -> None:
        store, log = self._world.store, self.lane.log
        while True:
            seq, certified = await self._to_publish.get()
            batch = certified or await store.certified_batch(log, seq)
            await self.publishing.publish(batch)
            await store.mark_published(log, seq)
            self.room.published()
            self._world.metrics.published(batch.commitment.anchor.size)
            self.published.advance(seq)


class Pipeline:
    """All lanes of this worker. Every source belongs to one lane, whatever door its data comes through."""

    def __init__(self, workers: Sequence[LaneWorker]) -> None:
        self.lanes = {worker.lane.name: worker for worker in workers}

    async def start(self) -> None:
        """Start every lane."""
        for worker in self.lanes.values():
            await worker.start()

    def lane_of(self, source: Source) -> LaneWorker:
        """Return the lane of a source. `Unavailable` when another worker runs it."""
        worker = self.lanes.get(source.lane)
        if worker is None:
            message = "the lane of this source does not run here"
            raise Unavailable(message, subject=source.name, remedy="send to the worker that runs the lane")
        return worker

    def lane_writing(self, log: str) -> LaneWorker | None:
        """Return the lane that writes `log` now."""
        return next((worker for worker in self.lanes.values() if worker.lane.log == log), None)

    async def failure(self) -> None:
        """Raise the error of the first lane that stops; never return otherwise."""
        done, _ = await asyncio.wait(
            [w.failed for w in self.lanes.values()], return_when=asyncio.FIRST_COMPLETED
        )
        for future in done:
            future.result()

    async def stop(self, *, drain: bool = True) -> None:
        """Stop every lane, finishing what was taken."""
        await asyncio.gather(*(worker.stop(drain=drain) for worker in self.lanes.values()))
