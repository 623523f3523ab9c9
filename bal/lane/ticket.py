"""Tickets: messages on their way through a lane."""

import asyncio
from dataclasses import dataclass, field

from bal.core.address import AddressRange
from bal.core.limits import REJECTIONS_LISTED
from bal.core.message import Message, Receipt
from bal.core.source import Source
from bal.ports import NormalisedPart

PARTS_AHEAD = 2
"""Parts of one message normalised ahead of the batch that takes them: bounds memory on large documents."""


Part = tuple[NormalisedPart, bool] | Receipt | BaseException
"""A part and whether it is the message's last; or the receipt that answers a known message; or the error that ended it."""


@dataclass(eq=False)
class Ticket:
    """A message in a lane, what is known of it so far, and the receipt its sender waits for."""

    message: Message
    source: Source
    received_at: int
    stored: "asyncio.Future[Receipt]"
    """For the sender, who may go away and cancel it."""
    ended: "asyncio.Future[None]"
    """For the lane: done when the message has its answer, whether or not anybody waits for it."""
    parts: "asyncio.Queue[Part]" = field(default_factory=lambda: asyncio.Queue(PARTS_AHEAD))
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the lane has come to this message."""
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    outcomes: int = 0
    ahead: int = 0
    ranges: list[AddressRange] = field(default_factory=list)
    rejections: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False
    error: BaseException | None = None
    """What ended the message after some of it had been given addresses."""
    placed: bool = False
    """Whether anything of it was given an address since it was taken."""

    def answer(self, receipt: Receipt) -> None:
        """Give the sender its receipt."""
        if not self.stored.done():
            self.stored.set_result(receipt)
        self._end()

    def fail(self, error: BaseException) -> None:
        """Give the sender an error instead; the message has no receipt and may be sent again."""
        if not self.stored.done():
            self.stored.set_exception(error)
            self.stored.exception()  # a sender that has gone is no unhandled error
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def resume(self, receipt: Receipt) -> None:
        """Go on from where a receipt of progress ended."""
        self.accepted, self.rejected, self.duplicates = receipt.accepted, receipt.rejected, receipt.duplicates
        self.outcomes, self.ahead = receipt.outcomes, receipt.ahead
        self.ranges = list(receipt.ranges)
        self.rejections = list(receipt.rejections)

    def reject(self, reason: str, where: str) -> None:
        """Count a rejection and list it while there is room."""
        self.rejected += 1
        if len(self.rejections) < REJECTIONS_LISTED:
            self.rejections.append((reason, where))

    def place(self, log: str, seq: int, first: int, count: int) -> None:
        """Note that the next `count` accepted readings (at least one) stand from this address on."""
        self.accepted += count
        self.placed = True
        last = self.ranges[-1] if self.ranges else None
        if last is not None and (last.log, last.seq, last.last) == (log, seq, first - 1):
            self.ranges[-1] = last._replace(last=first + count - 1)
        else:
            self.ranges.append(AddressRange(log, seq, first, first + count - 1))

    def receipt(self) -> Receipt:
        """Return what has become of the message so far."""
        return Receipt(
            source=self.message.source,
            digest=self.message.digest,
            accepted=self.accepted,
            rejected=self.rejected,
            duplicates=self.duplicates,
            outcomes=self.outcomes,
            ahead=self.ahead,
            ranges=tuple(self.ranges),
            rejections=tuple(self.rejections),
            received_at=self.received_at,
            complete=self.complete,
        )
