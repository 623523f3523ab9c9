"""What the pipeline, the gateway and the audit need of the world, in the verbs of the domain.

Adapters are native to their engine; one behaviour suite per port runs over every adapter.
"""

from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import StoredEntry
from bal.core.message import Message, Receipt, Rejection
from bal.core.normalised import NormalisedPart
from bal.core.reading import Reading
from bal.core.source import Lane, Source
from bal.core.stored import (
    BatchPlace,
    BatchRecord,
    ClosedLog,
    ErasureNote,
    Parked,
    Quarantined,
    ReadingQuery,
    StoredReading,
    Tile,
)
from chaincode.anchor import Anchor

__all__ = [
    "BatchPlace",
    "BatchRecord",
    "Clock",
    "ClosedLog",
    "Delivery",
    "ErasureNote",
    "Inbox",
    "Leases",
    "Ledger",
    "NormalisedPart",
    "Normaliser",
    "Parked",
    "Publisher",
    "Quarantine",
    "Quarantined",
    "Random",
    "ReadingQuery",
    "Store",
    "StoredReading",
    "Task",
    "Tasks",
    "Tile",
]


class Clock(Protocol):
    """Time, so that a simulation can own it."""

    def now(self) -> int:
        """Return the time of day, microseconds UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class Random(Protocol):
    """Chance, so that a simulation can own it."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes fit for keys."""
        ...


class Task(Protocol):
    """Something running beside."""

    def cancel(self) -> object:
        """Ask it to end."""
        ...


