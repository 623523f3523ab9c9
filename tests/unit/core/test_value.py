"""Values: exact, in one canonical text."""

import contextlib
import decimal
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bal.core.errors import Malformed
from bal.core.limits import VALUE_DIGITS, VALUE_FRACTION_DIGITS
from bal.core.value import canonical_value, is_canonical_value

EXACT = decimal.Context(prec=400, Emax=999_999, Emin=-999_999)


@pytest.mark.parametrize(
    "text, multiplier, value",
    [
        ("0", 0, "0"),
        ("-0", 0, "0"),
        ("-0.00e5", 3, "0"),
        ("007.50", 0, "7.5"),
        ("+.5", 0, "0.5"),
        ("5.", 0, "5"),
        ("1e3", 0, "1000"),
        ("12.5", 3, "12500"),
        ("-12.5", -3, "-0.0125"),
        ("1", -12, "0.000000000001"),
        (" 1\n", 0, "1"),
        ("9" * 34, 0, "9" * 34),
        ("9" * 22 + "." + "9" * 12, 0, "9" * 22 + "." + "9" * 12),
        ("1", 33, "1" + "0" * 33),
    ],
)
def test_canonical(text: str, multiplier: int, value: str) -> None:
    assert canonical_value(text, multiplier) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "nan",
        "NaN",
        "sNaN",
        "inf",
        "Infinity",
        "-inf",
        "1,5",
        "1 5",
        "0x1",
        "1_0",
        "--1",
        "1e",
        "e5",
        ".",
        "+",
        "1e1000",
        "1e400",
        "1e-13",
        "\u0663",
        "1\xa0",
        "9" * 35,
        "9" * 23 + "." + "9" * 12,
        "0" * 77,
        "\u22121",
        "1\x00",
    ],
)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(Malformed):
        canonical_value(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(-24, 24))
@example(Decimal("-0.000001"), -24)
def test_agrees_with_decimal_or_is_refused(number: Decimal, multiplier: int) -> None:
    exact = number.scaleb(multiplier, EXACT)
    try:
        text = canonical_value(str(number), multiplier)
    except Malformed:
        _, digits, exponent = exact.normalize(EXACT).as_tuple()
        assert isinstance(exponent, int)
        whole = max(len(digits) + exponent, 0)
        assert -exponent > VALUE_FRACTION_DIGITS or whole + max(-exponent, 0) > VALUE_DIGITS
        return
    assert Decimal(text) == exact
    assert is_canonical_value(text)
    assert canonical_value(text) == text


@given(st.text(max_size=40))
def test_any_text_is_canonical_or_refused(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert is_canonical_value(canonical_value(text))


@given(st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,12})?", fullmatch=True))
def test_canonical_is_what_canonical_value_leaves_as_it_is(text: str) -> None:
    assert is_canonical_value(text) == (canonical_value(text) == text)
