"""Reports on Kafka: key, headers, values of the published schema, and nothing of what was refused."""

import json
from typing import Any

import pytest

from bal.core.instant import instant_text
from bal.core.stored import WHOLE, Quarantined, Report
from bal.publish.kafka import rejected_topic
from bal.publish.kafka.records import report_record
from tests.unit.docs.pages import example
from tests.unit.publish.test_kafka_records import schema_of

SECRET = b"<mRID>DE-METER-1</mRID>"
AT = 1_769_860_800_000_001
REFUSED = Quarantined(
    7,
    "dso-a",
    b"d" * 32,
    3,
    "the value is not a decimal number",
    "MeterReading[2]/value",
    "value",
    AT,
    SECRET,
)


def value(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report_record(report, "bal.rejected.bal-a").value)
    return found


def test_a_record_tells_what_was_refused_and_why_under_its_source() -> None:
    record = report_record(Report(REFUSED, 2), rejected_topic("bal-a"))
    assert (record.topic, record.key, record.source) == ("bal.rejected.bal-a", b"dso-a", "dso-a")
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_type": b"bal.rejected",
        "ce_source": b"/sources/dso-a",
        "ce_id": b"7",
        "ce_time": instant_text(AT).encode(),
        "content-type": b"application/json",
    }
    assert json.loads(record.value) == {
        "version": 1,
        "id": 7,
        "source": "dso-a",
        "kind": "reading",
        "digest": (b"d" * 32).hex(),
        "reason": "the value is not a decimal number",
        "where": "MeterReading[2]/value",
        "code": "value",
        "at": instant_text(AT),
        "number": 2,
    }
    assert SECRET not in record.value
    assert SECRET.hex().encode() not in record.value


def test_values_are_of_the_schema() -> None:
    schema = schema_of("rejection-1.schema.json")
    for refused in (
        REFUSED,
        REFUSED._replace(ordinal=WHOLE, where="message", code="unreadable", fragment=None),
        REFUSED._replace(ordinal=-2, where="", code="erased", reason="«…»"),
    ):
        schema.validate(value(Report(refused, 1)))
    shown = json.loads(example("docs/kafka.md", "rejection"))
    schema.validate(shown)
    assert list(shown) == list(value(Report(REFUSED, 1)))


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("fragment", "AA=="),
        ("version", 2),
        ("id", 0),
        ("source", "DSO A"),
        ("kind", "part"),
        ("digest", "d" * 63),
        ("code", "not a word"),
        ("at", "2026-01-31T12:00:00Z"),
        ("number", 0),
        ("reason", None),
    ],
)
def test_what_is_no_report_is_not_of_the_schema(name: str, to: object) -> None:
    schema, good = schema_of("rejection-1.schema.json"), value(Report(REFUSED, 1))
    assert schema.is_valid(good)
    assert not schema.is_valid({**good, name: to})
    assert name not in good or not schema.is_valid({key: each for key, each in good.items() if key != name})