class Tasks(Protocol):
    """Work beside, so that a simulation can own its order."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Task:
        """Run `work` beside; an error it raises is kept and raised by the service as a whole."""
        ...


class Normaliser(Protocol):
    """Turns messages into readings."""

    def normalise(
        self, message: Message, source: Source, received_at: int, seed: bytes, skip: int
    ) -> AsyncIterator[NormalisedPart]:
        """Yield the outcomes of `message` from number `skip` on, in document order, in parts.

        The last outcome's part always comes, also when nothing remains after `skip`. Raises `Unreadable` before
        anything is yielded when the message cannot be read as a whole.
        """
        ...


class Store(Protocol):
    """The Shared Customer Database, writing side and reading side. Raises `StoreFailed` when it cannot."""

    # --- registry -----------------------------------------------------------------------------------------------
    async def record_source(self, source: Source) -> None:
        """Record a registration; the one before stays on record."""
        ...

    async def sources(self) -> list[Source]:
        """Return the registration in force of every source, by name."""
        ...

    async def source_history(self, name: str) -> list[Source]:
        """Return every registration of a source, oldest first."""
        ...

    async def record_lane(self, lane: Lane) -> None:
        """Record that `lane` writes `lane.log` from now on."""
        ...

    async def lanes(self) -> list[Lane]:
        """Return every lane with the log it writes now."""
        ...

    async def logs(self) -> list[str]:
        """Return every log ever opened, oldest first."""
        ...

    # --- write path -----------------------------------------------------------------------------------------------
    async def receipt(self, source: str, digest: bytes) -> Receipt | None:
        """Return what is known of a message: complete, of progress, or nothing."""
        ...

    async def append_batch(self, batch: SealedBatch) -> None:
        """Make a batch and its receipts durable as one thing. `LaneLost` when (log, seq) is taken."""
        ...

    async def record_receipts(self, receipts: Sequence[Receipt]) -> None:
        """Make receipts durable whose last readings were stored with an earlier batch."""
        ...

    async def last_batch(self, log: str) -> BatchRecord | None:
        """Return the newest batch of a log."""

    async def mark_anchored(self, commitments: Sequence[Commitment]) -> None:
        """Record what the ledger says of these batches; again is no harm."""
        ...

    async def mark_published(self, log: str, seq: int) -> None:
        """Record that every output acknowledged the batch; again is no harm."""

    async def unanchored(self, log: str) -> list[Anchor]:
        """Return the anchors of batches marked neither anchored nor moved, in sequence."""
        ...

    async def unpublished(self, log: str) -> list[int]:
        """Return the sequence numbers of batches marked neither published nor moved, in order."""
        ...

    async def certified_batch(self, log: str, seq: int) -> CertifiedBatch:
        """Return an anchored batch for publishing. `NotFound`, `NotYetAnchored`."""
        ...

    async def forget_receipts(self, before: int) -> int:
        """Drop complete receipts older than `before` (microseconds); return how many."""
        ...

    # --- parkings -------------------------------------------------------------------------------------------------
    async def park(self, parked: Parked) -> None:
        """Record what an output refused and from which batch on, in the stead of what is on record for the pair."""
        ...

    async def unpark(self, output: str, source: str) -> None:
        """Forget a parking; none is no harm."""

    async def parked(self) -> list[Parked]:
        """Return every parking, by output and source."""

    # --- closed logs ----------------------------------------------------------------------------------------------
    async def close_log(self, log: str, reason: str, now: int) -> None:
        """Record that nothing is appended to `log` any more; the first reason stays."""
        ...

    async def closed_logs(self) -> list[ClosedLog]:
        """Return every closed log, in the order they were opened."""
        ...

    async def carry_over(self, log: str, seq: int, batch: SealedBatch) -> None:
        """Store `batch`, which holds the entries of the unanchored batch (log, seq) of a closed log, in its stead.

        As one thing: the old rows are removed, the old record is marked moved, receipts that named the old addresses
        name the new ones. Again is no harm. `LaneLost` when the place of `batch` is taken, `Conflict` when (log, seq)
        is anchored or was moved elsewhere, `NotFound`.
        """
        ...

    # --- erasure --------------------------------------------------------------------------------------------------
    async def erase(self, note: ErasureNote, lookup: bytes) -> None:
        """Remove row and salt of `note.target` beyond recovery from every file of the SCD, keeping the note.

        `lookup` is a keyed digest of the erased reading's natural key, kept so that it is not accepted again.
        """
        ...

    async def repetitions(self, reading: Reading) -> list[Address]:
        """Return where readings of the same natural key and value stand, that one included, in order of receipt."""
        ...

    async def erased_lookups(self) -> set[bytes]:
        """Return the keyed digests of everything erased."""
        ...

    async def erasures(self, log: str) -> list[ErasureNote]:
        """Return the notes whose entry (`noted_at`) stands in `log`, in order."""
        ...

    # --- reading side ---------------------------------------------------------------------------------------------
    async def batch(self, log: str, seq: int) -> BatchRecord:
        """Return one batch record. `NotFound`; `Invalid` when it cannot be read any more."""
        ...

    def batches(self, log: str, first: int = 0) -> AsyncIterator[BatchRecord]:
        """Yield the batch records of a log in sequence. `Invalid` at one that was altered; go on from the next number."""
        ...

    async def entry(self, address: Address) -> StoredEntry:
        """Return one entry. `NotFound`, `Erased`."""
        ...

    async def entries(self, log: str, seq: int) -> list[StoredEntry]:
        """Return every row that claims to belong to a batch, by index; more or fewer than its size if tampered with."""
        ...

    async def strays(self) -> list[Address]:
        """Return the addresses of rows whose batch has no record, or whose log was never opened."""

    async def loose_batches(self) -> list[BatchPlace]:
        """Return where records and tiles stand that are no batch's: without one before, of no log, tiles too many."""

    async def unlisted(self, log: str, seq: int) -> list[Address]:
        """Return the addresses of readings of a batch that are stored and that `readings` would not come upon."""

    async def tile(self, log: str, seq: int, number: int) -> Tile:
        """Return a tile of a batch. `NotFound`."""

    async def proof_path(self, address: Address) -> list[bytes]:
        """Return the RFC 9162 inclusion path of an address, reading one tile. `NotFound`."""

    def readings(self, query: ReadingQuery) -> AsyncIterator[StoredReading]:
        """Yield readings, newest timestamp first; with `history` oldest revision first within one natural key."""
        ...


