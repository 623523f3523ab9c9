"""From the embedded broker into the lanes, in the same process and without a socket."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bal.core.errors import Conflict, Unavailable
from bal.core.message import Message, Receipt
from bal.core.ownership import Ownership, message_of
from bal.ingest.budget import Budget
from bal.ingest.receipts import receipt_messages, rejection_message

INBOX_BYTES = 64 * 1024 * 1024
"""Most bytes of messages taken in and not yet accepted or rejected."""
MESSAGE_COST = 2048
"""What a message costs besides its body: so small ones are bounded too, at some 30,000."""

Send = Callable[[str, bytes], Awaitable[None]]
"""Publishes (topic, payload) to whoever is subscribed."""


class EmbeddedDelivery:
    """A message in memory. Accepting or rejecting it tells the sender and makes room for the next."""

    def __init__(self, inbox: "EmbeddedInbox", ordinal: int, message: Message) -> None:
        self._inbox = inbox
        self._ordinal = ordinal
        self.message = message

    async def accept(self, receipt: Receipt) -> None:
        """Publish the receipt, then forget the message: it is stored."""
        await self._inbox.settle(self._ordinal, receipt_messages(receipt))

    async def reject(self, receipt: Receipt) -> None:
        """Publish what was wrong, then forget the message: it is in quarantine."""
        told = rejection_message(receipt.source, receipt.digest, list(receipt.rejections))
        await self._inbox.settle(self._ordinal, [told])


class EmbeddedInbox:
    """One lane's messages, bounded in bytes.

    What is neither accepted nor rejected comes again when the inbox is opened again; when the process dies it comes
    again from its sender, who has no receipt.
    """

    def __init__(self, send: Send, limit: int = INBOX_BYTES) -> None:
        self._send = send
        self._budget = Budget(limit)
        self._pending: dict[int, tuple[Message, int]] = {}
        self._offered: Counter[str] = Counter()
        self._arrived = 0
        self._open = False
        self._arrival = asyncio.Event()

    @property
    def pending(self) -> int:
        """Messages taken in and not settled."""
        return len(self._pending)

    def holds(self, source: str) -> bool:
        """Tell whether a message of `source` is taken in and not settled, or about to be."""
        return self._offered[source] > 0

    async def offer(self, message: Message) -> None:
        """Take a message in, waiting in line while there is no room."""
        self._offered[message.source] += 1
        try:
            cost = await self._budget.take(MESSAGE_COST + (message.size or 0))
        except BaseException:
            self._offered[message.source] -= 1
            raise
        self._pending[self._arrived] = (message, cost)
        self._arrived += 1
        self._arrival.set()

    @asynccontextmanager
    async def deliveries(self) -> AsyncIterator[AsyncIterator[EmbeddedDelivery]]:
        """Open the inbox; raise `Conflict` when it is open already: a lane has one reader."""
        if self._open:
            message = "this inbox is read by another already"
            raise Conflict(message, remedy="give every lane an inbox of its own")
        self._open = True
        messages = self._messages()
        try:
            yield messages
        finally:
            await messages.aclose()
            self._open = False

    async def _messages(self) -> AsyncGenerator[EmbeddedDelivery, None]:
        ordinal = min(self._pending, default=self._arrived)
        while True:
            while ordinal >= self._arrived:
                self._arrival.clear()
                await self._arrival.wait()
            pending = self._pending.get(ordinal)
            if pending is not None:
                yield EmbeddedDelivery(self, ordinal, pending[0])
            ordinal += 1

    async def settle(self, ordinal: int, told: list[tuple[str, bytes]]) -> None:
        """Tell the sender and forget the message; again is no harm."""
        for topic, payload in told:
            await self._send(topic, payload)
        pending = self._pending.pop(ordinal, None)
        if pending is not None:
            self._budget.give(pending[1])
            self._offered[pending[0].source] -= 1


class Intake:
    """Puts what the embedded broker takes into the inbox of its source's lane.

    `ownership` and `inbox_of` (source -> inbox, None while its lane does not run) are asked for every message.
    """

    def __init__(
        self, ownership: Callable[[], Ownership], inbox_of: Callable[[str], EmbeddedInbox | None], send: Send
    ) -> None:
        self._ownership = ownership
        self._inbox_of = inbox_of
        self._send = send

    async def take(self, identity: str, topic: str, body: bytes) -> bool:
        """Take a message, waiting while its lane has no room; False when the topic carries no documents.

        Ownership is checked here again: `Refused` when rights and ownership do not agree. `Unavailable` while the lane
        does not run.
        """
        ownership = self._ownership()
        if ownership.destination(topic) is None:
            return False
        message = ownership.message(identity, topic, body)
        inbox = self._inbox_of(message.source)
        if inbox is None:
            reason = "this source's lane is not running"
            raise Unavailable(reason, subject=message.source, remedy="send it again later")
        await inbox.offer(message)
        return True

    async def refuse(self, identity: str, topic: str, body: bytes, reason: str) -> None:
        """Tell a source that a message on a topic of its own was not taken."""
        destination = self._ownership().destination(topic)
        if destination is not None and self._ownership().may_send_as(identity, destination.source):
            await self._tell(message_of(destination, body), reason)

    async def _tell(self, message: Message, reason: str) -> None:
        await self._send(*rejection_message(message.source, message.digest, [(reason, "")]))
