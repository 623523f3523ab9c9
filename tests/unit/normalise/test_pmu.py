"""PMU messages: numbers as their digits stand there, bad readings one by one, ownership of the device."""

import json
from typing import Any

import pytest

from bal.core.errors import Unreadable
from bal.core.instant import instant_text
from bal.core.message import Duplicate, Rejection
from bal.core.reading import Reading
from tests.unit.normalise.samples import KEY, normalised

GOOD = {"component": "BUS1", "measurand": "voltmagnitude", "phase": "A", "data": 230.25}


def body(*members: Any, **more: Any) -> bytes:
    return json.dumps(
        {"device": "pmu-1", "timestamp": "2026-01-31T12:00:00.02Z", "readings": list(members)} | more
    ).encode()


def raw(members: str) -> bytes:
    return ('{"device":"pmu-1","timestamp":"2026-01-31T12:00:00.02Z","readings":[' + members + "]}").encode()


def test_a_message_becomes_readings() -> None:
    found = normalised(body(GOOD, GOOD | {"measurand": "voltangle", "data": -1.25}), form="pmu")
    assert found[0] == Reading(
        source="dso-a",
        point=KEY.pseudonym("dso-a", "device", "pmu-1"),
        component="BUS1",
        quantity="voltageMagnitude",
        reading_type="voltmagnitude",
        phase="A",
        value="230.25",
        unit="V",
        timestamp=found[0].timestamp,  # type: ignore[union-attr]
        interval=0,
        quality="",
        received_at=found[0].received_at,  # type: ignore[union-attr]
    )
    assert isinstance(found[1], Reading)
    assert (found[1].quantity, found[1].unit, found[1].value) == ("voltageAngle", "rad", "-1.25")
    assert instant_text(found[1].timestamp) == "2026-01-31T12:00:00.020000Z"


@pytest.mark.parametrize(
    "measurand, quantity, unit",
    [
        ("voltmagnitude", "voltageMagnitude", "V"),
        ("voltangle", "voltageAngle", "rad"),
        ("currmagnitude", "currentMagnitude", "A"),
        ("currangle", "currentAngle", "rad"),
        ("activepower", "activePower", "W"),
        ("reactivepower", "reactivePower", "var"),
        ("apparentpower", "apparentPower", "VA"),
        ("powerfactor", "powerFactor", "1"),
        ("frequency", "frequency", "Hz"),
        ("rocof", "rocof", "Hz/s"),
        ("VoltMagnitude", "voltageMagnitude", "V"),
    ],
)
@pytest.mark.parametrize("phase", ["A", "B", "C", "ABC", "N", "none", None, "abc", ""])
def test_measurands_and_phases(measurand: str, quantity: str, unit: str, phase: str | None) -> None:
    (found,) = normalised(body(GOOD | {"measurand": measurand, "phase": phase}), form="pmu")
    assert isinstance(found, Reading)
    assert (found.quantity, found.unit, found.reading_type) == (quantity, unit, measurand.lower())
    assert found.phase == ((phase or "none").upper() if phase != "none" else "none").replace("NONE", "none")


@pytest.mark.parametrize(
    "digits", ["0.1", "1e2", "230.100000000000", "-0.0", "12345678901234567890123456789012.5"]
)
def test_numbers_never_pass_through_a_float(digits: str) -> None:
    (found,) = normalised(raw(json.dumps(GOOD).replace("230.25", digits)), form="pmu")
    expected = {"1e2": "100", "230.100000000000": "230.1", "-0.0": "0"}.get(digits, digits)
    assert isinstance(found, Reading)
    assert found.value == expected