class Leases(Protocol):
    """Who runs which lane, where several workers share one store. Raises `StoreFailed` when it cannot tell."""

    async def hold(self, lane: str, holder: str, seconds: float) -> bool:
        """Take the lease of a lane for `seconds`, or keep it on; False while another holder has it.

        `holder` names one run of one worker and is never used twice.
        """
        ...

    async def release(self, lane: str, holder: str) -> None:
        """Give it back; none is no harm."""
        ...


class Quarantine(Protocol):
    """Keeps what was refused, bytes encrypted under the operator's key, outside the SCD."""

    async def put(
        self, source: str, digest: bytes, rejections: Iterable[tuple[int, Rejection]], now: int
    ) -> None:
        """Make rejections of a message durable; the same message again adds nothing."""
        ...

    async def put_message(self, message: Message, rejection: Rejection, now: int) -> None:
        """Make durable that a message is refused as a whole, with its bytes: the reason says which are left out."""
        ...

    async def refusals(self, source: str | None, after: int = 0, limit: int = 100) -> list[Quarantined]:
        """Return what was refused, oldest first, from id `after` on (not included), without bytes."""
        ...

    async def open(self, id: int) -> Quarantined:  # noqa: A002 - the column's name
        """Return one with its bytes, for the operator only. `NotFound`."""
        ...


class Ledger(Protocol):
    """The permissioned ledger and the certification contract on it.

    Raises `LedgerUnavailable` (nothing submitted), `LedgerOutcomeUnknown` (submitted, read to settle), `LedgerRefused`
    (for good, with the contract's code), `LedgerAltered`.
    """

    kind: str
    channel: str
    organisation: str

    async def register_log(self, log: str) -> None:
        """Register a log for this organisation; again by its owner is no harm."""
        ...

    async def register_source(self, source: str) -> None:
        """Register a source for this organisation; again by its owner is no harm."""
        ...

    async def set_rules(self, source: str, digest: str) -> None:
        """Put the digest (hex SHA-256) of a source's quality rules on the ledger."""
        ...

    async def suspend_source(self, source: str, *, suspended: bool, why: str) -> None:
        """Suspend a source or lift its suspension."""
        ...

    async def suspended(self, source: str) -> bool:
        """Tell whether the ledger says a source is suspended. False for one it does not know."""
        ...

    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        """Commit 1 to 64 consecutive anchors of one log in one transaction.

        Anchors that stand there already with the same content are answered with what the ledger says of them.
        """
        ...

    async def head(self, log: str) -> Commitment | None:
        """Return the newest anchor of a log, None for an empty one."""
        ...

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return an anchor as the ledger holds it."""
        ...

    def anchors(self, log: str, first: int = 0) -> AsyncIterator[Commitment]:
        """Yield the anchors of a log in sequence."""
        ...

    async def logs(self) -> list[str]:
        """Return the logs that belong to this organisation, by name."""
        ...

    async def verify(self) -> None:
        """Check the ledger's own structure as far as this peer can. `LedgerAltered`."""
        ...


class Publisher(Protocol):
    """An output of certified readings."""

    name: str

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Hand out the certificates of `sources` in `batch` and return once they are acknowledged.

        Called for one batch of a log after the other; after a crash again for the same batch, and beside for a source
        that was parked. Raises `Unavailable` (try again later) or `PublishRefused` (park that source).
        """
        ...


class Delivery(Protocol):
    """A message taken from an inbox and not yet acknowledged."""

    message: Message

    async def accept(self, receipt: Receipt) -> None:
        """Tell the sender what became of it, then acknowledge to the broker: it is stored."""
        ...

    async def reject(self, receipt: Receipt) -> None:
        """Tell the sender that nothing of it was accepted and why, then acknowledge: it is in quarantine."""
        ...


class Inbox(Protocol):
    """A door messages come in by."""

    def deliveries(self) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Connect and yield messages in order of receipt; what is not settled comes again when this is entered anew."""
        ...

    def holds(self, source: str) -> bool:
        """Tell whether a message of `source` that is neither accepted nor rejected may be here."""
        ...
