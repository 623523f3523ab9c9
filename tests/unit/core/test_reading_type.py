"""Reading types: the 18 attributes, their names, and what follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core import cim_codes
from bal.core.errors import Malformed
from bal.core.reading_type import ATTRIBUTE_NAMES, decode, encode, measurand


@pytest.mark.parametrize(
    "code, quantity, phase, unit, multiplier, interval, flags",
    [
        ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "activeEnergy", "none", "Wh", 3, 900, ()),
        ("0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.3.72.0", "activeEnergy", "none", "Wh", 3, 900, ()),
        ("0.26.0.1.1.1.12.0.0.0.0.0.0.0.224.0.73.0", "reactiveEnergy", "ABC", "varh", 0, 0, ()),
        ("0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.0.71.0", "apparentEnergy", "none", "VAh", 0, 3600, ()),
        ("0.0.0.12.1.1.37.0.0.0.0.0.0.0.128.0.38.0", "activePower", "A", "W", 0, 0, ()),
        ("0.0.0.12.1.1.37.0.0.0.0.0.0.0.64.0.63.0", "reactivePower", "B", "var", 0, 0, ()),
        ("0.0.0.12.1.1.37.0.0.0.0.0.0.0.32.0.61.0", "apparentPower", "C", "VA", 0, 0, ()),
        ("13.8.53.6.1.1.8.0.0.0.0.0.0.0.0.3.38.0", "activeDemand", "none", "W", 3, 900, ()),
        ("0.2.1.6.0.1.54.0.0.0.0.0.0.0.129.-1.29.0", "voltageMagnitude", "AN", "V", -1, 600, ()),
        ("0.0.0.6.0.1.4.0.0.0.0.0.0.0.16.-3.5.0", "currentMagnitude", "N", "A", -3, 0, ()),
        ("0.0.0.6.0.1.15.0.0.0.0.0.0.0.0.0.33.0", "frequency", "none", "Hz", 0, 0, ()),
        ("0.0.0.6.0.1.38.0.0.0.0.0.0.0.0.-2.65.0", "powerFactor", "none", "1", -2, 0, ()),
        ("11.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0", "gasVolume", "none", "m3", 0, 86400, ()),
        ("0.0.0.1.1.7.0.0.0.0.0.0.0.0.0.0.166.0", "gasVolume", "none", "m3uncompensated", 0, 0, ()),
        ("0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.134.0", "waterVolume", "none", "l", 0, 0, ()),
        ("0.0.4.1.1.12.12.0.0.0.0.0.0.0.0.6.31.0", "heatEnergy", "none", "J", 6, 86400, ()),
        ("0.0.0.12.0.7.0.0.0.0.0.0.0.0.0.2.39.0", "pressure", "none", "Pa", 2, 0, ()),
        ("0.0.0.12.0.0.46.0.0.0.0.0.0.0.0.0.23.0", "temperature", "none", "degC", 0, 0, ()),
        ("0.0.0.0.0.1.47.0.0.0.0.0.0.0.128.-2.0.0", "totalHarmonicDistortion", "A", "1", -2, 0, ()),
        (
            "0.26.0.0.1.1.12.0.0.0.0.0.0.0.0.224.3.72.0",
            "activeEnergy",
            "ABC",
            "Wh",
            3,
            0,
            ("bal.type-19",),
        ),
        (
            "9.99.999.5.6.77.999.1.0.1.0.0.0.0.7.5.9999.1",
            "cim-999",
            "cim-7",
            "cim-9999",
            5,
            0,
            tuple(
                sorted(
                    f"bal.type-{name}"
                    for name in [
                        "macroPeriod",
                        "aggregate",
                        "measuringPeriod",
                        "accumulation",
                        "flowDirection",
                        "commodity",
                        "measurementKind",
                        "interharmonic",
                        "argument",
                        "phases",
                        "multiplier",
                        "unit",
                        "currency",
                    ]
                )
            ),
        ),
    ],
)
def test_decode(
    code: str, quantity: str, phase: str, unit: str, multiplier: int, interval: int, flags: tuple[str, ...]
) -> None:
    kind = decode(code)
    assert kind.code == code
    assert (kind.quantity, kind.phase, kind.unit) == (quantity, phase, unit)
    assert (kind.multiplier, kind.interval, kind.flags) == (multiplier, interval, flags)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "0",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.0.3.72.0",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.x",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0 ",
        "0.0.2.4.1.1.-12.0.0.0.0.0.0.0.0.3.72.0",
        "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.-1",
        "0.0.2.4.1.1.12..0.0.0.0.0.0.0.3.72.0",
        "0.0.2.4.1.1.12345678.0.0.0.0.0.0.0.0.3.72.0",
        "\u0660.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
        "0,0,2,4,1,1,12,0,0,0,0,0,0,0,0,3,72,0",
    ],
)
def test_what_is_no_code(code: str) -> None:
    with pytest.raises(Malformed):
        decode(code)


def test_names_of_the_attributes() -> None:
    names = decode("11.26.2.4.19.1.12.1.2.3.4.5.6.7.224.3.72.978").names()
    assert names == {
        "macroPeriod": "daily",
        "aggregate": "sum",
        "measuringPeriod": "fifteenMinute",
        "accumulation": "deltaData",
        "flowDirection": "reverse",
        "commodity": "electricitySecondaryMetered",
        "measurementKind": "energy",
        "interharmonicNumerator": "1",
        "interharmonicDenominator": "2",
        "argumentNumerator": "3",
        "argumentDenominator": "4",
        "tou": "5",
        "cpp": "6",
        "consumptionTier": "7",
        "phases": "ABC",
        "multiplier": "k",
        "unit": "Wh",
        "currency": "EUR",
    }
    assert list(names) == list(ATTRIBUTE_NAMES)


def test_every_period_of_a_stated_length_has_one() -> None:
    stated = {n for n, name in cim_codes.MEASURING_PERIODS.items() if any(char.isdigit() for char in name)}
    words = {1, 2, 3, 4, 5, 6, 7, 10, 14, 31, 78, 79, 80, 81, 82, 83}
    assert set(cim_codes.MEASURING_PERIOD_SECONDS) == stated | words
    assert cim_codes.MEASURING_PERIODS[77] == "rollingBlock5MinIntvl1MinSubIntvl"
    assert cim_codes.MEASURING_PERIODS[83] == "threeHour"
    assert cim_codes.MEASUREMENT_KINDS[155] == "volumetricFlow"
    assert cim_codes.MEASUREMENT_KINDS[54] == "voltage"
    assert cim_codes.COMMODITIES[26] == "electricityTransmissionMetered"


@given(
    st.tuples(*[st.integers(0, 9999)] * 15, st.integers(-24, 24), st.integers(0, 9999), st.integers(0, 9999))
)
def test_any_numbers_decode_to_safe_texts(numbers: tuple[int, ...]) -> None:
    code = ".".join(map(str, numbers))
    kind = decode(code)
    assert kind.code == code
    assert encode(dict(zip(ATTRIBUTE_NAMES, map(str, numbers), strict=True))) == code
    for text in (kind.quantity, kind.phase, kind.unit):
        assert text.isascii()
        assert text.isprintable()
        assert '"' not in text
        assert "\\" not in text
    assert all(len(flag) <= 32 for flag in kind.flags)


def test_encode_takes_words_and_refuses_unknown_ones() -> None:
    assert encode({"commodity": "naturalGas", "unit": "m3", "measurementKind": "volume"}) == (
        "0.0.0.0.0.7.58.0.0.0.0.0.0.0.0.0.42.0"
    )
    with pytest.raises(Malformed, match="commodity"):
        encode({"commodity": "gold"})


def test_measurands() -> None:
    assert measurand("rocof", "none").unit == "Hz/s"
    with pytest.raises(Malformed):
        measurand("speed", "A")
    with pytest.raises(Malformed):
        measurand("rocof", "D")
