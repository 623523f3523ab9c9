"""Addresses: one text each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import Address, AddressRange
from bal.core.errors import Malformed

ADDRESSES = st.builds(
    Address,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,47}", fullmatch=True),
    st.integers(0, 10**16 - 1),
    st.integers(0, 99_999),
)


@given(ADDRESSES)
def test_an_address_comes_back_from_its_text(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(st.text(max_size=30) | st.from_regex(r"[a-z0-9-]{1,4}:[0-9]{1,4}:[0-9]{1,6}"))
def test_what_is_read_is_written_the_same(text: str) -> None:
    try:
        address = Address.parse(text)
    except Malformed:
        return
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bal-1",
        "bal-1:1",
        "bal-1:01:0",
        "bal-1:1:00",
        "bal-1:-1:0",
        "Bal:1:0",
        "-a:1:0",
        "bal-1:1:0:0",
        "bal-1:1:0\n",
        "a" * 49 + ":0:0",
        "bal-1:1:100000",
        "bal-1:1" + "0" * 16 + ":0",
        "bal-1:\u0661:0",
        " bal-1:1:0",
    ],
)
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(Malformed):
        Address.parse(text)


def test_addresses_have_the_order_of_the_log() -> None:
    assert Address("a", 2, 3) < Address("a", 10, 0) < Address("a", 10, 1) < Address("b", 0, 0)


def test_a_range_is_its_addresses() -> None:
    part = AddressRange("bal-1", 4, 2, 4)
    assert str(part) == "bal-1:4:2-4"
    assert part.addresses() == [Address("bal-1", 4, index) for index in (2, 3, 4)]
