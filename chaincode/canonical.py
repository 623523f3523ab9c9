"""RFC 8785 (JSON Canonicalization Scheme) of the values the contracts use: no floats, no null."""

from __future__ import annotations

import json
from typing import Final

from chaincode.errors import ContractError

#: Largest integer every JSON reader keeps exactly (RFC 7493 2.2).
MAX_INTEGER: Final = 2**53 - 1
#: Deeper than any value of the contracts, far from Python's recursion limit.
MAX_DEPTH: Final = 32

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(value: object) -> bytes:
    """Return the RFC 8785 form of str, int (up to 2**53 - 1), bool, list and dict with str keys.

    Raise ContractError (malformed) for every other type, a lone surrogate, or nesting deeper than 32.
    """
    return _ENCODER.encode(_ordered(value, MAX_DEPTH)).encode("utf-8")


def decode(data: bytes) -> object:
    """Return the value of JSON text: doubled keys, floats, null, NaN, integers over 2**53 - 1 and -0 are refused.

    Raise ContractError (malformed). White space and order are free; compare with `encode` where they must not be.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # The parser's own words quote the text, which may be anyone's: only the kind of error is told.
        raise ContractError("malformed", f"no JSON of the contracts: {type(error).__name__}") from None
    return _ordered(value, MAX_DEPTH)


def _ordered(value: object, depth: int) -> object:
    """Check `value` and return it with the members of every object in the order of RFC 8785 3.2.3."""
    kind = type(value)
    if kind is str:
        if not value.isascii():  # type: ignore[attr-defined]
            _utf16(value)  # type: ignore[arg-type]
        return value
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise ContractError("malformed", "an integer lies outside 2**53 - 1")
        return value
    if kind is bool:
        return value
    if depth == 0:
        raise ContractError("malformed", f"JSON is nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return [_ordered(item, depth - 1) for item in value]
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            raise ContractError("malformed", "a key of a JSON object is a text")
        return {key: _ordered(value[key], depth - 1) for key in sorted(value, key=_utf16)}
    raise ContractError("malformed", f"a value of type {kind.__name__} has no canonical form here")


def _utf16(text: str) -> bytes:
    """Return the UTF-16 code units by which RFC 8785 sorts; they sort as big-endian bytes do."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise ContractError("malformed", "a text holds a lone surrogate") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ContractError("malformed", "a JSON object names a member twice")
    return members


def _integer(text: str) -> int:
    if len(text) > 17 or text == "-0":
        raise ContractError("malformed", "an integer lies outside 2**53 - 1 or is -0")
    return int(text)


def _refuse(_: str) -> object:
    raise ContractError("malformed", "a number is no integer")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
)
