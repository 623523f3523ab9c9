"""Sessions of the embedded broker: what a client subscribed to and has not received yet (MQTT 3.1.1, 3.1.2.4)."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from bal.core.topics import matches

if TYPE_CHECKING:
    from bal.ingest.connection import Connection

QUEUE_BYTES = 64 * 1024 * 1024
"""Most bytes kept for one client, sent or not, until it acknowledges them. A session that falls further behind is ended as a whole, never thinned out."""
QUEUE_MESSAGES = 100_000
"""Most messages kept for one client."""
IN_FLIGHT = 16_384
"""Messages sent to a client and not acknowledged by it."""
SUBSCRIPTIONS = 1024
"""Most filters of one session."""


class Outgoing(NamedTuple):
    """A message on its way to a client."""

    topic: str
    body: bytes
    qos: int


class Session:
    """One client of one identity. The identity is part of its key: a client identifier is nobody else's to take over."""

    def __init__(self, identity: str, client_id: str, *, clean: bool) -> None:
        self.identity = identity
        self.client_id = client_id
        self.clean = clean
        self.filters: dict[str, int] = {}
        self.received: set[int] = set()
        """Packet identifiers of messages with quality of service 2 that the client has not released yet."""
        self.in_flight: dict[int, Outgoing] = {}
        self.connection: Connection | None = None
        self.left_at = 0.0
        self.ended = False
        self.wake = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self._queue: deque[Outgoing] = deque()
        self._bytes = 0
        self._packet_id = 0

    @property
    def key(self) -> tuple[str, str]:
        """(identity, client identifier)."""
        return (self.identity, self.client_id)

    @property
    def overfull(self) -> bool:
        """True when nothing more fits."""
        return self._bytes > QUEUE_BYTES or len(self._queue) > QUEUE_MESSAGES

    def put(self, message: Outgoing) -> None:
        """Queue a message."""
        self._queue.append(message)
        self._bytes += len(message.body)
        if 2 * self._bytes > QUEUE_BYTES or 2 * len(self._queue) > QUEUE_MESSAGES:
            self.room.clear()
        self.wake.set()

    def take(self) -> tuple[int | None, Outgoing] | None:
        """Return the next message with its packet identifier (None for quality 0); None when nothing may be sent now."""
        if not self._queue or len(self.in_flight) >= IN_FLIGHT:
            return None
        message = self._queue.popleft()
        if not message.qos:
            self._release(message)
            return None, message
        while True:
            self._packet_id = self._packet_id % 65535 + 1
            if self._packet_id not in self.in_flight:
                break
        self.in_flight[self._packet_id] = message
        return self._packet_id, message

    def acknowledge(self, packet_id: int) -> None:
        """Forget a message the client has."""
        message = self.in_flight.pop(packet_id, None)
        if message is not None:
            self._release(message)
            self.wake.set()

    def _release(self, message: Outgoing) -> None:
        self._bytes -= len(message.body)
        if 2 * self._bytes <= QUEUE_BYTES and 2 * len(self._queue) <= QUEUE_MESSAGES:
            self.room.set()

    def end(self) -> None:
        """Drop everything; who waits for room goes on."""
        self.ended = True
        self._queue.clear()
        self.in_flight.clear()
        self._bytes = 0
        self.room.set()
        self.wake.set()


class Subscriptions:
    """Which sessions want a topic. Filters without wildcards are found by look-up, the others one by one."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Session, int]] = {}
        self._wild: dict[str, dict[Session, int]] = {}

    def _table(self, topic_filter: str) -> dict[str, dict[Session, int]]:
        return self._wild if "+" in topic_filter or "#" in topic_filter else self._exact

    def add(self, session: Session, topic_filter: str, qos: int) -> None:
        """Add a subscription, or change its quality of service."""
        session.filters[topic_filter] = qos
        self._table(topic_filter).setdefault(topic_filter, {})[session] = qos

    def remove(self, session: Session, topic_filter: str) -> None:
        """Remove a subscription if there is one."""
        if session.filters.pop(topic_filter, None) is None:
            return
        table = self._table(topic_filter)
        sessions = table[topic_filter]
        del sessions[session]
        if not sessions:
            del table[topic_filter]

    def remove_all(self, session: Session) -> None:
        """Remove every subscription of a session."""
        for topic_filter in list(session.filters):
            self.remove(session, topic_filter)

    def of(self, topic: str) -> dict[Session, int]:
        """Return the sessions that want `topic`, each once, with the highest quality of service it asked for."""
        found = dict(self._exact.get(topic, ()))
        for topic_filter, sessions in self._wild.items():
            if matches(topic_filter, topic):
                for session, qos in sessions.items():
                    found[session] = max(qos, found.get(session, 0))
        return found
