"""Intake: takes messages in order and normalises them ahead of the batch."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

from bal.core.errors import BalError, Unreadable
from bal.core.message import Message
from bal.core.source import Source
from bal.lane.room import Room
from bal.lane.ticket import Ticket
from bal.ports import Clock, NormalisedPart, Normaliser, Random, Store, Task, Tasks

SEED_BYTES = 32
MESSAGES_AHEAD = 4
"""Messages of one lane normalised at the same time: enough to keep a pool of two busy."""


class Intake:
    """Gives each message its ticket, looks its receipt up, and starts normalising it."""

    def __init__(
        self,
        store: Store,
        normaliser: Normaliser,
        clock: Clock,
        random: Random,
        tasks: Tasks,
        room: Room,
        *,
        line_up: Callable[[Ticket], None],
    ) -> None:
        self._store = store
        self._normaliser = normaliser
        self._clock = clock
        self._random = random
        self._tasks = tasks
        self._room = room
        self._line_up = line_up
        self._in_flight: dict[tuple[str, bytes], asyncio.Future[None]] = {}
        self._running: dict[Ticket, Task] = {}
        self._turns = asyncio.Semaphore(MESSAGES_AHEAD)
        self._held: Counter[str] = Counter()
        self._ended = asyncio.Event()
        self.received_at = 0
        """When the newest message was taken; never goes back within a lane."""

    async def take(self, message: Message, source: Source, *, wait: bool) -> Ticket:
        """Return the ticket of a message once there is room for it."""
        size = message.size or 0
        self._held[message.source] += 1
        try:
            await self._room.enter(size, wait=wait)
        except BaseException:
            self._let_go(message.source)
            raise
        loop = asyncio.get_running_loop()
        ticket = Ticket(message, source, 0, loop.create_future(), loop.create_future())
        key = (message.source, message.digest)
        earlier = self._in_flight.get(key)
        self._in_flight[key] = ticket.ended
        ticket.ended.add_done_callback(lambda _: self._done(ticket, size))
        if earlier is None:
            self._admit(ticket)
        self._running[ticket] = self._tasks.spawn(self._normalise(ticket, earlier), "normalise")
        return ticket

    def _admit(self, ticket: Ticket) -> None:
        ticket.received_at = self.received_at = max(self._clock.now(), self.received_at)
        self._line_up(ticket)

    def _done(self, ticket: Ticket, size: int) -> None:
        self._room.leave(size)
        self._let_go(ticket.message.source)
        self._running.pop(ticket, None)
        key = (ticket.message.source, ticket.message.digest)
        if self._in_flight.get(key) is ticket.ended:
            del self._in_flight[key]

    def _let_go(self, source: str) -> None:
        self._held[source] -= 1
        if not self._held[source]:
            del self._held[source]
            self._ended.set()

    async def idle(self, source: str) -> None:
        """Return once no message of `source` is on its way or waits for room."""
        while source in self._held:
            self._ended.clear()
            await self._ended.wait()

    async def _normalise(self, ticket: Ticket, earlier: "asyncio.Future[None] | None") -> None:
        """Look up what is known of the message and normalise the rest.

        The same message in flight is waited for outside the line, so that those behind it are not held up.
        """
        if earlier is not None:
            await asyncio.wait([earlier])
            if ticket.ended.done():
                return
            self._admit(ticket)
        if ticket.message.refusal:
            await ticket.parts.put(Unreadable(ticket.message.refusal))
            return
        try:
            known = await self._store.receipt(ticket.message.source, ticket.message.digest)
            if known is not None and known.complete:
                await ticket.parts.put(known)
                return
            if known is not None:
                ticket.resume(known)
            await self._parts(ticket)
        except Exception as error:  # noqa: BLE001 - whatever a message does, it must not stop the lane
            await ticket.parts.put(error)

    async def _parts(self, ticket: Ticket) -> None:
        """Normalise a small message ahead and whole; a large one as it is collected, so that memory stays bounded."""
        parts = self._normaliser.normalise(
            ticket.message, ticket.source, ticket.received_at, self._random.bytes(SEED_BYTES), ticket.outcomes
        )
        if ticket.message.size is None:
            await ticket.turn.wait()
            await _hand_on(ticket, parts)
        else:
            async with self._turns:
                whole = [part async for part in parts]
            await _hand_on(ticket, _each(whole))

    def close(self, error: BalError) -> None:
        """Give `error` to every sender that waits and end what is being normalised."""
        for task in list(self._running.values()):
            task.cancel()
        for ticket in list(self._running):
            ticket.fail(error)


async def _each(parts: Sequence[NormalisedPart]) -> AsyncIterator[NormalisedPart]:
    for part in parts:
        yield part


async def _hand_on(ticket: Ticket, parts: AsyncIterator[NormalisedPart]) -> None:
    """Put parts into the ticket, saying of each whether it is the last."""
    held: NormalisedPart | None = None
    async for part in parts:
        if held is not None:
            await ticket.parts.put((held, False))
        held = part
    await ticket.parts.put((held or NormalisedPart((), (), (), (), 0, ticket.outcomes), True))
