"""Live events in this process: what the gateway hands on as server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import NamedTuple, Self

from bal.core.address import Address
from bal.core.certified import CertifiedBatch
from bal.core.errors import Overloaded
from bal.core.reading import Reading

QUEUE_EVENTS = 32_768
"""Events that wait for one subscriber: eight full batches."""
SUBSCRIBERS = 256
"""Most subscribers at a time."""


class Event(NamedTuple):
    """One certified entry. `id` grows within a log; a subscriber that comes back names the last one it had."""

    id: str
    source: str
    point: str
    """Pseudonym; empty for an erasure."""
    data: str
    """The certificate, one line."""


class Subscription:
    """A subscriber's events, an asynchronous iterator; use it as a context manager.

    Raises `Overloaded` once when the subscriber fell too far behind: it was cut off, what waited is handed out first.
    """

    def __init__(
        self, stream: "EventStream", sources: frozenset[str], points: frozenset[str] | None, limit: int
    ) -> None:
        self.sources = sources
        self._stream = stream
        self._points = points
        self._limit = limit
        self._events: deque[Event] = deque()
        self._cut_off = False
        self._closed = False
        self._wake = asyncio.Event()

    def wants(self, event: Event) -> bool:
        """Tell whether an event is for this subscriber."""
        return event.source in self.sources and (self._points is None or event.point in self._points)

    def put(self, event: Event) -> None:
        """Queue an event, or cut the subscriber off when it has no room for it."""
        if self._cut_off or self._closed:
            return
        if len(self._events) >= self._limit:
            self._cut_off = True
        else:
            self._events.append(event)
        self._wake.set()

    def drop(self, address: str) -> int:
        """Forget what waits of `address`; return how many events that were."""
        before = len(self._events)
        self._events = deque(event for event in self._events if event.id != address)
        return before - len(self._events)

    def close(self) -> None:
        """End the subscription; its iterator ends."""
        self._closed = True
        self._events.clear()
        self._wake.set()
        self._stream.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            if self._cut_off:
                self.close()
                message = "this subscriber fell too far behind and was cut off"
                raise Overloaded(message, remedy="connect again with the id of the last event")
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class EventStream:
    """Hands certified entries to whoever is subscribed now. It never waits for a subscriber and never fails."""

    name = "events"

    def __init__(self, queue_events: int = QUEUE_EVENTS, subscribers: int = SUBSCRIBERS) -> None:
        self._queue_events = queue_events
        self._most = subscribers
        self._subscriptions: set[Subscription] = set()

    @property
    def subscribers(self) -> int:
        """Subscribers now."""
        return len(self._subscriptions)

    def subscribe(self, sources: frozenset[str], points: frozenset[str] | None = None) -> Subscription:
        """Return the events of `sources` (and of `points` only, if given) from now on; raise `Overloaded`."""
        if len(self._subscriptions) >= self._most:
            message = "there are too many subscribers"
            raise Overloaded(message, remedy="try again later")
        subscription = Subscription(self, sources, points, self._queue_events)
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Drop a subscription."""
        self._subscriptions.discard(subscription)

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Hand out the entries of `sources`; certificates are made only for sources somebody listens to."""
        heard = frozenset().union(*(subscription.sources for subscription in self._subscriptions)) & sources
        if not heard:
            return
        subscriptions = list(self._subscriptions)
        for index, entry, certificate in batch.certificates(heard):
            point = entry.point if isinstance(entry, Reading) else ""
            event = Event(str(batch.address(index)), entry.source, point, certificate)
            for subscription in subscriptions:
                if subscription.wants(event):
                    subscription.put(event)

    async def erase(self, address: Address) -> int:
        """Let nobody who has fallen behind have the certificate of `address` any more."""
        return sum(subscription.drop(str(address)) for subscription in self._subscriptions)

    def close(self) -> None:
        """End every subscription."""
        for subscription in list(self._subscriptions):
            subscription.close()
