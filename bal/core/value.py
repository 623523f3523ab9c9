"""Values: exact decimals in one canonical text, never a float."""

import re
from decimal import Decimal

from bal.core.errors import Malformed
from bal.core.limits import VALUE_DIGITS, VALUE_FRACTION_DIGITS

_CANONICAL = re.compile(r"0|-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])")
_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_SMALL = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def canonical_value(text: str, multiplier: int = 0) -> str:
    """Return the canonical text of the decimal `text` times ten to the `multiplier`, computed exactly.

    Canonical: no exponent, no leading or trailing zeros, -0 is 0, at most 34 digits in all and 12 after the point.
    Raise `Malformed` for anything that is not a finite decimal, or that would have to be rounded to fit.
    """
    if multiplier == 0 and _SMALL.fullmatch(text):
        return text
    text = text.strip(" \t\r\n")
    if len(text) > 2 * VALUE_DIGITS + 8 or not _PLAIN.fullmatch(text):
        message = "the value is not a decimal number"
        raise Malformed(message, remedy="send a finite decimal number")
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):  # pragma: no cover - the grammar above lets no NaN or infinity through
        message = "the value is not finite"
        raise Malformed(message)
    return _text(sign, "".join(map(str, digits)).lstrip("0"), exponent + multiplier)


def _text(sign: int, digits: str, exponent: int) -> str:
    if not digits:
        return "0"
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    whole = len(significant) + exponent
    if max(whole, 0) + max(-exponent, 0) > VALUE_DIGITS or -exponent > VALUE_FRACTION_DIGITS:
        message = f"the value has more than {VALUE_DIGITS} digits, or more than {VALUE_FRACTION_DIGITS} after the point"
        raise Malformed(message, remedy="send no more digits than the meter has")
    if exponent >= 0:
        text = significant + "0" * exponent
    elif whole > 0:
        text = f"{significant[:whole]}.{significant[whole:]}"
    else:
        text = f"0.{'0' * -whole}{significant}"
    return f"-{text}" if sign else text


def is_canonical_value(text: str) -> bool:
    """Tell whether `text` is a value in canonical form."""
    if not _CANONICAL.fullmatch(text):
        return False
    whole, _, fraction = text.lstrip("-").partition(".")
    return len(fraction) <= VALUE_FRACTION_DIGITS and (
        len(whole) + len(fraction) <= VALUE_DIGITS or (whole == "0" and len(fraction) <= VALUE_DIGITS)
    )
