"""The anchor: its exact form, its hash, and every form that is refused."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.anchor import GENESIS, MAX_SEQ, MAX_SIZE, MAX_SOURCES, Anchor, check_time
from chaincode.errors import ContractError


def example(**changes: object) -> dict[str, object]:
    value: dict[str, object] = {
        "version": 1,
        "log": "bal-1",
        "seq": 0,
        "root": "ab" * 32,
        "size": 3,
        "previous": GENESIS,
        "first": "2019-09-13T12:30:00.000000Z",
        "last": "2019-09-13T12:45:00.000000Z",
        "counts": {"dso-b": 1, "dso-a": 2},
        "rules": {"dso-a": "00" * 32, "dso-b": "ff" * 32},
    }
    value.update(changes)
    return value


def test_json_goes_both_ways() -> None:
    anchor = Anchor.from_json(example())
    assert anchor.to_json() == example()
    assert anchor.version == 1


def test_the_hash_is_over_the_canonical_form() -> None:
    text = (
        '{"counts":{"dso-a":2,"dso-b":1},"first":"2019-09-13T12:30:00.000000Z","last":"2019-09-13T12:45:00.000000Z",'
        '"log":"bal-1","previous":"'
        + "0" * 64
        + '","root":"'
        + "ab" * 32
        + '","rules":{"dso-a":"'
        + "00" * 32
        + '","dso-b":"'
        + "ff" * 32
        + '"},"seq":0,"size":3,"version":1}'
    )
    assert json.loads(text) == example()
    assert Anchor.from_json(example()).hash == sha256(b"\x02" + text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 2}, "malformed"),
        ({"version": True}, "malformed"),
        ({"version": "1"}, "malformed"),
        ({"log": "Bal"}, "malformed"),
        ({"log": ""}, "malformed"),
        ({"log": "-a"}, "malformed"),
        ({"log": "a\n"}, "malformed"),
        ({"log": "a" * 49}, "malformed"),
        ({"log": "ä"}, "malformed"),
        ({"log": 7}, "malformed"),
        ({"seq": -1}, "malformed"),
        ({"seq": MAX_SEQ + 1}, "malformed"),
        ({"seq": "0"}, "malformed"),
        ({"seq": False}, "malformed"),
        ({"seq": 1}, "wrong_previous"),
        ({"previous": "ab" * 32}, "wrong_previous"),
        ({"previous": None}, "malformed"),
        ({"root": "AB" * 32}, "malformed"),
        ({"root": "ab" * 31}, "malformed"),
        ({"root": "ab" * 32 + "\n"}, "malformed"),
        ({"root": "\u0660" * 64}, "malformed"),
        ({"first": "2019-02-29T12:30:00.000000Z"}, "malformed"),
        ({"first": "2019-09-13T12:30:00Z"}, "malformed"),
        ({"first": "2019-09-13T24:00:00.000000Z"}, "malformed"),
        ({"first": "2019-09-13T12:60:00.000000Z"}, "malformed"),
        ({"first": "2019-09-13T12:30:60.000000Z"}, "malformed"),
        ({"first": "2019-13-13T12:30:00.000000Z"}, "malformed"),
        ({"first": "0000-09-13T12:30:00.000000Z"}, "malformed"),
        ({"first": "2019-09-13T12:30:00.000000+00:00"}, "malformed"),
        ({"first": "2019-09-13 12:30:00.000000Z"}, "malformed"),
        ({"first": 5}, "malformed"),
        ({"last": "2019-09-13T12:29:59.999999Z"}, "malformed"),
        ({"size": 0, "counts": {}, "rules": {}}, "size"),
        ({"size": MAX_SIZE + 1, "counts": {"a": MAX_SIZE + 1}, "rules": {"a": "00" * 32}}, "size"),
        ({"size": 4}, "size"),
        ({"size": 3.0}, "malformed"),
        ({"counts": {"dso-a": 3}}, "malformed"),
        ({"counts": {"dso-a": 3, "dso-b": 0}}, "malformed"),
        ({"counts": {"dso-a": 4, "dso-b": -1}}, "malformed"),
        ({"counts": {"dso-a": 2, "dso-b": True}}, "malformed"),
        ({"counts": {"dso-a": 2, "dso-c": 1}}, "malformed"),
        ({"counts": {"dso-a": 2, "DSO": 1}}, "malformed"),
        ({"counts": [3]}, "malformed"),
        ({"rules": {"dso-a": "00" * 32, "dso-b": "FF" * 32}}, "malformed"),
        ({"rules": {"dso-a": "00" * 32, "dso-b": 1}}, "malformed"),
        ({"rules": None}, "malformed"),
        (
            {
                "size": MAX_SOURCES + 1,
                "counts": {f"s{n}": 1 for n in range(MAX_SOURCES + 1)},
                "rules": {f"s{n}": "00" * 32 for n in range(MAX_SOURCES + 1)},
            },
            "size",
        ),
    ],
)
def test_other_forms_are_refused(changes: dict[str, object], code: str) -> None:
    with pytest.raises(ContractError) as refused:
        Anchor.from_json(example(**changes))
    assert refused.value.code == code


@pytest.mark.parametrize("value", [None, [], "x", {}, {**example(), "tx_id": "1"}])
def test_members_are_exact(value: object) -> None:
    with pytest.raises(ContractError) as refused:
        Anchor.from_json(value)
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("member", sorted(example()))
def test_no_member_may_be_missing(member: str) -> None:
    value = example()
    del value[member]
    with pytest.raises(ContractError):
        Anchor.from_json(value)


def test_every_member_enters_the_hash() -> None:
    seen = {Anchor.from_json(example()).hash}
    for changes in (
        {"log": "bal-2"},
        {"seq": 1, "previous": "cd" * 32},
        {"seq": 2, "previous": "cd" * 32},
        {"seq": 2, "previous": "ce" * 32},
        {"root": "ac" * 32},
        {"first": "2019-09-13T12:30:00.000001Z"},
        {"last": "2019-09-13T12:45:00.000001Z"},
        {"counts": {"dso-a": 1, "dso-b": 2}},
        {"rules": {"dso-a": "01" * 32, "dso-b": "ff" * 32}},
        {"size": 4, "counts": {"dso-a": 3, "dso-b": 1}},
    ):
        seen.add(Anchor.from_json(example(**changes)).hash)
    assert len(seen) == 11


def test_a_leap_day_is_a_date() -> None:
    assert check_time("2020-02-29T23:59:59.999999Z", "time") == "2020-02-29T23:59:59.999999Z"


JSON = st.recursive(
    st.none() | st.text(max_size=5) | st.integers() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(example())), JSON)
def test_whatever_stands_in_a_member_only_the_contracts_error_comes(member: str, value: object) -> None:
    try:
        anchor = Anchor.from_json(example(**{member: value}))
    except ContractError:
        return
    assert len(anchor.hash) == 64
    assert anchor.to_json()[member] == value


@given(JSON)
def test_whatever_comes_as_an_anchor_is_refused(value: object) -> None:
    with pytest.raises(ContractError):
        Anchor.from_json(value)
