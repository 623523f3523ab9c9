"""A sender that loses nothing: it keeps a message until its receipt and sends it again without one."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from bal.core.errors import Unavailable
from bal.simulate.link import Answer, Door, Link
from bal.simulate.outbox import Outbox
from bal.simulate.plan import Outgoing, Plan
from bal.simulate.receipts import ReceiptFile


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How a sender behaves. Times in seconds."""

    window: int = 64
    """Most messages without a receipt; at the limit nothing new is made."""
    retry: float = 10.0
    """A message without a receipt for so long is sent again."""
    reconnect: float = 0.1
    """First pause after a broken connection, doubled each time up to `reconnect_most`."""
    reconnect_most: float = 5.0
    grace: float = 1.0
    """How long an acceptance is waited for after a rejection: of a message taken in part, both are told."""
    drain: float = 60.0
    """How long receipts are waited for after the last message was made."""


@dataclass(slots=True)
class Progress:
    """What a sender has done so far."""

    made: int = 0
    """Messages taken up, those found in an outbox included."""
    accepted: int = 0
    rejected: int = 0
    pending: int = 0
    resent: int = 0
    connections: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class _Pending:
    message: Outgoing
    attempts: int = 0
    sent_at: float = 0.0
    under_way: bool = False
    """Being handed over at this moment."""


async def paced(plan: Plan, first: int, count: int, interval: float) -> AsyncGenerator[Outgoing, None]:
    """Yield messages `first` to `first + count - 1`, those of one time together, `interval` seconds between times.

    Who is late catches up.
    """
    loop = asyncio.get_running_loop()
    begin, first_round = loop.time(), first // plan.per_round
    for number in range(first, first + count):
        due = begin + (number // plan.per_round - first_round) * interval
        await asyncio.sleep(max(due - loop.time(), 0))
        yield plan.message(number)


def _raise_first(task: "asyncio.Task[None]") -> None:
    """Raise what ended `task`, out of the groups that tasks wrap it in."""
    error = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error:
        raise error


class Sender:
    """Sends the messages of one plan through a door."""

    def __init__(
        self,
        door: Door,
        settings: SenderSettings | None = None,
        *,
        outbox: Outbox | None = None,
        receipts: ReceiptFile | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._door = door
        self._settings = settings or SenderSettings()
        self._outbox = outbox
        self._receipts = receipts
        self._on_progress = on_progress
        self._pending: dict[str, _Pending] = {}
        self._fresh: deque[str] = deque()
        """Digests to be sent on this connection, in order."""
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._searched_at = 0.0
        self._exhausted = False
        self.progress = Progress()

    async def run(self, messages: AsyncIterator[Outgoing], limit: float | None = None) -> Progress:
        """Send what the outbox holds, then `messages`; return once all have receipts or time is up.

        Time is up `limit` seconds after the start, or `drain` seconds after the last message was made; what is `pending`
        then stays in the outbox. Raises what the door raises for good (`Refused`, `Unauthenticated`).
        """
        kept = self._outbox.waiting() if self._outbox else []
        feeding = asyncio.create_task(self._feed(kept, messages))
        sending = asyncio.create_task(self._stay_connected())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await asyncio.wait({feeding, sending}, return_when=asyncio.FIRST_COMPLETED)
                    if feeding.done():
                        feeding.result()
                        await asyncio.wait({sending}, timeout=self._settings.drain)
                    if sending.done():
                        _raise_first(sending)
        finally:
            for task in (feeding, sending):
                task.cancel()
            for timer in self._timers:
                timer.cancel()
            await asyncio.gather(feeding, sending, return_exceptions=True)
        return self.progress

    async def _feed(self, kept: Iterable[Outgoing], messages: AsyncIterator[Outgoing]) -> None:
        for message in kept:
            await self._take(message)
        async for message in messages:
            if self._outbox:
                self._outbox.keep(message)
            await self._take(message)
        self._exhausted = True
        self._wake.set()

    async def _take(self, message: Outgoing) -> None:
        while len(self._pending) >= self._settings.window:
            self._room.clear()
            await self._room.wait()
        digest = message.digest
        self._pending[digest] = _Pending(message)
        self._fresh.append(digest)
        self.progress.made += 1
        self._tell()
        self._wake.set()

    @property
    def _finished(self) -> bool:
        return self._exhausted and not self._pending

    async def _stay_connected(self) -> None:
        pause = self._settings.reconnect
        while not self._finished:
            settled = self.progress.accepted + self.progress.rejected
            try:
                async with self._door.open() as link:
                    self.progress.connections += 1
                    self._fresh = deque(self._pending)
                    await self._serve(link)
            except* Unavailable:
                if self.progress.accepted + self.progress.rejected > settled:
                    pause = self._settings.reconnect
                await asyncio.sleep(pause)
                pause = min(2 * pause, self._settings.reconnect_most)

    async def _serve(self, link: Link) -> None:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(link))
            while not self._finished:
                self._wake.clear()
                self._find_overdue()
                while self._fresh:
                    kept = self._pending.get(self._fresh.popleft())
                    if kept:
                        kept.sent_at = time.monotonic()
                        group.create_task(self._send(link, kept))
                # Not wait_for: before Python 3.12 it swallows a cancellation that meets the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.retry / 4):
                        await self._wake.wait()
            listening.cancel()

    def _find_overdue(self) -> None:
        now = time.monotonic()
        if now - self._searched_at < self._settings.retry / 4:
            return
        self._searched_at, before = now, now - self._settings.retry
        waiting = set(self._fresh)
        self._fresh.extend(
            digest
            for digest, kept in self._pending.items()
            if kept.attempts and not kept.under_way and kept.sent_at < before and digest not in waiting
        )

    async def _send(self, link: Link, kept: _Pending) -> None:
        if kept.attempts:
            self.progress.resent += 1
        kept.attempts += 1
        kept.under_way = True
        try:
            answer = await link.send(kept.message)
        finally:
            kept.under_way = False
        if answer:
            self._settle(answer)

    async def _listen(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        async for answer in link.answers():
            if answer.accepted:
                self._settle(answer)
            elif answer.digest in self._pending:
                self._timers = {timer for timer in self._timers if timer.when() > loop.time()}
                self._timers.add(loop.call_later(self._settings.grace, self._settle, answer))

    def _settle(self, answer: Answer) -> None:
        """Write down an answer, then forget its message: in this order, so that a kill between them only sends it again."""
        kept = self._pending.get(answer.digest)
        if kept is None:
            return
        if self._receipts:
            self._receipts.record(kept.message, answer, kept.attempts, time.time_ns() // 1000)
        if self._outbox:
            self._outbox.drop(kept.message)
        del self._pending[answer.digest]
        if answer.accepted:
            self.progress.accepted += 1
        else:
            self.progress.rejected += 1
        self._tell()
        self._room.set()
        if self._finished:
            self._wake.set()

    def _tell(self) -> None:
        self.progress.pending = len(self._pending)
        if self._on_progress:
            self._on_progress(self.progress)
