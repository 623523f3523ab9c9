"""Messages: what a source sent, as it was sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, NamedTuple

from bal.core.address import AddressRange
from bal.core.reading import Reading

Form = Literal["cim", "pmu"]


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes of one source: an IEC 61968-9 document (`cim`) or a PMU message (`pmu`).

    `body` is the bytes, or for a large document a function that opens it anew from its beginning. `digest` is the
    SHA-256 of all bytes as sent (after unpacking). Neither stands in the representation of a message.
    """

    source: str
    form: Form
    body: bytes | Callable[[], BinaryIO] = field(repr=False)
    digest: bytes
    device: str = field(default="", repr=False)
    """The device named in a PMU topic; empty elsewhere."""
    refusal: str = ""
    """Why the door it came in by does not take it, for its sender; empty where it does."""

    @property
    def size(self) -> int | None:
        """Bytes of the body where it is held in memory."""
        return len(self.body) if isinstance(self.body, bytes) else None


class Rejection(NamedTuple):
    """One reading, or one message as a whole, that was not accepted.

    `reason` and `where` are told to the sender and hold no identifier and no value: `where` is a path of element names
    and positions (`MeterReading[2]/Readings[7]/value`, `readings[3].data`) or a line number. `fragment` is what goes to
    quarantine, encrypted.
    """

    reason: str
    where: str
    fragment: bytes
    code: str = "invalid"
    """A short stable word for metrics: `value`, `timestamp`, `reading-type`, `rule`, `erased`, …"""

    def __repr__(self) -> str:
        return f"Rejection(reason={self.reason!r}, where={self.where!r}, code={self.code!r})"


class Duplicate(NamedTuple):
    """A reading equal to the one before it of the same natural key in the same message: counted, no leaf."""


Outcome = Reading | Rejection | Duplicate
"""What normalising yields for each reading of a message in document order: a Reading, a Rejection or a Duplicate."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message. Once `complete`, the same bytes are answered from it and make no leaf."""

    source: str
    digest: bytes
    accepted: int
    rejected: int
    duplicates: int
    outcomes: int
    """Outcomes of the document dealt with so far, in document order: accepted, rejected or duplicate."""
    ranges: tuple[AddressRange, ...]
    rejections: tuple[tuple[str, str], ...]
    """(reason, where) of the first `REJECTIONS_LISTED` rejections."""
    received_at: int
    complete: bool
    ahead: int = 0
    """Readings after those outcomes that have an address already; their rejections are not counted yet."""
    known: bool = False
    """True when this answers a message that had been accepted before."""

    def to_json(self) -> dict[str, object]:
        """Return the receipt as sent to the source: digest in hex, counts, address ranges, rejections."""
        return {
            "source": self.source,
            "digest": self.digest.hex(),
            "accepted": 0 if self.known else self.accepted,
            "rejected": self.rejected,
            "duplicates": self.duplicates + (self.accepted if self.known else 0),
            "ranges": [str(part) for part in self.ranges],
            "rejections": [{"reason": reason, "where": where} for reason, where in self.rejections],
        }
