"""Quality: the codes a reading carries, and the rules of a source that flag or refuse its readings.

A quality code is `[A-Za-z0-9._-]{1,32}`. Codes of IEC 61968-9 annex D stay as sent in `ReadingQualityType@ref` (`1.4.6`:
system, category, index). Codes that begin with `bal.` are given by the BAL, never taken from a document:

| code | meaning |
| --- | --- |
| `bal.type-19` | the reading type had 19 numbers; its last four were read from the end |
| `bal.type-{attribute}` | that attribute of the reading type is outside the standard's tables |
| `bal.period` | time stamp, time period and reading type do not agree on the interval |
| `bal.pending` | the document names a calculation still to be applied to the value: the value is as sent |
| `bal.quality` | the document gave a quality that is no code, or one that claims to be ours |
| `bal.rule-range` | the value lies outside the source's range for its quantity |
| `bal.rule-type` | the source is not expected to send this reading type |
| `bal.rule-future` | the time lies ahead of the BAL's clock |
| `bal.rule-age` | the reading came later than the source's rules expect |
| `bal.rule-grid` | the time does not lie on the source's interval grid |
"""

import hashlib
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

import rfc8785
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bal.core.errors import Malformed
from bal.core.instant import MICROSECONDS
from bal.core.reading import Reading
from bal.core.value import canonical_value

_CODE = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)

PERIOD: Final = "bal.period"
PENDING: Final = "bal.pending"
UNREADABLE_QUALITY: Final = "bal.quality"
RULE_RANGE: Final = "bal.rule-range"
RULE_TYPE: Final = "bal.rule-type"
RULE_FUTURE: Final = "bal.rule-future"
RULE_AGE: Final = "bal.rule-age"
RULE_GRID: Final = "bal.rule-grid"

Action = Literal["flag", "quarantine"]
"""What happens to a reading that breaks a rule: accepted with a quality code, or refused."""


def is_quality_code(text: str) -> bool:
    """Tell whether `text` is a quality code."""
    return _CODE.fullmatch(text) is not None


def join_codes(codes: Iterable[str]) -> str:
    """Return quality codes as a reading holds them: sorted, without repeats, joined by one space."""
    return " ".join(sorted(set(codes)))


class RuleBroken(Malformed):
    """A reading broke a rule of its source that quarantines."""

    slug = "rule-broken"


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueRange(_Rule):
    """Values of `quantity` lie from `minimum` to `maximum`, both included, in the reading's unit; None is no bound."""

    quantity: str
    minimum: str | None = None
    maximum: str | None = None
    action: Action = "flag"

    @field_validator("minimum", "maximum")
    @classmethod
    def _decimal(cls, text: str | None) -> str | None:
        try:
            return None if text is None else canonical_value(text)
        except Malformed as error:
            raise ValueError(error.what) from None

    @model_validator(mode="after")
    def _order(self) -> "ValueRange":
        if (
            self.minimum is not None
            and self.maximum is not None
            and Decimal(self.minimum) > Decimal(self.maximum)
        ):
            raise ValueError("the minimum is above the maximum")
        return self


class AllowedTypes(_Rule):
    """Readings have one of these reading types: CIM codes, PMU measurands or quantities."""

    types: tuple[str, ...] = Field(min_length=1)
    action: Action = "quarantine"


class ClockSkew(_Rule):
    """How far a reading's time may be from the BAL's clock, in seconds."""

    future: int = Field(default=300, ge=0)
    """Ahead of the clock by more than this: `future_action`."""
    future_action: Action = "flag"
    future_limit: int | None = Field(default=86_400, ge=0)
    """Ahead by more than this is a wrong date, always quarantined; None is no limit."""
    age: int | None = Field(default=None, ge=0)
    """Behind the clock by more than this: `age_action`; None is any age."""
    age_action: Action = "flag"


class IntervalGrid(_Rule):
    """Times lie on whole multiples of `seconds` since 1970-01-01T00:00:00Z; `quantities` empty means all."""

    seconds: int = Field(ge=1, le=86_400)
    quantities: tuple[str, ...] = ()
    action: Action = "flag"


class QualityRules(_Rule):
    """The rules of one source. Their digest stands in every anchor of its readings."""

    ranges: tuple[ValueRange, ...] = ()
    allowed: AllowedTypes | None = None
    clock: ClockSkew = ClockSkew()
    grid: IntervalGrid | None = None

    def digest(self) -> str:
        """Return the hex SHA-256 of the RFC 8785 form of the rules: what an anchor says was in force."""
        return hashlib.sha256(rfc8785.dumps(self.model_dump(mode="json"))).hexdigest()

    @cached_property
    def only_clock(self) -> bool:
        """Whether the clock is all there is to check."""
        return not self.ranges and self.allowed is None and self.grid is None

    def trouble_free(self, received_at: int) -> tuple[int, int]:
        """Return the earliest and latest timestamp (microseconds) the clock rule has nothing to say about."""
        clock = self.clock
        latest = received_at + clock.future * MICROSECONDS
        if clock.future_limit is not None:
            latest = min(latest, received_at + clock.future_limit * MICROSECONDS)
        return (received_at - clock.age * MICROSECONDS if clock.age is not None else -(1 << 63)), latest

    def check(self, reading: Reading) -> tuple[str, ...]:
        """Return the quality codes of the rules `reading` breaks; raise `RuleBroken` where one of them quarantines."""
        flags = []
        for code, action, reason in self._broken(reading):
            if action == "quarantine":
                raise RuleBroken(
                    reason, remedy="correct the reading, or ask the operator about the source's rules"
                )
            flags.append(code)
        return tuple(flags)

    def _broken(self, reading: Reading) -> Iterable[tuple[str, Action, str]]:
        clock, ahead = self.clock, reading.timestamp - reading.received_at
        if clock.future_limit is not None and ahead > clock.future_limit * MICROSECONDS:
            yield RULE_FUTURE, "quarantine", "the time lies too far in the future"
        elif ahead > clock.future * MICROSECONDS:
            yield RULE_FUTURE, clock.future_action, "the time lies in the future"
        if clock.age is not None and -ahead > clock.age * MICROSECONDS:
            yield RULE_AGE, clock.age_action, "the reading is older than the source's rules allow"
        if self.allowed is not None and not {reading.reading_type, reading.quantity} & set(
            self.allowed.types
        ):
            yield RULE_TYPE, self.allowed.action, "the source's rules do not allow this reading type"
        for bound in self.ranges:
            if bound.quantity == reading.quantity and not _within(bound, Decimal(reading.value)):
                yield RULE_RANGE, bound.action, "the value lies outside the range of the source's rules"
        grid = self.grid
        if (
            grid is not None
            and (not grid.quantities or reading.quantity in grid.quantities)
            and reading.timestamp % (grid.seconds * MICROSECONDS)
        ):
            yield RULE_GRID, grid.action, "the time does not lie on the interval grid of the source's rules"


def _within(bound: ValueRange, value: Decimal) -> bool:
    return (bound.minimum is None or value >= Decimal(bound.minimum)) and (
        bound.maximum is None or value <= Decimal(bound.maximum)
    )
