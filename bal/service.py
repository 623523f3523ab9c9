"""The service: a home being written. What the doors, the operator and the CLI ask of it goes through here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from bal.core.address import Address
from bal.core.errors import BalError, Conflict, Malformed, NotFound, Refused, Unavailable, Unreadable
from bal.core.message import Message, Receipt, Rejection
from bal.core.names import check_name
from bal.core.source import Source
from bal.erasing import Erasing
from bal.granting import Granting
from bal.lane.backlog import Bound, end_of, first_place
from bal.lane.ticket import Ticket
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from bal.ports import Clock, Delivery, Inbox, Ledger, Quarantine, Store
from bal.registering import put, standing

_log = structlog.get_logger()
_DAY = 86_400_000_000
_HOUSEKEEPING_SECONDS = 3600.0
_MOVING_SECONDS = 30.0
"""How long the change of a lane waits for the old one; its source's messages wait too."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_ERASING_SECONDS = 1.0
"""Pause between attempts at erasures that could not be carried out at once."""


@dataclass(slots=True)
class _Answers:
    """What an inbox's deliveries wait for, in order of receipt."""

    waiting: "asyncio.Queue[tuple[Delivery, Ticket | BalError]]"
    left: asyncio.Event
    """Set once a message got no answer: it has to come again."""
    given: bool = False


