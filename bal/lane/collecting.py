"""Collecting: normalised parts into batches, rejections into quarantine, in order of arrival."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.entry import SALT_BYTES, Entry, leaf
from bal.core.errors import BalError, Refused, Unavailable, Unreadable
from bal.core.instant import instant_text
from bal.core.message import Receipt, Rejection
from bal.core.reading import Reading
from bal.lane.collector import Collector, Moved
from bal.lane.metrics import LaneMetrics
from bal.lane.room import Room
from bal.lane.settings import LaneSettings
from bal.lane.ticket import Ticket
from bal.ports import Clock, NormalisedPart, Quarantine, Random, Task, Tasks

_log = structlog.get_logger()
SEALED_AHEAD = 2
"""Batches sealed and not yet stored: one being written, one ready."""
ERASED = Rejection("this reading has been erased and is not accepted again", "", b"", "erased")


class Erased(Protocol):
    """What has been erased and must not come back."""

    def __bool__(self) -> bool:
        """Tell whether anything has ever been erased."""
        ...

    def __contains__(self, reading: Reading) -> bool:
        """Tell whether a reading of this natural key has been erased."""
        ...


def _of(reading: Reading) -> str:
    """Say which reading, by what is neither identifier nor value."""
    return f"{reading.reading_type} at {instant_text(reading.timestamp)}"


@dataclass(slots=True)
class Note:
    """An entry of the BAL's own (an erasure) on its way into the log."""

    entry: Entry
    rules: str
    placed: "asyncio.Future[Address]"


@dataclass(slots=True)
class Sealed:
    """A closed batch, and whom to tell once it is stored."""

    batch: SealedBatch | None
    moved: list[Moved]
    notes: list[tuple[Note, Address]] = field(default_factory=list)

    def stored(self) -> None:
        """Answer every sender whose message is complete with this batch."""
        for each in self.moved:
            each.stored()
        for note, address in self.notes:
            if not note.placed.done():
                note.placed.set_result(address)


