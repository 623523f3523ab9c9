"""What the Shared Customer Database and the quarantine hold and are asked for, in the domain's words."""

from typing import Any, Final, NamedTuple

from bal.core.address import Address
from bal.core.commitment import Commitment
from bal.core.entry import Erasure
from bal.core.instant import instant_text
from bal.core.reading import Reading
from chaincode.anchor import Anchor

WHOLE: Final = -1
"""The ordinal of a message that is refused as a whole."""


class BatchPlace(NamedTuple):
    """Where a batch stands."""

    log: str
    seq: int


class ClosedLog(NamedTuple):
    """A log that nothing is appended to any more because the contract refused one of its batches for good."""

    lane: str
    log: str
    reason: str
    closed_at: int
    """Microseconds UTC."""


class Parked(NamedTuple):
    """A source that an output has refused: nothing of it is handed out there from the batch (log, seq) on."""

    output: str
    source: str
    log: str
    seq: int
    parked_at: int
    """Microseconds UTC."""


class BatchRecord(NamedTuple):
    """What the SCD keeps of a batch besides its rows."""

    anchor: Anchor
    tile_roots: tuple[bytes, ...]
    sealed_at: int
    commitment: Commitment | None
    """Present once the batch is marked anchored."""
    published: bool
    moved_to: BatchPlace | None = None
    """Where its entries stand since its log was closed. The record stays as evidence: no rows, no anchor belong to it."""


class Tile(NamedTuple):
    """Up to 256 consecutive leaves of a batch."""

    first: int
    leaves: tuple[bytes, ...]


class ReadingQuery(NamedTuple):
    """Which readings; `None` is any. Times are microseconds UTC, `start` included, `end` not."""

    source: str
    point: str | None = None
    quantity: str | None = None
    start: int | None = None
    end: int | None = None
    history: bool = False
    """True: every revision and repetition, oldest first; False: what is in force, once."""
    anchored_only: bool = False
    limit: int | None = None
    after: tuple[Any, ...] | None = None
    """Where the page before ended (`StoredReading.position`)."""


class StoredReading(NamedTuple):
    """A reading as a query shows it: its first address among equal ones, and what is needed to go on from there."""

    address: Address
    reading: Reading
    anchored: bool
    position: tuple[Any, ...]


class ErasureNote(NamedTuple):
    """The SCD's note that a row was erased, and the address of the anchored entry that says so."""

    target: Address
    noted_at: Address
    entry: Erasure
    salt: bytes


class Quarantined(NamedTuple):
    """One thing in quarantine. `fragment` is there only when asked for."""

    id: int
    source: str
    digest: bytes
    ordinal: int
    """Which outcome of the message; `WHOLE` for the message as a whole."""
    reason: str
    where: str
    code: str
    quarantined_at: int
    fragment: bytes | None = None

    def to_json(self) -> dict[str, object]:
        """Return why it was refused: reason, place and digest (hex), never bytes."""
        return {
            "id": self.id,
            "source": self.source,
            "kind": "message" if self.ordinal == WHOLE else "reading",
            "digest": self.digest.hex(),
            "reason": self.reason,
            "where": self.where,
            "code": self.code,
            "at": instant_text(self.quarantined_at),
        }


class Report(NamedTuple):
    """One thing in quarantine as an output tells the operator of it."""

    refused: Quarantined
    number: int
    """Which refusal of its message it is, from 1."""

    def to_json(self) -> dict[str, object]:
        """Return version 1 of a report: what is listed of a refusal anywhere, and its number."""
        return {"version": 1, **self.refused.to_json(), "number": self.number}
