"""Plans: what a simulated sender sends, message by message, so that anyone who has the plan can say it again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Literal, NamedTuple

from bal.core.errors import Malformed
from bal.core.instant import MICROSECONDS, instant_text
from bal.core.limits import EPOCH_MAX
from bal.core.message import Form
from bal.core.names import check_name
from bal.core.pseudonym import IdentifierKind
from bal.simulate import pmu
from bal.simulate.document import document
from bal.simulate.meter import meter, readings
from bal.simulate.profile import QUARTER_HOUR

METERS_MAX: Final = 100_000
"""A large city's district; one quarter hour of them is some 500,000 readings."""
DEVICES_MAX: Final = 1_000
RATE_MAX: Final = 50
"""Frames a second: the highest reporting rate of IEC/IEEE 60255-118-1 that everyone at 50 Hz supports."""
QUARTERS_MAX: Final = 96 * 31
_EARLIEST: Final = 1_000_000_000
"""Unix time of a day in 2001: profiles are counted from 2000 on."""


class Outgoing(NamedTuple):
    """One message on its way."""

    number: int
    form: Form
    device: str
    """The device of a PMU topic; empty for documents."""
    payload: bytes

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 of the payload: what its receipt names it by."""
        return hashlib.sha256(self.payload).hexdigest()


class ExpectedReading(NamedTuple):
    """One reading as it must come out, the identifier still plain."""

    kind: IdentifierKind
    identifier: str
    component: str
    reading_type: str
    timestamp: int
    """Microseconds UTC."""
    value: str


def _check(name: str, number: int, low: int, high: int) -> None:
    if not low <= number <= high:
        message = f"{name} is out of range"
        raise Malformed(message, subject="simulate", remedy=f"use {low} to {high}")


@dataclass(frozen=True, slots=True)
class DsoPlan:
    """A DSO's data server: every quarter hour documents with everything its meters report."""

    kind: ClassVar[Literal["dso"]] = "dso"
    source: str
    seed: int
    meters: int
    start: int
    """Beginning of the first quarter hour, Unix time in seconds."""
    meters_per_document: int = 1_000
    quarters_per_document: int = 1

    def __post_init__(self) -> None:
        check_name(self.source, "source")
        _check("the number of meters", self.meters, 1, METERS_MAX)
        _check("the number of meters in a document", self.meters_per_document, 1, METERS_MAX)
        _check("the number of quarter hours in a document", self.quarters_per_document, 1, QUARTERS_MAX)
        _check("the start", self.start, _EARLIEST, EPOCH_MAX // MICROSECONDS)
        if self.start % QUARTER_HOUR:
            message = "the start is no full quarter hour"
            raise Malformed(message, subject="simulate", remedy="use a time at :00, :15, :30 or :45")

    @property
    def per_round(self) -> int:
        """Messages that belong to the same time."""
        return -(-self.meters // self.meters_per_document)

    @property
    def round_seconds(self) -> float:
        """Seconds from one round to the next in the field."""
        return float(QUARTER_HOUR * self.quarters_per_document)

    def scope(self, number: int) -> tuple[range, list[int]]:
        """Return the numbers of the meters in document `number` and the ends of its quarter hours (Unix time)."""
        turn, group = divmod(number, self.per_round)
        first = group * self.meters_per_document
        begin = self.start + turn * self.quarters_per_document * QUARTER_HOUR
        ends = [begin + (quarter + 1) * QUARTER_HOUR for quarter in range(self.quarters_per_document)]
        return range(first, min(first + self.meters_per_document, self.meters)), ends

    def message(self, number: int) -> Outgoing:
        """Return message `number` (from 0)."""
        numbers, ends = self.scope(number)
        payload = document(self.seed, self.source, number, [meter(self.seed, one) for one in numbers], ends)
        return Outgoing(number, "cim", "", payload)

    def expected(self, number: int) -> list[ExpectedReading]:
        """Return the readings of message `number` as they must come out."""
        numbers, ends = self.scope(number)
        found = []
        for who in (meter(self.seed, one) for one in numbers):
            kind, identifier = who.point
            for end in ends:
                found += [
                    ExpectedReading(kind, identifier, "", one.reading_type, end * MICROSECONDS, one.value)
                    for one in readings(self.seed, who, end)
                ]
        return found

    def describe(self, number: int) -> dict[str, object]:
        """Return what message `number` is about: first and last meter, ends of the quarter hours."""
        numbers, ends = self.scope(number)
        return {
            "meters": [numbers[0], numbers[-1]],
            "ends": [instant_text(end * MICROSECONDS) for end in ends],
        }

    def to_json(self) -> dict[str, object]:
        """Return the plan as a JSON object."""
        return _to_json(self)


@dataclass(frozen=True, slots=True)
class PmuPlan:
    """PMUs of one source, all sending a frame at the same times."""

    kind: ClassVar[Literal["pmu"]] = "pmu"
    source: str
    seed: int
    devices: int
    start: int
    """Time of the first frame, microseconds UTC."""
    rate: int = RATE_MAX
    """Frames a second and device."""

    def __post_init__(self) -> None:
        check_name(self.source, "source")
        _check("the number of devices", self.devices, 1, DEVICES_MAX)
        _check("the rate", self.rate, 1, RATE_MAX)
        _check("the start", self.start, _EARLIEST * MICROSECONDS, EPOCH_MAX)

    @property
    def per_round(self) -> int:
        """Messages that belong to the same time."""
        return self.devices

    @property
    def round_seconds(self) -> float:
        """Seconds from one round to the next in the field."""
        return 1 / self.rate

    def scope(self, number: int) -> tuple[int, int]:
        """Return device and time (microseconds) of message `number`."""
        turn, device = divmod(number, self.devices)
        return device, self.start + turn * MICROSECONDS // self.rate

    def message(self, number: int) -> Outgoing:
        """Return message `number` (from 0)."""
        device, time = self.scope(number)
        return Outgoing(number, "pmu", pmu.device_name(device), pmu.message(self.seed, device, time))

    def expected(self, number: int) -> list[ExpectedReading]:
        """Return the readings of message `number` as they must come out."""
        device, time = self.scope(number)
        name = pmu.device_name(device)
        return [
            ExpectedReading("device", name, one.component, one.measurand, time, one.value)
            for one in pmu.frame(self.seed, device, time)
        ]

    def describe(self, number: int) -> dict[str, object]:
        """Return what message `number` is about: device and time."""
        device, time = self.scope(number)
        return {"device": pmu.device_name(device), "timestamp": instant_text(time)}

    def to_json(self) -> dict[str, object]:
        """Return the plan as a JSON object."""
        return _to_json(self)


Plan = DsoPlan | PmuPlan


def latest_begin(now: float, rounds: int, round_seconds: float, interval: float) -> float:
    """Return when a simulation begins in its own time so that no message is ahead of the clock when it is sent.

    `rounds` of `round_seconds` each are sent `interval` seconds apart, the first one at `now`; the last one sent is up to date.
    At real speed the first round ends at `now`; faster ones begin in the past and catch up.
    """
    behind = max(rounds - 1, 0) * max(round_seconds - interval, 0)
    return now - round_seconds - behind


def _to_json(plan: Plan) -> dict[str, object]:
    own = {one.name: getattr(plan, one.name) for one in fields(plan)}
    return {"kind": plan.kind, **own}


def plan_from_json(members: Mapping[str, Any]) -> Plan:
    """Return the plan of a JSON object that `to_json` made; `Malformed` for anything else."""
    kinds: dict[object, type[DsoPlan | PmuPlan]] = {"dso": DsoPlan, "pmu": PmuPlan}
    own = {name: value for name, value in members.items() if name != "kind"}
    try:
        return kinds[members["kind"]](**own)
    except (KeyError, TypeError) as error:
        message = "this is no plan of a simulation"
        raise Malformed(message, subject="simulate", remedy="use the file a simulation wrote") from error
