"""Recompute what was sent and hold it against what came out."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bal.core.instant import parse_instant
from bal.core.pseudonym import PseudonymKey
from bal.simulate.plan import ExpectedReading, Plan
from bal.simulate.receipts import read_receipts


class Shown(NamedTuple):
    """A reading as far as it is compared. Without the pseudonym key `point` is empty on both sides."""

    source: str
    point: str
    component: str
    reading_type: str
    timestamp: int
    """Microseconds UTC."""
    value: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender knows: messages that must have come out, and messages that may have."""

    plan: Plan
    certain: Collection[int]
    """Numbers of the messages with a receipt that says accepted."""
    possible: Collection[int] = ()
    """Numbers of further messages that were sent, or may have been, without the sender knowing what became of them."""


@dataclass(slots=True)
class Comparison:
    """What differs between what was sent and what came out."""

    matched: int = 0
    missing: "Counter[Shown]" = field(default_factory=Counter)
    """Readings that must be there and are not."""
    unexpected: "Counter[Shown]" = field(default_factory=Counter)
    """Readings that nobody sent, that have another value, or that are shown more often than sent."""

    @property
    def ok(self) -> bool:
        """True when everything certain is there, once, and nothing that was not sent."""
        return not self.missing and not self.unexpected


def sent_by_record(path: Path, *, messages: int | None = None) -> Sent:
    """Return what the record of a sender says; `messages` is how many it may have sent in all, receipts or not."""
    plan, lines = read_receipts(path)
    accepted = frozenset(line.number for line in lines if line.accepted)
    refused = frozenset(line.number for line in lines if not line.accepted)
    possible = range(messages or 0)
    return Sent(plan, accepted, frozenset(possible) - accepted - refused)


def rows(lines: Iterable[str | bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of JSON Lines: those `bal readings --json` prints, or the certificates of an output file."""
    for line in lines:
        if line.strip():
            row = json.loads(line)
            yield row.get("entry", row)


def compare(
    sent: Sequence[Sent], entries: Iterable[Mapping[str, Any]], key: PseudonymKey | None = None
) -> Comparison:
    """Hold `entries` (in force, not history) of the sources of `sent` against what was sent.

    Compared are source, component, reading type, time and canonical value, as multisets; with the pseudonym key of the
    BAL also the measuring point.
    """
    must: Counter[Shown] = Counter()
    may: Counter[Shown] = Counter()
    for one in sent:
        certain = set(one.certain)
        must.update(_expected(one.plan, certain, key))
        may.update(_expected(one.plan, set(one.possible) - certain, key))
    sources = {one.plan.source for one in sent}
    found = Counter(
        _shown(entry, with_point=key is not None)
        for entry in entries
        if entry.get("type", "reading") == "reading" and entry["source"] in sources
    )
    missing = must - found
    return Comparison(must.total() - missing.total(), missing, found - must - may)


def _expected(plan: Plan, numbers: Iterable[int], key: PseudonymKey | None) -> Iterator[Shown]:
    points: dict[tuple[str, str], str] = {}
    for number in sorted(numbers):
        for one in plan.expected(number):
            yield Shown(plan.source, _point(plan, one, key, points), *one[2:])


def _point(
    plan: Plan, one: ExpectedReading, key: PseudonymKey | None, points: dict[tuple[str, str], str]
) -> str:
    if key is None:
        return ""
    if one[:2] not in points:
        points[one[:2]] = key.pseudonym(plan.source, one.kind, one.identifier)
    return points[one[:2]]


def _shown(entry: Mapping[str, Any], *, with_point: bool) -> Shown:
    return Shown(
        entry["source"],
        entry["point"] if with_point else "",
        entry["component"],
        entry["reading_type"],
        parse_instant(entry["timestamp"]),
        entry["value"],
    )
