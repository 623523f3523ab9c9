"""What normalising a message yields, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

from bal.core.message import Rejection
from bal.core.reading import Reading


@dataclass(frozen=True, slots=True)
class NormalisedPart:
    """Some consecutive outcomes of one message, leaves computed."""

    readings: Sequence[Reading]
    salts: Sequence[bytes]
    leaves: Sequence[bytes]
    rejections: Sequence[tuple[int, Rejection]]
    """(ordinal of the outcome in the message, rejection)."""
    duplicates: int
    outcomes: int
    """How many outcomes of the message are dealt with once this part is, counted from its beginning."""
