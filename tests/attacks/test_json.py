"""JSON attacks: doubled members, depth, size, numbers that are none."""

import json

import pytest

from bal.core.errors import BalError, Unreadable
from bal.core.message import Rejection
from bal.core.reading import Reading
from tests.unit.normalise.samples import normalised

GOOD = '{"component":"BUS1","measurand":"frequency","phase":"A","data":50}'


def pmu(readings: str, more: str = "") -> bytes:
    return f'{{"device":"pmu-1","timestamp":"2026-01-31T12:00:00Z",{more}"readings":[{readings}]}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"device":' * 500_000,
        pmu("[" * 200_000 + "]" * 200_000),
        b'{"device":"pmu-1","readings":[],"readings":[]}',
        b'{"device":"pmu-2","device":"pmu-1","readings":[]}',
        b"\x00" * 1000,
        b'"' + b"\\" * 999_999,
        b"9" * 5_000_000,
    ],
)
def test_bombs_are_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable) as told:
        normalised(body, form="pmu")
    assert len(str(told.value)) < 200


@pytest.mark.parametrize(
    "bad",
    [
        '{"data":50,"data":50,"measurand":"frequency"}',
        GOOD.replace("50", "NaN"),
        GOOD.replace("50", "Infinity"),
        GOOD.replace("50", "-Infinity"),
        GOOD.replace("50", "1e400"),
        GOOD.replace("50", "1e-400"),
        GOOD.replace("50", "1e999999999"),
        GOOD.replace("50", "1" * 35),
        GOOD.replace("50", "1" * 1_000_000),
        GOOD.replace("50", "0." + "1" * 13),
        GOOD.replace("BUS1", "\\u0000"),
        GOOD.replace("BUS1", "\\ud800"),
        GOOD.replace("BUS1", "\\u001b[31m"),
        GOOD.replace("BUS1", '\\",\\"value\\":\\"1'),
        GOOD.replace("BUS1", "=cmd()"),
        GOOD.replace("BUS1", "<script>"),
        GOOD.replace("BUS1", "x" * 65),
        GOOD.replace("frequency", "x" * 1_000_000),
        GOOD.replace('"A"', '["A"]'),
        GOOD.replace('"A"', '"' + "A" * 100_000 + '"'),
    ],
)
def test_a_bad_reading_is_refused_and_its_neighbours_pass(bad: str) -> None:
    other = GOOD.replace("BUS1", "BUS2")
    first, refused, last = normalised(pmu(f"{GOOD},{bad},{other}"), form="pmu")
    assert isinstance(first, Reading)
    assert isinstance(last, Reading)
    assert isinstance(refused, Rejection)
    assert refused.where.startswith("readings[1]")
    assert len(refused.reason + refused.where) < 200


def test_the_device_in_the_message_cannot_be_another_topics() -> None:
    with pytest.raises(Unreadable, match="topic"):
        normalised(pmu(GOOD), form="pmu", device="pmu-2")


def test_errors_quote_nothing_of_the_message() -> None:
    for body in (b'{"SECRET": }', b'{"device":"SECRET","readings":[}', pmu("SECRET"), b'{"SECRET'):
        with pytest.raises(Unreadable) as told:
            normalised(body, form="pmu")
        error: BaseException | None = told.value
        while error is not None:
            assert "SECRET" not in repr(error) + str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_the_fragment_in_quarantine_keeps_the_digits() -> None:
    digits = "0.1234567890123456789"
    (refused,) = normalised(pmu(GOOD.replace("50", digits)), form="pmu")
    assert isinstance(refused, Rejection)
    assert digits.encode() in refused.fragment
    fixed = refused.fragment.replace(digits.encode(), b"0.5")
    (found,) = normalised(fixed, form="pmu")
    assert isinstance(found, Reading)
    assert json.loads(fixed)["readings"][0]["data"] == 0.5


def test_fragments_of_what_was_never_json_are_still_made() -> None:
    for bad in ("null", "NaN", "[NaN,{}]", '{"a":[1,2,{"b":null}]}'):
        try:
            (refused,) = normalised(pmu(bad), form="pmu")
        except BalError:
            continue
        assert isinstance(refused, Rejection)
        assert refused.fragment
