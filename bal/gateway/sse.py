"""Server-sent events (WHATWG HTML, section 9.2): what was missed from the store, then what happens now, each once.

The id of an event names the last address of every log, `bal-1:42:17,bal-2:3:0`, so that one `Last-Event-ID` says all
that a subscriber has had.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from bal.core.address import Address
from bal.core.errors import BalError, Malformed, Overloaded
from bal.gateway.services import Event, Events
from bal.ports import Store

PING_SECONDS: Final = 15.0
"""Longest silence: proxies end connections that say nothing, and revocation is looked at."""
LOGS: Final = 64
"""Most logs one id names."""
_ID_CHARACTERS: Final = 8192
_PING: Final = b": ping\n\n"

Positions = dict[str, tuple[int, int]]
"""Log -> (seq, index) of the last entry handed out."""


def parse_id(text: str) -> Positions:
    """Return the positions an event id names; raise `Malformed`."""
    parts = text.split(",") if len(text) <= _ID_CHARACTERS else []
    addresses = [Address.parse(part) for part in parts[: LOGS + 1]]
    positions = {address.log: (address.seq, address.index) for address in addresses}
    if not parts or len(positions) != len(parts) or len(parts) > LOGS:
        raise Malformed("this is not the id of an event", remedy="send the id of the last event as it was")
    return positions


def id_of(positions: Positions) -> str:
    """Return the event id of positions."""
    return ",".join(f"{log}:{seq}:{index}" for log, (seq, index) in sorted(positions.items()))


async def published(store: Store) -> Positions:
    """Return the last published entry of every log."""
    positions: Positions = {}
    for log in (await store.logs())[-LOGS:]:
        waiting = await store.unpublished(log)
        last = await store.last_batch(log)
        seq = waiting[0] - 1 if waiting else (last.anchor.seq if last else -1)
        if seq >= 0:
            positions[log] = (seq, (await store.batch(log, seq)).anchor.size - 1)
    return positions


async def resumed(store: Store, text: str) -> Positions:
    """Return where a subscriber goes on; `Malformed` for an id that this service never gave."""
    positions = parse_id(text)
    for log, (seq, _) in positions.items():
        last = await store.last_batch(log)
        if last is None or seq > last.anchor.seq:
            raise Malformed("this event is not one of this service", remedy="connect without Last-Event-ID")
    return positions


class EventLines:
    """The lines of one subscriber, from `positions` on. `check` raises once it may hear no more."""

    def __init__(
        self,
        store: Store,
        events: Events,
        sources: frozenset[str],
        positions: Positions,
        check: Callable[[], object],
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._store = store
        self._events = events
        self._sources = sources
        self._positions = positions
        self._check = check
        self._ping = ping_seconds

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the stream; it ends when the subscriber may hear no more or fell too far behind, to be taken up again."""
        # Subscribed before the store is read: what is published meanwhile waits in the subscription.
        with self._events.subscribe(self._sources) as live:
            try:
                yield f"retry: 2000\n{self._id()}\n".encode()
                async for lines in self._missed():
                    yield lines
                async for lines in self._live(aiter(live)):
                    yield lines
            except Overloaded:
                yield b": too far behind\n\n"
            except BalError:
                yield b": over\n\n"

    def _id(self) -> str:
        return f"id: {id_of(self._positions)}\n" if self._positions else ""

    async def _missed(self) -> AsyncIterator[bytes]:
        logs = await self._store.logs()
        for log in logs:
            first, index = self._positions.get(log, (0, -1))
            async for record in self._store.batches(log, first):
                if record.commitment is None:
                    break
                anchor = record.anchor
                if self._sources.isdisjoint(anchor.counts):
                    continue
                batch = await self._store.certified_batch(log, anchor.seq)
                after = index if anchor.seq == first else -1
                for place, _, certificate in batch.certificates(self._sources):
                    if place > after:
                        yield self._line(log, anchor.seq, place, certificate)

    async def _live(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        following: asyncio.Task[Event | None] | None = None
        try:
            while True:
                if following is None:
                    following = asyncio.create_task(_next(events))
                done, _ = await asyncio.wait({following}, timeout=self._ping)
                self._check()
                if not done:
                    yield _PING
                    continue
                event, following = following.result(), None
                if event is None:
                    return
                log, seq, index = Address.parse(event.id)
                if (seq, index) > self._positions.get(log, (-1, -1)):
                    yield self._line(log, seq, index, event.data)
        finally:
            if following is not None:
                following.cancel()

    def _line(self, log: str, seq: int, index: int, data: str) -> bytes:
        self._check()
        self._positions[log] = (seq, index)
        return f"{self._id()}data: {data}\n\n".encode()


async def _next(events: AsyncIterator[Event]) -> Event | None:
    """Return the next event, None at the end: a task cannot raise StopAsyncIteration."""
    return await anext(events, None)
