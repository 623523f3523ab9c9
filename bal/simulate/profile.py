"""Load profiles: how the energy of a year is spread over its quarter hours.

Consumption follows the BDEW standard load profiles of 2025 (households H25, trade G25, farms L25, households with
photovoltaics P25 and with a battery besides S25), as the library demandlib reads them. Feed-in follows the height of the sun
over Germany. Profiles run on Central European Time without summer time, as meters do.
"""

import importlib
import math
import warnings
from array import array
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

from bal.core.errors import Misconfigured

LoadProfile = Literal["H25", "G25", "L25", "P25", "S25"]
Profile = LoadProfile | Literal["PV"]

QUARTER_HOUR: Final = 900
"""Seconds."""
YEAR_SHARE: Final = 10**12
"""What the energy of one year is in the units of `accumulated`."""
FIRST_YEAR: Final = 2000
_CET: Final = 3600
_LATITUDE: Final = math.radians(51.0)
_FIXED_HOLIDAYS: Final = ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))
_EASTER_HOLIDAYS: Final = (-2, 1, 39, 50)
"""Days from Easter Sunday: Good Friday, Easter Monday, Ascension, Whit Monday."""


def accumulated(profile: Profile, seconds: int) -> int:
    """Return the energy since 2000, in shares (10^-12) of a year's energy, up to `seconds` (Unix time).

    Never decreases; grows by exactly `YEAR_SHARE` a year; straight lines within a quarter hour. Raises `Misconfigured`
    without demandlib.
    """
    year = datetime.fromtimestamp(seconds + _CET, UTC).year
    quarter, into = divmod(seconds + _CET - _year_start(year), QUARTER_HOUR)
    table = cumulative(profile, year)
    here = table[quarter]
    return (year - FIRST_YEAR) * YEAR_SHARE + here + (table[quarter + 1] - here) * into // QUARTER_HOUR


@lru_cache(maxsize=64)
def _year_start(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())


@lru_cache(maxsize=24)
def cumulative(profile: Profile, year: int) -> "array[int]":
    """Return the shares used up to each quarter hour of `year`: from 0 to `YEAR_SHARE`, one more than it has quarters.

    Kept for the years in use: 280 kB a profile and year. Raises `Misconfigured` without demandlib.
    """
    powers = _solar(year) if profile == "PV" else _bdew(profile, year)
    total = math.fsum(powers)
    table, running = array("q", [0]), 0.0
    for power in powers:
        running += power
        table.append(min(round(running / total * YEAR_SHARE), YEAR_SHARE))
    table[-1] = YEAR_SHARE
    return table


def _bdew(profile: LoadProfile, year: int) -> list[float]:
    bdew, pandas, easter = _libraries()
    sunday = easter.easter(year)
    holidays = [date(year, month, day) for month, day in _FIXED_HOLIDAYS]
    holidays += [sunday + timedelta(days=days) for days in _EASTER_HOLIDAYS]
    with warnings.catch_warnings():
        # demandlib uses calls that newer releases of pandas announce to drop.
        warnings.simplefilter("ignore")
        quarters = pandas.date_range(f"{year}-01-01", f"{year + 1}-01-01", inclusive="left", freq="15min")
        # ElecSlp (H0, G0, …) turns every warning into an error and fails on pandas 3.1; the profiles of 2025 replaced
        # those of 1999 in any case.
        series = getattr(bdew, profile)(quarters, holidays=holidays)
    return [float(power) for power in series]


def _libraries() -> tuple[Any, Any, Any]:
    try:
        return tuple(
            importlib.import_module(name) for name in ("demandlib.bdew", "pandas", "dateutil.easter")
        )  # type: ignore[return-value]
    except ImportError as error:
        message = "load profiles need the library demandlib"
        raise Misconfigured(message, subject="simulate", remedy="pip install 'bal[demo]'") from error


def _solar(year: int) -> list[float]:
    """Return the sine of the sun's height, 0 at night, at the middle of each quarter hour of `year`.

    Declination after Cooper (1969): 23.45 degrees times sin(2 pi (284 + day) / 365); noon at 12:20 CET.
    """
    days = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    heights = []
    for day in range(1, days + 1):
        declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day) / 365)
        for quarter in range(96):
            hour_angle = math.radians(15) * ((quarter + 0.5) / 4 - 12 - 1 / 3)
            height = math.sin(_LATITUDE) * math.sin(declination)
            height += math.cos(_LATITUDE) * math.cos(declination) * math.cos(hour_angle)
            heights.append(max(height, 0.0))
    return heights