class Collecting:
    """The lane's order: one ticket after the other, each to its end."""

    def __init__(  # noqa: PLR0913 - the seams
        self,
        collector: Collector,
        *,
        quarantine: Quarantine,
        clock: Clock,
        random: Random,
        tasks: Tasks,
        room: Room,
        erased: Erased,
        metrics: LaneMetrics,
        settings: LaneSettings,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.collector = collector
        self.sealed: asyncio.Queue[Sealed] = asyncio.Queue(SEALED_AHEAD)
        self.queue: asyncio.Queue[Ticket | Note] = asyncio.Queue()
        self._quarantine = quarantine
        self._clock = clock
        self._random = random
        self._tasks = tasks
        self._room = room
        self._erased = erased
        self._metrics = metrics
        self._settings = settings
        self._failed = failed
        self._lock = asyncio.Lock()
        self._notes: list[tuple[Note, Address]] = []
        self._window: Task | None = None

    async def run(self) -> None:
        """Collect for ever."""
        while True:
            item = await self.queue.get()
            if isinstance(item, Note):
                await self._note(item)
            else:
                await self._ticket(item)
            if self._room.full and self.queue.empty():
                await self.flush()
            self.queue.task_done()

    async def flush(self) -> None:
        """Seal the open batch now."""
        async with self._lock:
            await self._seal()

    def close(self) -> None:
        """Let go of everything: nothing is stored any more."""
        if self._window is not None:
            self._window.cancel()
        while not self.sealed.empty():
            self.sealed.get_nowait()  # whoever waits to put one in can end

    # --- the open batch, under the lock
    async def _seal(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        if self.collector.touched:
            batch, moved = self.collector.seal(self._clock.now())
            notes, self._notes = self._notes, []
            await self.sealed.put(Sealed(batch, moved, notes))

    def _seal_later(self) -> None:
        """Seal when the batch window has passed; the batch is the open one as long as it was not cancelled."""
        self._window = self._tasks.spawn(self._after_window(), "batch window")

    async def _after_window(self) -> None:
        try:
            await self._clock.sleep(self._settings.batch_window_ms / 1000)
            async with self._lock:
                self._window = None
                await self._seal()
        except Exception as error:  # noqa: BLE001 - a batch that cannot be sealed stops the lane, loudly
            self._failed(error)

    async def _note(self, note: Note) -> None:
        salt = self._random.bytes(SALT_BYTES)
        async with self._lock:
            if not self.collector.room or not self.collector.fits(note.entry.source, note.rules):
                await self._seal()
            fresh = not self.collector.touched
            place = Address(self.collector.log, self.collector.seq, self.collector.size)
            self.collector.add(None, [note.entry], [salt], [leaf(note.entry, salt)], note.rules)
            self._notes.append((note, place))
            if fresh:
                self._seal_later()

    # --- tickets
    async def _ticket(self, ticket: Ticket) -> None:
        ticket.turn.set()
        while True:
            part = await ticket.parts.get()
            if isinstance(part, Receipt):
                self._metrics.duplicates(part.accepted)
                ticket.answer(part)
                return
            if isinstance(part, BaseException):
                await self._refuse(ticket, part)
                return
            await self._part(ticket, *part)
            if part[1]:
                return

    async def _refuse(self, ticket: Ticket, error: BaseException) -> None:
        message = ticket.message
        if isinstance(error, OSError | MemoryError):
            error = Unavailable("the message could not be read just now", remedy="send it again later")
        elif not isinstance(error, BalError):
            _log.error(
                "message failed",
                source=message.source,
                digest=message.digest.hex(),
                error=type(error).__name__,
            )
            error = Unreadable("the message could not be processed", remedy="report this")
        if isinstance(error, Unreadable | Refused):
            rejection = Rejection(error.what, "message", b"", error.slug)
            await self._quarantine.put_message(message, rejection, self._clock.now())
            self._metrics.rejected(error.slug, 1)
        if not ticket.placed:
            ticket.fail(error)
            return
        # What stands in the open batch must be on record before the message can come again, or it would get leaves twice.
        ticket.error = error
        async with self._lock:
            if not self.collector.touched:
                self._seal_later()
            self.collector.touch(ticket)

    async def _part(self, ticket: Ticket, part: NormalisedPart, last: bool) -> None:  # noqa: FBT001
        skip = min(ticket.ahead, len(part.readings))
        ahead = ticket.ahead - skip
        barred = self._barred(part.readings)
        rejections = [
            *part.rejections,
            *((-2 - ticket.outcomes - i, ERASED._replace(where=_of(part.readings[i]))) for i in barred),
        ]
        message = ticket.message
        await self._quarantine.put(message.source, message.digest, rejections, self._clock.now())
        rules = ticket.source.rules.digest()
        async with self._lock:
            await self._place(ticket, part, skip, barred, rules)
            self._count(ticket, part, rejections)
            ticket.outcomes, ticket.ahead, ticket.complete = part.outcomes, ahead, last
            if last and not ticket.accepted:
                ticket.answer(ticket.receipt())
                return
            if not self.collector.touched:
                self._seal_later()
            self.collector.touch(ticket)
            if not self.collector.room:
                await self._seal()

    def _barred(self, readings: Sequence[Reading]) -> list[int]:
        erased = self._erased
        return [i for i, reading in enumerate(readings) if reading in erased] if erased else []

    async def _place(
        self, ticket: Ticket, part: NormalisedPart, skip: int, barred: list[int], rules: str
    ) -> None:
        """Give readings from number `skip` on their addresses, over as many batches as it takes."""
        kept = [i for i in range(skip, len(part.readings)) if i not in set(barred)] if barred else None
        count = len(part.readings) if kept is None else len(kept)
        position = skip if kept is None else 0
        while position < count:
            if not self.collector.room or not self.collector.fits(ticket.source.name, rules):
                await self._seal()
            if not self.collector.touched:
                self._seal_later()
            end = min(count, position + self.collector.room)
            if kept is None:
                rows = slice(position, end)
                chosen = part.readings[rows], part.salts[rows], part.leaves[rows]
            else:
                some = kept[position:end]
                chosen = tuple(
                    [column[i] for i in some] for column in (part.readings, part.salts, part.leaves)
                )  # type: ignore[assignment]
            self.collector.add(ticket, *chosen, rules)
            position = end
            ticket.ahead = end if kept is None else kept[end - 1] + 1

    def _count(
        self, ticket: Ticket, part: NormalisedPart, rejections: Sequence[tuple[int, Rejection]]
    ) -> None:
        for _, rejection in rejections:
            ticket.reject(rejection.reason, rejection.where)
            self._metrics.rejected(rejection.code, 1)
        ticket.duplicates += part.duplicates
        self._metrics.duplicates(part.duplicates)
