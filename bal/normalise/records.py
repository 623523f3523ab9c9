"""Records: what a document says, as texts, before anything is made of it."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class BlockType:
    """What an `IntervalBlocks` says of all its readings."""

    text: str = ""
    """Reference to their reading type."""
    pending: bool = False
    """A calculation is still to be applied to the values (`pending`, `Pending`, `PendingCalculation`)."""


class RawReading(NamedTuple):
    """One reading as its document has it: texts, None where a part is missing."""

    block: int
    """Number of its `IntervalBlocks`, 0 for one of the `Readings`."""
    number: int
    """Its number among the `Readings` or within its block, from 1."""
    value: str | None
    time: str | None
    type: "str | BlockType"
    """Reference to its reading type, or the block's, known once the block is read."""
    start: str | None
    end: str | None
    qualities: tuple[str, ...]
    fault: str
    """Name of a part that is given twice or holds elements; empty for none."""


@dataclass(slots=True)
class RawMeterReading:
    """One `MeterReading`, or a part of a long one."""

    group: int
    """Number of its `MeterReadings`, from 1."""
    number: int
    usage_point: str = ""
    meter: str = ""
    conflict: bool = False
    """It names two usage points, or two meters."""
    readings: list[RawReading] = field(default_factory=list)
    strange: bool = False
    """It holds elements the standard does not have."""
    misplaced: bool = False
    """Stands for an element that holds readings, in a place where none can be."""
    whole: bool = True


@dataclass(slots=True)
class Survey:
    """What a first pass found that stands behind its use."""

    definitions: dict[str, str] = field(default_factory=dict)
    """Code of the reading types the document defines, by mRID and name."""
    points: dict[tuple[int, int], tuple[str, str, bool]] = field(default_factory=dict)
    """(usage point, meter, conflict) of every split `MeterReading`, by group and number."""
    blocks: dict[tuple[int, int, int], BlockType] = field(default_factory=dict)
    """What is said of every block a split `MeterReading` was split within."""
