"""Reading types: what a value measures, decoded from the 18 attributes of a CIM `ReadingType` or a PMU measurand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from bal.core import cim_codes
from bal.core.errors import Malformed
from bal.core.units import unit_symbol

_CODE = re.compile(r"(?:[0-9]{1,7}\.){15,16}-?[0-9]{1,2}\.[0-9]{1,7}\.[0-9]{1,7}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,7}", re.ASCII)

NINETEEN_NUMBERS: Final = "bal.type-19"
"""Flag of a code with 19 numbers: its last four were read from the end."""
UNKNOWN: Final = "bal.type-"
"""Beginning of the flag that names an attribute outside the standard's tables (`bal.type-measurementKind`)."""


class Attributes(NamedTuple):
    """The 18 attributes of IEC 61968-9 `ReadingType`, numbers as in annex C, in the order of the code."""

    macro_period: int
    aggregate: int
    measuring_period: int
    accumulation: int
    flow_direction: int
    commodity: int
    measurement_kind: int
    interharmonic_numerator: int
    interharmonic_denominator: int
    argument_numerator: int
    argument_denominator: int
    tou: int
    cpp: int
    consumption_tier: int
    phases: int
    multiplier: int
    unit: int
    currency: int


ATTRIBUTE_NAMES: Final = (
    "macroPeriod",
    "aggregate",
    "measuringPeriod",
    "accumulation",
    "flowDirection",
    "commodity",
    "measurementKind",
    "interharmonicNumerator",
    "interharmonicDenominator",
    "argumentNumerator",
    "argumentDenominator",
    "tou",
    "cpp",
    "consumptionTier",
    "phases",
    "multiplier",
    "unit",
    "currency",
)
"""The standard's names, in the order of the code."""

_TABLES: Final[dict[str, Mapping[int, str]]] = {
    "macroPeriod": cim_codes.MACRO_PERIODS,
    "aggregate": cim_codes.AGGREGATES,
    "measuringPeriod": cim_codes.MEASURING_PERIODS,
    "accumulation": cim_codes.ACCUMULATIONS,
    "flowDirection": cim_codes.FLOW_DIRECTIONS,
    "commodity": cim_codes.COMMODITIES,
    "measurementKind": cim_codes.MEASUREMENT_KINDS,
    "phases": cim_codes.PHASES,
    "multiplier": cim_codes.MULTIPLIERS,
    "currency": cim_codes.CURRENCIES,
}

_ELECTRIC: Final = {
    "Wh": "activeEnergy",
    "varh": "reactiveEnergy",
    "VAh": "apparentEnergy",
    "W": "activePower",
    "var": "reactivePower",
    "VA": "apparentPower",
    "V": "voltageMagnitude",
    "A": "currentMagnitude",
    "Hz": "frequency",
    "Hz/s": "rocof",
    "K": "temperature",
    "degC": "temperature",
    "degF": "temperature",
    "Pa": "pressure",
    "Pa(a)": "pressure",
    "Pa(g)": "pressure",
    "psi(a)": "pressure",
    "psi(g)": "pressure",
    "bar": "pressure",
    "mmHg": "pressure",
    "J": "energy",
    "count": "count",
}
"""What is measured when the measurement kind leaves it to the unit."""
_KINDS: Final = {"voltage": "voltageMagnitude", "current": "currentMagnitude"}
"""Kinds whose name here differs from the table's."""
_FLUIDS: Final = {
    "naturalGas": "gas",
    "propane": "gas",
    "potableWater": "water",
    "nonpotableWater": "water",
    "wasteWater": "wasteWater",
    "steam": "steam",
    "heatingFluid": "heat",
    "coolingFluid": "cooling",
    "air": "air",
}
_VOLUMES: Final = frozenset({"m3", "l", "ft3", "USgal", "impgal"})
_BY_UNIT: Final = frozenset({"energy", "power", "demand", "none"})


@dataclass(frozen=True, slots=True)
class ReadingType:
    """A decoded reading type."""

    code: str
    """The code as the reading keeps it: its numbers as sent, or the PMU measurand."""
    quantity: str
    """Readable name of what is measured. The direction of flow stands in the code, not here: imported and exported
    energy are both `activeEnergy`, and the reading type, part of the natural key, keeps them apart."""
    phase: str
    """`A`, `AB`, `ABC`, `AN`…, `none`; `cim-n` for a number outside the table."""
    unit: str
    """Symbol of the unit once the multiplier is applied; `cim-n` for a number outside the table."""
    multiplier: int
    """Power of ten."""
    interval: int
    """Seconds one value covers as far as the type says; 0 for none."""
    flags: tuple[str, ...]
    """Quality codes that every reading of this type carries, sorted."""
    attributes: Attributes | None = None
    """None for PMU measurands."""

    def names(self) -> dict[str, str]:
        """Return the 18 attributes under the standard's names, values as the tables' names where they have one."""
        if self.attributes is None:
            return {}
        return {
            name: unit_symbol(number) or str(number)
            if name == "unit"
            else _TABLES.get(name, {}).get(number, str(number))
            for name, number in zip(ATTRIBUTE_NAMES, self.attributes, strict=True)
        }


