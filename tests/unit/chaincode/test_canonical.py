"""The canonical form: RFC 8785's own rules, agreement with another implementation, and what is refused."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from chaincode.canonical import MAX_DEPTH, MAX_INTEGER, decode, encode
from chaincode.errors import ContractError
from chaincode.names import check_name, is_name

VALUES = st.recursive(
    st.text() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_agrees_with_another_implementation_and_reads_back(value: object) -> None:
    text = encode(value)
    assert text == rfc8785.dumps(value)  # type: ignore[arg-type]
    assert decode(text) == value
    assert encode(decode(text)) == text


def test_rfc_8785_sorts_by_utf_16_and_escapes_the_least() -> None:
    # Section 3.2.3: the astral smiley (D83D DE00) sorts before U+FB33 by UTF-16, after it by code point.
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(encode(value)).values()) == [2, 4, 6, 7, 1, 5, 3]
    # Section 3.2.2.2
    assert encode('\u20ac$\u000f\u000aA\'B"\\\\"/\x7f') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'.encode()


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        None,
        float("nan"),
        b"x",
        (1,),
        {1: 2},
        {"a": None},
        [1.5],
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud800",
        {"\udfff": 1},
    ],
    ids=repr,
)
def test_other_values_have_no_form(value: object) -> None:
    with pytest.raises(ContractError) as refused:
        encode(value)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{} {}",
        b"null",
        b"[null]",
        b"1.0",
        b"1e3",
        b"-0",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"01",
        b"9007199254740992",
        b"9" * 5000,
        b'{"a":1,"a":2}',
        b'[{"a":1,"\\u0061":2}]',
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
    ids=lambda text: repr(text[-20:]),
)
def test_other_texts_are_refused_without_being_quoted(text: bytes) -> None:
    with pytest.raises(ContractError) as refused:
        decode(text)
    assert refused.value.code == "malformed"
    assert "9999" not in str(refused.value)


@pytest.mark.parametrize("name", ["a", "0", "a-", "bal-1", "a" * 48])
def test_names(name: str) -> None:
    assert is_name(name)
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "A", "a_b", "a b", "a/b", "a\n", "a" * 49, "é", "\u0661", 1, None, b"a"]
)
def test_no_names(name: object) -> None:
    assert not is_name(name)
    with pytest.raises(ContractError, match="log"):
        check_name(name, "log")