class Service:
    """Takes messages into the lanes and carries out what an operator asks."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        quarantine: Quarantine,
        pipeline: Pipeline,
        erasing: Erasing,
        granting: Granting,
        clock: Clock,
        receipt_days: int,
    ) -> None:
        self.store = store
        self.ledger = ledger
        self.quarantine = quarantine
        self.pipeline = pipeline
        self.registry = granting.registry
        self._erasing = erasing
        self._clock = clock
        self._receipt_days = receipt_days
        self._granting = granting
        self._background: set[asyncio.Task[None]] = set()
        self._erasures: set[asyncio.Task[Address]] = set()
        self._inboxes: list[Inbox] = []
        self._registering = asyncio.Lock()
        self._republishing = asyncio.Lock()
        self.stopping = asyncio.Event()
        """Set when an operator asked for the end."""

    # --- start and stop
    async def start(self) -> None:
        """Take up what was left, then take new work."""
        await self.pipeline.start()
        await self._hold_sources()
        await self._erasing.finish()
        self._beside(self._apply_grants())
        self._beside(self._granting.keep())
        self._beside(self._keep_house())
        self._beside(self._go_on_erasing())

    async def close(self, *, drain: bool = True) -> None:
        """Finish what was taken and end."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.pipeline.stop(drain=drain)
        await asyncio.gather(*self._erasures, return_exceptions=True)
        await self._erasing.go_on()

    def _beside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _apply_grants(self) -> None:
        await self._granting.apply()

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.store.forget_receipts(self._clock.now() - self._receipt_days * _DAY)
            except BalError as error:
                _log.warning("old receipts are kept for now", error=error.what)
            await self._clock.sleep(_HOUSEKEEPING_SECONDS)

    async def _go_on_erasing(self) -> None:
        followed = self.pipeline.followed
        while True:
            await self._clock.sleep(_ERASING_SECONDS)
            again = followed.is_set()
            followed.clear()
            try:
                await (self._erasing.finish() if again else self._erasing.go_on())
            except BalError as error:
                _log.warning("erasures wait", error=error.what)
                if again:
                    followed.set()

    # --- messages
    async def submit(self, message: Message) -> Receipt:
        """Return the receipt of a message once it is durable. `Overloaded` rather than wait long."""
        ticket = await self._take(message, wait=False)
        return await ticket.stored

    async def ingest(self, message: Message) -> Receipt:
        """Return the receipt of a message once all its readings are anchored."""
        ticket = await self._take(message, wait=True)
        receipt = await ticket.stored
        return await self.pipeline.lane_of(ticket.source).settled(receipt)

    async def _take(self, message: Message, *, wait: bool, moving: bool = False) -> Ticket:
        """Take a message into the lane of its source. `moving`: also while that is changed; it came in before."""
        if not moving and self.registry.is_moving(message.source):
            text = "this source is changing its lane"
            raise Unavailable(text, subject=message.source, remedy="send again in a moment")
        try:
            source = self.registry.taking(message.source)
        except Refused as error:
            await self._set_aside(message, error)
            raise
        return await self.pipeline.lane_of(source).take(message, source, wait=wait)

    async def _set_aside(self, message: Message, error: BalError) -> None:
        rejection = Rejection(error.what, "message", b"", error.slug)
        await self.quarantine.put_message(message, rejection, self._clock.now())

    async def serve(self, inbox: Inbox) -> None:
        """Take deliveries from an inbox until cancelled; each is answered in order of receipt, once it is stored.

        What could not be taken just now stays unanswered: the inbox is left and entered anew, so that it comes again.
        """
        self._inboxes.append(inbox)
        try:
            pause = _FIRST_PAUSE
            while True:
                answered = await self._serve_until_left(inbox)
                pause = _FIRST_PAUSE if answered else min(2 * pause, _LONGEST_PAUSE)
                await self._clock.sleep(pause)
        finally:
            self._inboxes.remove(inbox)

    async def _serve_until_left(self, inbox: Inbox) -> bool:
        """Serve until a message is left with its sender and those taken have their answer; tell whether any was given."""
        answers = _Answers(asyncio.Queue(), asyncio.Event())
        async with inbox.deliveries() as deliveries, asyncio.TaskGroup() as group:
            work = [
                group.create_task(self._answer(answers)),
                group.create_task(self._read(deliveries, answers)),
            ]
            await answers.left.wait()
            await answers.waiting.join()
            for each in work:
                each.cancel()
        return answers.given

    async def _read(self, deliveries: AsyncIterator[Delivery], answers: "_Answers") -> None:
        async for delivery in deliveries:
            if answers.left.is_set():
                return
            try:
                ticket = await self._take(delivery.message, wait=True, moving=True)
            except BalError as error:
                answers.waiting.put_nowait((delivery, error))
            else:
                answers.waiting.put_nowait((delivery, ticket))

    async def _answer(self, answers: "_Answers") -> None:
        while True:
            delivery, outcome = await answers.waiting.get()
            try:
                if isinstance(outcome, BalError):
                    raise outcome
                receipt = await outcome.stored
            except Unavailable as error:
                _log.warning("message left with its sender", source=delivery.message.source, error=error.what)
                answers.left.set()
            except (BalError, OSError, ValueError) as error:
                await delivery.reject(_refusal(delivery.message, error))
                answers.given = True
            else:
                await delivery.accept(receipt)
                answers.given = True
            answers.waiting.task_done()

    # --- what an operator asks
    def source(self, name: str) -> Source | None:
        """Return the registration in force of a source, None where there is none."""
        return self.registry.all().get(name)

    def new_source(self, name: str) -> Source:
        """Return the registration of a source of which nothing but its name is given."""
        return self.registry.new(name, next(iter(self.pipeline.lanes)))

    def not_in_force(self) -> Mapping[str, str]:
        """Return where registrations have no effect outside yet, such as `kafka`, and why; tried again while it runs."""
        return self._granting.behind

    async def stop(self) -> None:
        """Ask whoever runs the service to end it; returns at once."""
        self.stopping.set()

    async def register_source(self, source: Source) -> Source:
        """Register a source or change its registration, on the ledger and in the SCD."""
        return await self.change_source(source.name, lambda _: source)

    async def change_source(self, name: str, change: Callable[[Source], Source]) -> Source:
        """Register what `change` makes of a registration as it stands when its turn comes, new where there is none."""
        async with self._registering:
            check_name(name, "source")
            source = change(self.source(name) or self.new_source(name))
            _check_zone(source)
            self.registry.check(source)
            self.pipeline.lane_of(source)
            before = self.registry.all().get(source.name)
            if before is None or before.lane == source.lane:
                return await self._record(source, self._clock.now())
            async with self._republishing:
                with self.registry.moving(source.name):
                    return await self._move(before, source)

    async def _record(self, source: Source, now: int) -> Source:
        source = source.model_copy(update={"recorded_at": now, "organisation": self.ledger.organisation})
        await put(self.ledger, source)
        await self.store.record_source(source)
        self.registry.replace([*(s for s in self.registry.all().values() if s.name != source.name), source])
        await self._granting.apply()
        return source

    async def _move(self, before: Source, source: Source) -> Source:
        """Change the lane of a source once the one it leaves has published all of it.

        So that nothing of it is overtaken, and what comes after counts as received after. `Unavailable` when it takes too
        long; nothing has changed then.
        """
        old, new = self.pipeline.lane_of(before), self.pipeline.lane_of(source)
        clearing = asyncio.ensure_future(self._cleared(old, source.name))
        ways = [asyncio.ensure_future(old.publishing.stalled.wait()), asyncio.ensure_future(self._patience())]
        try:
            await asyncio.wait([clearing, *ways], return_when=asyncio.FIRST_COMPLETED)
            if not clearing.done():
                text = f"lane {before.lane} has not published all of this source yet"
                raise Unavailable(text, subject=source.name, remedy="look at its outputs, and try again")
            newest = clearing.result()
        finally:
            for each in (clearing, *ways):
                each.cancel()
            await asyncio.gather(clearing, *ways, return_exceptions=True)
        new.not_before(newest)
        await new.publishing.load(source.name)
        return await self._record(source, max(self._clock.now(), newest + 1))

    async def _cleared(self, lane: LaneWorker, name: str) -> int:
        while any(inbox.holds(name) for inbox in self._inboxes):
            await self._clock.sleep(_FIRST_PAUSE)
        return await lane.cleared(name)

    async def _patience(self) -> None:
        await self._clock.sleep(_MOVING_SECONDS)

    async def suspend(self, name: str, *, suspended: bool, why: str) -> Source:
        """Suspend a source or lift its suspension, on the ledger first."""
        self.registry.get(name)
        await self.ledger.suspend_source(name, suspended=suspended, why=why)
        standing = await self.ledger.suspended(name)  # by another organisation perhaps
        return await self.change_source(name, lambda now: now.model_copy(update={"suspended": standing}))

    async def _hold_sources(self) -> None:
        """Have every source on the ledger, and let its registration say what the ledger does of its suspension.

        Whatever a crash or somebody else left between them.
        """
        for source, suspended in await standing(self.ledger, [*self.registry.all().values()]):
            if suspended != source.suspended:
                _log.warning("suspension taken from the ledger", source=source.name, suspended=suspended)
                await self._record(source.model_copy(update={"suspended": suspended}), self._clock.now())

    async def erase(self, address: Address, who: str, why: str) -> Address:
        """Erase a reading; return the address of the anchored note that says so."""
        erasure = asyncio.create_task(self._erasing.erase(address, who, why, self.registry.get))
        self._erasures.add(erasure)
        erasure.add_done_callback(self._erasures.discard)
        return await asyncio.shield(erasure)  # carried out to its end, whether or not its asker waits

    async def republish(
        self, name: str, output: str | None = None, start: Bound | None = None, end: Bound | None = None
    ) -> dict[str, int]:
        """Hand a source's certified batches to an output again; return how many, by output.

        From where the output has refused the source, which ends its parking, or from the batch of the address (or the
        time) `start` on; with `end` only up to that one, beside what is new. Without `output`: to all at which it is parked, or with `start` to all it is set to. `NotFound` when nothing
        is parked and no start given; what the output raises when it refuses or does not answer: it stays parked then.
        """
        async with self._republishing:
            source = self.registry.get(name)
            publishing = self.pipeline.lane_of(source).publishing
            outputs: list[str] = [output] if output is not None else list(source.outputs)
            if start is not None and not set(outputs) <= set(source.outputs):
                message = "this source is not set to this output"
                raise Conflict(message, subject=name, remedy="set it with `bal sources add --output`")
            if start is None and output is None:
                outputs = [each.output for each in await self.store.parked() if each.source == name]
            if not outputs:
                message = "nothing of this source is parked"
                raise NotFound(message, subject=name, remedy="say from where with --from")
            turn = self._erasing.turn
            place = None if start is None else await first_place(self.store, name, start)
            if end is None or place is None:
                return {each: await publishing.republish(each, source, turn, place) for each in outputs}
            last = await end_of(self.store, end)
            return {each: await publishing.repeat(each, source, turn, place, last) for each in outputs}

    async def status(self) -> dict[str, Any]:
        """Return what there is to say of the service."""
        return {"lanes": self.state(), "sources": sorted(self.registry.all())}

    async def health(self) -> dict[str, str]:
        """Return `ok` or a short reason, fit for strangers, of every part the service needs."""
        found = {}
        for name, worker in self.pipeline.lanes.items():
            found[f"lane {name}"] = "stopped" if worker.failed.done() else (worker.room.piled_up or "ok")
        try:
            await self.store.logs()
            found["store"] = "ok"
        except BalError:
            found["store"] = "does not answer"
        try:
            await self.ledger.logs()
            found["ledger"] = "ok"
        except BalError:
            found["ledger"] = "does not answer"
        return found

    def state(self) -> dict[str, Any]:
        """Return what there is to say of every lane: its log and the numbers of its back-pressure."""
        return {
            name: {
                "log": worker.lane.log,
                "running": not worker.failed.done(),
                "messages": worker.room.messages,
                "unanchored_batches": worker.room.unanchored,
                "unpublished_bytes": worker.room.unpublished_bytes,
                "unpublished_hours": round(worker.room.unpublished_hours(), 3),
                "anchored": worker.anchored.value,
                "published": worker.published.value,
                "parked": [
                    {"output": each.output, "source": each.source, "from": f"{each.log}:{each.seq}"}
                    for _, each in sorted(worker.publishing.parked.items())
                ],
            }
            for name, worker in self.pipeline.lanes.items()
        }


def _check_zone(source: Source) -> None:
    if source.time_zone is not None:
        try:
            ZoneInfo(source.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            message = "there is no such time zone"
            raise Malformed(
                message, subject=source.name, remedy="name an IANA zone, like Europe/Rome"
            ) from None


def _refusal(message: Message, error: Exception) -> Receipt:
    reason = error.what if isinstance(error, BalError) else "this message cannot be read"
    where = "message" if isinstance(error, Unreadable | Refused) else ""
    return Receipt(message.source, message.digest, 0, 1, 0, 0, (), ((reason, where),), 0, complete=True)