@pytest.mark.parametrize(
    "bad, code, where",
    [
        ('{"component":"BUS1","measurand":"frequency","data":50,"data":51}', "invalid", "readings[1]"),
        ('{"component":"BUS1","measurand":"frequency","data":NaN}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"frequency","data":-Infinity}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"frequency","data":"50"}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"frequency","data":true}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"frequency","data":null}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"frequency"}', "value", "readings[1].data"),
        (
            '{"component":"BUS1","measurand":"frequency","data":12345678901234567890123456789012345}',
            "value",
            "readings[1].data",
        ),
        ('{"component":"BUS1","measurand":"frequency","data":1e400}', "value", "readings[1].data"),
        ('{"component":"BUS1","measurand":"speed","data":1}', "reading-type", "readings[1].measurand"),
        ('{"component":"BUS1","measurand":7,"data":1}', "reading-type", "readings[1].measurand"),
        ('{"component":"BUS1","measurand":"frequency","phase":"D","data":1}', "phase", "readings[1].phase"),
        ('{"component":"BUS1","measurand":"frequency","phase":1,"data":1}', "phase", "readings[1].phase"),
        ('{"component":"a\\"b","measurand":"frequency","data":1}', "invalid", "readings[1].component"),
        ('{"component":{},"measurand":"frequency","data":1}', "invalid", "readings[1].component"),
        (
            '{"measurand":"frequency","data":1,"timestamp":"2026-13-01T00:00:00Z"}',
            "timestamp",
            "readings[1].timestamp",
        ),
        ('{"measurand":"frequency","data":1,"timestamp":1769860800}', "timestamp", "readings[1].timestamp"),
        ('{"measurand":"activepower","data":1,"unit":"kW"}', "unit", "readings[1].unit"),
        ('{"measurand":"activepower","data":1,"multiplier":3}', "unit", "readings[1]"),
        ("[1]", "invalid", "readings[1]"),
        ("7", "invalid", "readings[1]"),
        ("null", "invalid", "readings[1]"),
    ],
)
def test_one_bad_reading_between_two_good_ones(bad: str, code: str, where: str) -> None:
    good = json.dumps(GOOD)
    before, refused, after = normalised(raw(f"{good},{bad},{good.replace('BUS1', 'BUS2')}"), form="pmu")
    assert isinstance(before, Reading)
    assert isinstance(after, Reading)
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.where) == (code, where)
    assert b"pmu-1" in refused.fragment


@pytest.mark.parametrize("when", [1769860800, None, "2026-01-31", "2026-01-31T12:00:00", float("inf")])
def test_a_bad_time_of_the_message_refuses_each_reading(when: object) -> None:
    found = normalised(body(GOOD, GOOD, timestamp=when), form="pmu")
    assert [(type(outcome), outcome.where) for outcome in found if isinstance(outcome, Rejection)] == [
        (Rejection, "timestamp")
    ] * 2


@pytest.mark.parametrize(
    "message, device, reason",
    [
        (b"", "", "not JSON"),
        (b"<a/>", "", "not JSON"),
        (b"[]", "", "not a JSON object"),
        (b'{"device":"pmu-1"}', "", "no list of readings"),
        (body(readings={}), "", "no list of readings"),
        (b'{"readings":[]}', "", "names no device"),
        (body(device=""), "", "not a name"),
        (body(device=7), "", "not a name"),
        (body(device="\ud800"), "", "not a name"),
        (body(device="x" * 257), "", "not a name"),
        (body(GOOD), "pmu-2", "not the topic's"),
        (raw("").replace(b"{", b'{"device":"pmu-1",', 1), "", "twice"),
        (b"[" * 100_000, "", "too deep|not a JSON object|not JSON"),
        (body(GOOD).decode().encode("utf-16"), "", "UTF-8"),
        (body(GOOD) + b"{}", "", "not JSON"),
        (b'{"a":"\xff"}', "", "UTF-8"),
    ],
)
def test_what_cannot_be_read_as_a_whole(message: bytes, device: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        normalised(message, form="pmu", device=device)


def test_the_device_of_the_topic_serves_where_the_message_names_none() -> None:
    named, unnamed = json.loads(body(GOOD)), json.loads(body(GOOD))
    del unnamed["device"]
    assert normalised(json.dumps(named).encode(), form="pmu", device="pmu-1") == normalised(
        json.dumps(unnamed).encode(), form="pmu", device="pmu-1"
    )


def test_members_of_the_message_hold_for_readings_without_them() -> None:
    """State estimators send one component a message."""
    found = normalised(body({"measurand": "frequency", "phase": "A", "data": 50}, component="N1"), form="pmu")
    assert isinstance(found[0], Reading)
    assert found[0].component == "N1"


def test_equal_readings_are_duplicates() -> None:
    found = normalised(body(GOOD, GOOD, GOOD | {"phase": "B"}), form="pmu")
    assert [type(outcome) for outcome in found] == [Reading, Duplicate, Reading]


def test_no_readings_is_readable() -> None:
    assert normalised(body(), form="pmu") == []
