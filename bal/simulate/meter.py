"""Meters: who they are and what they show at the end of a quarter hour, as a function of seed, number and time."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from bal.core.pseudonym import IdentifierKind
from bal.simulate.profile import QUARTER_HOUR, YEAR_SHARE, LoadProfile, Profile, accumulated
from bal.simulate.seeded import between, draw, normal, wander

# IEC 61968-9 Annex C, 18 attributes: macro period, aggregate, measuring period, accumulation, flow direction, commodity,
# kind, harmonic (2), argument (2), time of use, critical peak, tier, phases, multiplier, unit, currency.
IMPORT_ENERGY: Final = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
"""Fifteen-minute delta of forward active energy, Wh."""
EXPORT_ENERGY: Final = "0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0"
"""Fifteen-minute delta of reverse active energy, Wh."""
IMPORT_REGISTER: Final = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
"""Bulk quantity (register) of forward active energy, kWh."""
EXPORT_REGISTER: Final = "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0"
"""Bulk quantity (register) of reverse active energy, kWh."""
VOLTAGE: Final = {
    "A": "0.2.2.6.0.1.54.0.0.0.0.0.0.0.129.0.29.0",
    "B": "0.2.2.6.0.1.54.0.0.0.0.0.0.0.65.0.29.0",
    "C": "0.2.2.6.0.1.54.0.0.0.0.0.0.0.33.0.29.0",
}
"""Fifteen-minute average of the voltage of a phase to neutral, V."""

ESTIMATED: Final = "3.8.0"
"""Reading quality: estimated (8.0) by the meter data management system (3)."""

_SHAPE: Final[dict[LoadProfile, tuple[int, float]]] = {
    "H25": (3_000, 0.45),
    "G25": (12_000, 0.9),
    "L25": (20_000, 0.6),
    "P25": (3_400, 0.4),
    "S25": (3_200, 0.4),
}
"""Median annual consumption in kWh and spread (standard deviation of its logarithm)."""
_FEED_IN: Final = (6_500, 0.35)
_SMALLEST, _LARGEST = 200, 1_000_000


class MeterReading(NamedTuple):
    """One reading of a meter."""

    reading_type: str
    end: int
    """End of the interval, or the instant, Unix time in seconds."""
    text: str
    """The number as a document states it, in the unit and multiplier of its reading type."""
    value: str
    """The canonical value: multiplier applied."""
    quality: str
    """A CIM reading quality code, or empty."""
    interval: bool
    """True where it belongs to an interval block."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter of a data server's fleet."""

    number: int
    serial: str
    """As on its plate (DIN 43863-5): medium, maker, block, eight digits."""
    usage_point: str
    """Identifier of the metering location (33 characters, VDE-AR-N 4400), empty for meters known by serial only."""
    profile: LoadProfile
    consumption: int
    """Wh a year."""
    feed_in: int
    """Wh a year; 0 for meters without an export register."""
    three_phase: bool

    @property
    def point(self) -> tuple[IdentifierKind, str]:
        """Kind and identifier of the measuring point: the usage point where there is one, else the meter."""
        return ("usage-point", self.usage_point) if self.usage_point else ("meter", self.serial)


@lru_cache(maxsize=1 << 17)
def meter(seed: int, number: int) -> Meter:
    """Return meter `number` (from 0) of the fleet of `seed`."""
    profile = _profile(number)
    prosumer = profile in {"P25", "S25"}
    # The number is part of both identifiers: no two meters of a fleet share one.
    operator, place = between(0, 999_999, seed, "operator"), between(1_000, 99_999, seed, "place", number)
    usage_point = f"DE{operator:06d}{place:05d}{draw(seed, 'location', number) % 10**12:012d}{number:08d}"
    return Meter(
        number=number,
        serial=f"1EMH{between(0, 255, seed, 'block'):02X}{number:08d}",
        usage_point=usage_point if number % 2 == 0 else "",
        profile=profile,
        consumption=_annual(*_SHAPE[profile], seed, "consumption", number),
        feed_in=_annual(*_FEED_IN, seed, "feed-in", number) if prosumer else 0,
        three_phase=number % 3 == 0,
    )


def _profile(number: int) -> LoadProfile:
    if number % 7 == 3:
        return "P25"
    if number % 11 == 4:
        return "G25"
    if number % 29 == 5:
        return "S25"
    return "L25" if number % 41 == 9 else "H25"


def _annual(median: int, spread: float, seed: int, label: str, number: int) -> int:
    kilowatt_hours = round(median * math.exp(spread * normal(seed, label, number)))
    return min(max(kilowatt_hours, _SMALLEST), _LARGEST) * 1000


def register(seed: int, who: Meter, end: int, *, export: bool = False) -> int:
    """Return what the import (or export) register shows at `end` (Unix time, a full quarter hour), in whole Wh.

    The profile is read at a time moved by the habits of the customer (up to an hour) and anew in every quarter hour (up to 7
    minutes): readings scatter, a register never runs backwards, a year's sum stays the year's.
    """
    label = "export" if export else "import"
    profile: Profile = "PV" if export else who.profile
    annual = who.feed_in if export else who.consumption
    habit = 0 if export else between(-3600, 3600, seed, "habit", who.number)
    moved = end + habit + between(-420, 420, seed, "moved", label, who.number, end // QUARTER_HOUR)
    start = between(0, 50_000_000, seed, "register", label, who.number)
    return start + annual * accumulated(profile, moved) // YEAR_SHARE


def voltage(seed: int, who: Meter, end: int, phase: str) -> int:
    """Return the average voltage of the quarter hour before `end`, in tenths of a volt."""
    label = f"voltage {phase}"
    slow = wander(seed, label, who.number, end, 6 * 3600, 60)
    return 2_300 + slow + between(-15, 15, seed, label, who.number, end)


def readings(seed: int, who: Meter, end: int) -> list[MeterReading]:
    """Return everything `who` reports for the quarter hour that ends at `end`, in the order of its documents."""
    intervals, others = [], []
    for export in (False, True) if who.feed_in else (False,):
        shown = register(seed, who, end, export=export)
        amount = str(shown - register(seed, who, end - QUARTER_HOUR, export=export))
        quality = "" if draw(seed, "estimated", who.number, export, end) % 50 else ESTIMATED
        kind = EXPORT_ENERGY if export else IMPORT_ENERGY
        intervals.append(MeterReading(kind, end, amount, amount, quality, interval=True))
        kind = EXPORT_REGISTER if export else IMPORT_REGISTER
        text = f"{shown // 1000}.{shown % 1000:03d}"
        others.append(MeterReading(kind, end, text, str(shown), "", interval=False))
    for phase in "ABC" if who.three_phase else "A":
        tenths = voltage(seed, who, end, phase)
        text = f"{tenths // 10}.{tenths % 10}"
        others.append(MeterReading(VOLTAGE[phase], end, text, text.removesuffix(".0"), "", interval=False))
    return intervals + others