@lru_cache(maxsize=4096)
def decode(code: str) -> ReadingType:
    """Return the reading type of a CIM code: 18 numbers joined by dots, or 19 as field meters send them.

    Of 19 numbers the last four are phases, multiplier, unit and currency. Numbers outside the tables are flagged. Only
    the multiplier may be negative. Raises `Malformed` for anything else.
    """
    if not _CODE.fullmatch(code):
        message = "the reading type is not a CIM code"
        raise Malformed(message, remedy="send 18 numbers joined by dots (IEC 61968-9 annex C)")
    numbers = [int(number) for number in code.split(".")]
    flags = set()
    if len(numbers) == 19:
        flags.add(NINETEEN_NUMBERS)
    attributes = Attributes(*numbers[:14], *numbers[-4:])
    flags.update(_unknown(attributes))
    unit = unit_symbol(attributes.unit) or f"cim-{attributes.unit}"
    interval = cim_codes.MEASURING_PERIOD_SECONDS.get(attributes.measuring_period)
    if interval is None:
        interval = cim_codes.MACRO_PERIOD_SECONDS.get(attributes.macro_period, 0)
    return ReadingType(
        code=".".join(map(str, numbers)),
        quantity=_quantity(attributes, unit),
        phase=cim_codes.PHASES.get(attributes.phases) or f"cim-{attributes.phases}",
        unit=unit,
        multiplier=attributes.multiplier,
        interval=interval,
        flags=tuple(sorted(flags)),
        attributes=attributes,
    )


def _unknown(attributes: Attributes) -> list[str]:
    numbers = dict(zip(ATTRIBUTE_NAMES, attributes, strict=True))
    unknown = [name for name, table in _TABLES.items() if numbers[name] not in table]
    if unit_symbol(attributes.unit) is None:
        unknown.append("unit")
    if attributes.interharmonic_numerator and not attributes.interharmonic_denominator:
        unknown.append("interharmonic")
    if attributes.argument_numerator and not attributes.argument_denominator:
        unknown.append("argument")
    return [UNKNOWN + name for name in unknown]


def _quantity(attributes: Attributes, unit: str) -> str:
    kind = cim_codes.MEASUREMENT_KINDS.get(attributes.measurement_kind)
    fluid = _FLUIDS.get(cim_codes.COMMODITIES.get(attributes.commodity, ""), "")
    if kind == "volume" or (kind in {None, "none"} and _is_volume(unit)):
        return f"{fluid}Volume" if fluid else "volume"
    if kind == "volumetricFlow":
        return f"{fluid}Flow" if fluid else "volumetricFlow"
    if kind == "energy" and fluid:
        return f"{fluid}Energy"
    if kind is None or kind in _BY_UNIT:
        return _by_unit(kind, unit, attributes.measurement_kind)
    return _KINDS.get(kind, kind)


def _is_volume(unit: str) -> bool:
    return unit.removesuffix("compensated").removesuffix("un") in _VOLUMES


def _by_unit(kind: str | None, unit: str, number: int) -> str:
    quantity = _ELECTRIC.get(unit)
    if kind == "demand":
        return quantity.replace("Power", "Demand") if quantity and quantity.endswith("Power") else "demand"
    if quantity is not None:
        return quantity
    if kind == "none" and unit == "1":
        return "ratio"
    return f"cim-{number}" if kind is None or kind == "none" else kind


_MEASURANDS: Final = {
    "voltmagnitude": ("voltageMagnitude", "V"),
    "voltangle": ("voltageAngle", "rad"),
    "currmagnitude": ("currentMagnitude", "A"),
    "currangle": ("currentAngle", "rad"),
    "activepower": ("activePower", "W"),
    "reactivepower": ("reactivePower", "var"),
    "apparentpower": ("apparentPower", "VA"),
    "powerfactor": ("powerFactor", "1"),
    "frequency": ("frequency", "Hz"),
    "rocof": ("rocof", "Hz/s"),
}
PMU_PHASES: Final = frozenset({"A", "B", "C", "ABC", "N", "none"})


@lru_cache(maxsize=256)
def measurand(name: str, phase: str) -> ReadingType:
    """Return the reading type of a PMU measurand on a phase.

    Values come in SI units, angles in radians, as the state estimators that read this format send them. Raises
    `Malformed` for a measurand or phase the format does not have.
    """
    known = _MEASURANDS.get(name)
    if known is None:
        message = "the measurand is not known"
        raise Malformed(message, remedy="send one of " + ", ".join(_MEASURANDS))
    if phase not in PMU_PHASES:
        message = "the phase is not known"
        raise Malformed(message, remedy="send A, B, C, ABC, N or none")
    return ReadingType(name, known[0], phase, known[1], 0, 0, ())


_WORDS: Final = {
    name: {word.lower(): number for number, word in table.items()} for name, table in _TABLES.items()
}


def encode(texts: Mapping[str, str]) -> str:
    """Return the 18-number code of attributes given one by one, as numbers or as the tables' names.

    `texts` holds them under `ATTRIBUTE_NAMES`; what is missing is 0. Raises `Malformed` for a word no table has.
    """
    numbers = []
    for name in ATTRIBUTE_NAMES:
        text = texts.get(name, "0").strip()
        if _NUMBER.fullmatch(text):
            numbers.append(int(text))
            continue
        words = _UNIT_WORDS if name == "unit" else _WORDS.get(name, {})
        number = words.get(text.lower())
        if number is None:
            message = f"the attribute {name} of the reading type is not in the standard's table"
            raise Malformed(message, remedy="send the number of IEC 61968-9 annex C")
        numbers.append(number)
    return ".".join(map(str, numbers))


def _unit_words() -> dict[str, int]:
    words: dict[str, int] = {"none": 0}
    for number in range(1, 400):
        symbol = unit_symbol(number)
        if symbol is not None:
            words.setdefault(symbol.lower(), number)
    return words


_UNIT_WORDS: Final = _unit_words()
