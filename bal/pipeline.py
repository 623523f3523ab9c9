"""The flow: take, normalise, batch, store, answer, anchor, publish. The only file that knows the order.

Each loop is one stage of one lane. Stages are joined by queues with numbers, so batch k + 1 is collected and stored
while k commits, and a stage that stands still holds back those before it, up to the sender.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog

from bal.core.address import Address
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry
from bal.core.errors import LedgerRefused, Unavailable
from bal.core.message import Message, Receipt
from bal.core.source import Lane, Source
from bal.lane.anchoring import Anchoring
from bal.lane.collecting import Collecting, Erased, Note, Sealed
from bal.lane.collector import Collector
from bal.lane.heads import compare
from bal.lane.intake import Intake
from bal.lane.lease import Lease
from bal.lane.publishing import Publishing
from bal.lane.room import Room
from bal.lane.settings import LaneSettings
from bal.lane.succession import Succession
from bal.lane.ticket import Ticket
from bal.lane.watermark import Watermark
from bal.lane.world import ToAnchor, ToPublish, World
from bal.ports import BatchPlace, Task
from chaincode.anchor import Anchor

__all__ = ["KEPT", "LaneWorker", "World"]

_log = structlog.get_logger()
KEPT = 16
"""Batches kept in memory from storing to anchoring, and from there to publishing; further ones are read again."""
_FIRST_PAUSE = 0.05
_SECOND = 1_000_000


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
        publishing: Publishing | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.lane = lane
        self.settings = settings
        self.anchored = Watermark()
        self.published = Watermark()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed_log = False
        """Whether it failed because the contract refused a batch for good, after it had closed its log."""
        self.room = Room(settings, world.clock)
        self.publishing = publishing or Publishing(
            world.store, world.publishers, sources, world.clock, settings, world.metrics.alarm
        )
        self._world = world
        self._sources = sources
        self._erased = erased
        self._lease = lease
        self._intake = Intake(
            world.store,
            world.normaliser,
            world.clock,
            world.random,
            world.tasks,
            self.room,
            line_up=self._line_up,
        )
        self._succession = Succession(world.store, world.ledger, world.random)
        self._anchoring = Anchoring(world.ledger, world.clock, settings)
        self._collecting: Collecting
        self._to_anchor: asyncio.Queue[ToAnchor] = asyncio.Queue()
        self._to_publish: asyncio.Queue[ToPublish] = asyncio.Queue()
        self._loops: list[Task] = []
        self._keeping: Task | None = None
        self._writing: asyncio.Future[None] | None = None

    def _line_up(self, ticket: Ticket) -> None:
        self._collecting.queue.put_nowait(ticket)

    # --- start and stop
    async def start(self) -> None:
        """Compare the store's head with the ledger's, take up unfinished batches in order, and begin.

        A lane whose log is closed goes on in a new one. Raises `LedgerAltered` when the ledger lacks what it had
        confirmed or holds something else, `LaneLost` when it is ahead of the store or another worker runs the lane.
        """
        lease = self._lease
        if lease is None:
            await self._begin()
            return
        await lease.take()
        # From here on: to take up a long backlog may take longer than the lease lasts.
        self._keeping = self._spawn(lease.keep)
        try:
            await self._begin()
        except BaseException:
            self._keeping.cancel()
            raise

    async def _begin(self) -> None:
        store, world = self._world.store, self._world
        succession = self._succession
        self.lane = await succession.open_log(self.lane, world.clock.now())
        await succession.carry_over(self.lane, world.clock.now())
        await self.publishing.load()
        log = self.lane.log
        last = await store.last_batch(log)
        waiting = await store.unanchored(log)
        head = None if last is None else last.anchor
        await compare(store, world.ledger, log, last, waiting)
        sealed_at = await succession.last_sealed(self.lane)
        self._collecting = Collecting(
            Collector(log, head, self.settings.batch_leaves, sealed_at),
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
        here = [each.recorded_at for each in self._sources().values() if each.lane == self.lane.name]
        self._intake.received_at = max(sealed_at, *here, 0)
        if head is not None:
            self.anchored.advance(head.seq - len(waiting))
        await self._take_up(await succession.left_to_publish(self.lane), waiting)
        if self.failed.done():  # the lease was lost meanwhile
            self.failed.result()
        loops = [self._collecting.run, self._store, self._anchor, self._publish]
        self._loops = [self._spawn(loop) for loop in loops]

    async def _take_up(self, left: Sequence[BatchPlace], waiting: Sequence[Anchor]) -> None:
        store, log = self._world.store, self.lane.log
        unpublished = await store.unpublished(log)
        first = unpublished[0] if unpublished else self._collecting.collector.seq
        self.published.advance(first - 1)
        anchored = unpublished[: len(unpublished) - len(waiting)]
        places = [*left, *(BatchPlace(log, seq) for seq in anchored)]
        for old, group in groupby(places, key=attrgetter("log")):
            await self._take_up_anchored(old, [place.seq for place in group])
        for anchor in waiting:
            self.room.stored()
            self._to_anchor.put_nowait(ToAnchor(anchor, None))

    async def _take_up_anchored(self, log: str, seqs: Sequence[int]) -> None:
        """Line up what is to be published of a log, its batches in order; read many records at a time."""
        wanted = set(seqs)
        async for record in self._world.store.batches(log, seqs[0]):
            seq = record.anchor.seq
            if seq in wanted:
                self.room.to_publish(record.anchor.size)
                self._to_publish.put_nowait(ToPublish(log, seq, None))
            if seq >= seqs[-1]:
                return

    def _spawn(self, loop: Callable[[], Awaitable[None]]) -> Task:
        return self._world.tasks.spawn(self._guard(loop), f"{self.lane.log} {loop.__name__}")

    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except Exception as error:  # noqa: BLE001 - whatever stops a stage stops the lane, loudly
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Stop taking messages and tell everyone who waits; what is stored is taken up at the next start.

        Senders are told `Unavailable`, whatever it was: they keep their messages and send them again.
        """
        if self.failed.done():
            return
        self.failed.set_exception(error)
        self.failed.exception()
        stopped = (
            error
            if isinstance(error, Unavailable)
            else Unavailable("this lane has stopped", subject=self.lane.name, remedy="send again later")
        )
        self.room.close(stopped)
        self._intake.close(stopped)
        self.anchored.fail(stopped)
        self.published.fail(stopped)
        for task in self._loops:
            task.cancel()
        if self._keeping is not None:
            self._keeping.cancel()
        if self._loops:
            self._collecting.close()

    async def ended(self) -> None:
        """Return once nothing that this worker began to store is still on its way."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def stop(self, *, drain: bool = True) -> None:
        """Store what was taken; with `drain` also anchor it, and publish it where the outputs answer. Then end."""
        stopping = Unavailable("the service is stopping", remedy="send again once it runs")
        self.room.close(stopping)
        try:
            if self._loops and not self.failed.done():
                work = asyncio.ensure_future(self._finish(drain=drain))
                try:
                    await asyncio.wait([work, self.failed], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    work.cancel()
                    await asyncio.gather(work, return_exceptions=True)
        finally:
            self.fail(stopping)
        await self.ended()
        if self._lease is not None:
            await self._lease.release()

    async def _finish(self, *, drain: bool) -> None:
        await self._collecting.queue.join()
        await self._collecting.flush()
        await self._collecting.sealed.join()
        if drain:
            last = self._collecting.collector.seq - 1
            await self.anchored.reached(last)
            ways = [
                asyncio.ensure_future(way)
                for way in (self.published.reached(last), self.publishing.stalled.wait())
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def cleared(self, source: str) -> int:
        """Return once all of `source` that was taken is published; the result is when the last of it was sealed."""
        await self._intake.idle(source)
        collector = self._collecting.collector
        await self.published.reached(collector.seq if collector.size else collector.seq - 1)
        while await self._succession.left_to_publish(self.lane):
            await self.rest(_FIRST_PAUSE)
        return max(self._intake.received_at, collector.sealed_at)

    def not_before(self, time: int) -> None:
        """Let every later message count as received after `time`, microseconds UTC."""
        self._intake.received_at = max(self._intake.received_at, time + 1)

    async def rest(self, seconds: float) -> None:
        """Return after `seconds` of this worker's clock."""
        await self._world.clock.sleep(seconds)

    def successor(self) -> "LaneWorker":
        """Return a new worker for the same lane, to be started once this one has failed."""
        return LaneWorker(
            self.lane,
            self._world,
            self.settings,
            sources=self._sources,
            erased=self._erased,
            publishing=self.publishing,
            lease=self._lease,
        )

    # --- taking
    async def take(self, message: Message, source: Source, *, wait: bool) -> Ticket:
        """Take a message into the lane; `Ticket.stored` has its receipt once that is durable.

        With `wait` the caller is held until there is room, which holds senders back; without it `Overloaded` is raised.
        `Unavailable` when the lane does not run.
        """
        if not self._loops:
            raise Unavailable("this lane has not started", subject=self.lane.name, remedy="send again later")
        return await self._intake.take(message, source, wait=wait)

    async def append(self, entry: Entry, rules: str) -> Address:
        """Put an entry of the BAL's own into the log; return its address once it is stored."""
        note = Note(entry, rules, asyncio.get_running_loop().create_future())
        if not self.failed.done():
            self._collecting.queue.put_nowait(note)
        waiting: set[asyncio.Future[Any]] = {note.placed, self.failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not note.placed.done():
            raise Unavailable("this lane has stopped", subject=self.lane.name, remedy="try again later")
        return note.placed.result()

    async def settled(self, receipt: Receipt) -> Receipt:
        """Return `receipt` once all its readings are anchored, with the addresses they have then."""
        receipt = await self._succession.readdressed(receipt, self.lane.log)
        newest = max((part.seq for part in receipt.ranges if part.log == self.lane.log), default=-1)
        await self.anchored.reached(newest)
        return receipt

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    # --- the stages behind collecting
    async def _store(self) -> None:
        sealed = self._collecting.sealed
        while True:
            item = await sealed.get()
            # Not cut off half-way: whoever follows this worker must know what is stored.
            self._writing = asyncio.ensure_future(self._write(item))
            await asyncio.shield(self._writing)
            item.stored()
            sealed.task_done()

    async def _write(self, item: Sealed) -> None:
        batch, store = item.batch, self._world.store
        self._check_lease()
        if batch is not None:
            await store.append_batch(batch)
            self._world.metrics.accepted(batch.size)
            self.room.stored()
            kept = self._to_anchor.qsize() < KEPT
            self._to_anchor.put_nowait(ToAnchor(batch.anchor, batch if kept else None))
        elif receipts := [each.receipt for each in item.moved if each.receipt.accepted]:
            await store.record_receipts(receipts)

    async def _anchor(self) -> None:
        queue = self._to_anchor
        group: list[ToAnchor] = []
        while True:
            if not group:
                group.append(await queue.get())
            while not queue.empty() and len(group) < self.settings.anchors_per_transaction:
                group.append(queue.get_nowait())
            self._check_lease()
            try:
                commitments = await self._anchoring.commit([each.anchor for each in group])
            except LedgerRefused as error:
                await self._close_log(error)
                raise
            await self._world.store.mark_anchored(commitments)
            now = self._world.clock.now()
            for commitment, each in zip(commitments, group, strict=False):
                self._anchored(commitment, each, now)
            self.anchored.advance(commitments[-1].anchor.seq)
            del group[: len(commitments)]

    def _anchored(self, commitment: Commitment, each: ToAnchor, now: int) -> None:
        size, batch = each.anchor.size, each.batch
        self.room.anchored(size)
        lag = 0 if batch is None else max(0, now - batch.sealed_at)  # the clock may have been set back
        self._world.metrics.anchored(size, lag / _SECOND)
        certified = None
        if batch is not None and self._to_publish.qsize() < KEPT:
            certified = CertifiedBatch(commitment, batch.entries, batch.salts, batch.leaves)
            certified.__dict__["tree"] = batch.tree
        self._to_publish.put_nowait(ToPublish(each.anchor.log, each.anchor.seq, certified))

    async def _close_log(self, error: LedgerRefused) -> None:
        log, clock = self.lane.log, self._world.clock
        await self._world.store.close_log(log, f"{error.code}: {error.what}", clock.now())
        self.closed_log = True
        self._world.metrics.alarm("log-closed")
        _log.error("log closed", log=log, code=error.code, after=self.anchored.value, error=error.what)

    async def _publish(self) -> None:
        store = self._world.store
        while True:
            item = await self._to_publish.get()
            batch = item.batch or await store.certified_batch(item.log, item.seq)
            self._check_lease()
            await self.publishing.publish(batch)
            await store.mark_published(item.log, item.seq)
            self.room.published()
            self._world.metrics.published(batch.commitment.anchor.size)
            if item.log == self.lane.log:
                self.published.advance(item.seq)
