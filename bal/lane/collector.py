"""The open batch: collects leaves in order of arrival until it is sealed."""

from collections.abc import Sequence
from typing import NamedTuple

from bal.core.batch import SealedBatch, seal
from bal.core.entry import Entry
from bal.core.message import Receipt
from bal.lane.ticket import Ticket
from chaincode.anchor import GENESIS, MAX_SOURCES, Anchor


class Moved(NamedTuple):
    """A ticket that the batch brings on, as it was when the batch was sealed."""

    ticket: Ticket
    receipt: Receipt
    error: BaseException | None

    def stored(self) -> None:
        """Answer the sender if this was the last of the message."""
        if self.error is not None:
            self.ticket.fail(self.error)
        elif self.receipt.complete:
            self.ticket.answer(self.receipt)


class Collector:
    """Assigns `(log, seq, index)` and keeps what the next batch will hold."""

    def __init__(self, log: str, head: Anchor | None, leaves: int, sealed_at: int = 0) -> None:
        """`sealed_at` is when the lane's newest batch was sealed: no later one is sealed before it."""
        self.log = log
        self.sealed_at = sealed_at
        self.capacity = leaves
        self.seq = 0 if head is None else head.seq + 1
        self._previous = GENESIS if head is None else head.hash
        self._clear()

    def _clear(self) -> None:
        self._entries: list[Entry] = []
        self._salts: list[bytes] = []
        self._leaves: list[bytes] = []
        self._rules: dict[str, str] = {}
        self._tickets: dict[int, Ticket] = {}

    @property
    def size(self) -> int:
        """Leaves in the open batch."""
        return len(self._entries)

    @property
    def room(self) -> int:
        """Leaves that still fit."""
        return self.capacity - len(self._entries)

    @property
    def touched(self) -> bool:
        """Whether sealing would make anything durable: leaves, or progress of a message."""
        return bool(self._entries or self._tickets)

    def fits(self, source: str, rules: str) -> bool:
        """Tell whether entries of `source` under `rules` may stand in the open batch."""
        known = self._rules.get(source)
        return known == rules or (known is None and len(self._rules) < MAX_SOURCES)

    def add(
        self,
        ticket: Ticket | None,
        entries: Sequence[Entry],
        salts: Sequence[bytes],
        leaves: Sequence[bytes],
        rules: str,
    ) -> int:
        """Put entries of one source in; return the index of the first. The caller has asked `room` and `fits`."""
        first = len(self._entries)
        if entries:
            self._rules[entries[0].source] = rules
            self._entries.extend(entries)
            self._salts.extend(salts)
            self._leaves.extend(leaves)
        if ticket is not None:
            if entries:
                ticket.place(self.log, self.seq, first, len(entries))
            self.touch(ticket)
        return first

    def touch(self, ticket: Ticket) -> None:
        """Let the ticket's receipt be stored with the open batch."""
        self._tickets[id(ticket)] = ticket

    def seal(self, now: int) -> tuple[SealedBatch | None, list[Moved]]:
        """Close the open batch and begin the next.

        Return the batch (None when it has no leaf) and every ticket that moved, with its receipt as of now. A batch is
        never sealed before what is in it was received, so that a restart goes on from a time that does not go back.
        """
        moved = [Moved(ticket, ticket.receipt(), ticket.error) for ticket in self._tickets.values()]
        batch = None
        if self._entries:
            self.sealed_at = max(now, self.sealed_at, *(entry.received_at for entry in self._entries))
            batch = seal(
                log=self.log,
                seq=self.seq,
                previous=self._previous,
                entries=self._entries,
                salts=self._salts,
                leaves=self._leaves,
                rules=self._rules,
                receipts=[each.receipt for each in moved if each.receipt.accepted],
                sealed_at=self.sealed_at,
            )
            self.seq += 1
            self._previous = batch.anchor.hash
        self._clear()
        return batch, moved
