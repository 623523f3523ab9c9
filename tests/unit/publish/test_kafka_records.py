"""Records on Kafka: keys, headers, grants, and values of the published schema."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from bal.core.entry import Entry
from bal.core.reading import Reading, natural_key_digest
from bal.core.source import Grant, Source
from bal.publish.kafka.records import records
from bal.resources import resource
from tests.certified import certified, erasure, reading, readings_of
from tests.unit.docs.pages import example

BOTH = frozenset({"dso-a", "dso-b"})


def schema_of(name: str) -> Draft202012Validator:
    text = (resource("kafka") / "schemas" / name).read_text("utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return schema_of("certificate-1.schema.json")


def test_a_record_is_the_certificate_under_its_point_with_cloudevents_headers() -> None:
    batch = readings_of(3)
    found = list(records(batch, BOTH, {}))
    assert [each.value.decode() for each in found] == [text for _, _, text in batch.certificates()]
    for (index, entry, _), record in zip(batch.certificates(), found, strict=True):
        assert isinstance(entry, Reading)
        assert (record.topic, record.key) == (f"bal.certified.{entry.source}", entry.point.encode())
        assert dict(record.headers) == {
            "ce_specversion": b"1.0",
            "ce_type": b"bal.certified.reading",
            "ce_source": f"/sources/{entry.source}".encode(),
            "ce_id": f"log-1:3:{index}".encode(),
            "ce_time": batch.commitment.time.encode(),
            "content-type": b"application/json",
            "bal-reading-key": natural_key_digest(entry.natural_key).hex().encode(),
        }


def test_the_note_of_an_erasure_goes_to_the_source_and_to_no_grant() -> None:
    grant = Grant(subscriber="market", points=("a" * 26,))
    source = Source(name="dso-a", lane="bal-1", grants=(grant,))
    batch = certified([erasure("log-1:0:2"), reading(1)], 1)
    note, kept, copied = records(batch, BOTH, {"dso-a": source})
    assert (note.topic, note.key) == ("bal.certified.dso-a", b"dso-a")
    headers = dict(note.headers)
    assert (headers["ce_type"], "bal-reading-key" in headers) == (b"bal.certified.erasure", False)
    assert (kept.topic, copied.topic) == ("bal.certified.dso-a", "bal.granted.market")


def test_a_grant_gets_copies_of_its_points_and_of_no_other_source() -> None:
    grants = (
        Grant(subscriber="market", points=("a" * 26,)),
        Grant(subscriber="home", points=("a" * 26, "b" * 26)),
    )
    sources = {"dso-a": Source(name="dso-a", lane="bal-1", grants=grants)}
    found = list(records(readings_of(0), BOTH, sources))
    granted: dict[str, set[tuple[str, str]]] = {}
    for each in found:
        entry = json.loads(each.value)["entry"]
        granted.setdefault(each.topic, set()).add((entry["source"], entry["point"][0]))
    assert granted == {
        "bal.certified.dso-a": {("dso-a", "a"), ("dso-a", "b")},
        "bal.certified.dso-b": {("dso-b", "a"), ("dso-b", "b")},
        "bal.granted.market": {("dso-a", "a")},
        "bal.granted.home": {("dso-a", "a"), ("dso-a", "b")},
    }
    originals = {each.value: each for each in found if each.topic == "bal.certified.dso-a"}
    for each in found:
        if each.topic.startswith("bal.granted."):
            assert each._replace(topic="bal.certified.dso-a") == originals[each.value]


def test_values_are_of_the_schema(schema: Draft202012Validator) -> None:
    odd: list[Entry] = [
        reading(1)._replace(value="-0.000000000001", quality="", component="BUS1", interval=0),
        reading(2)._replace(value="1" * 34, reading_type="voltmagnitude", unit="V", phase="A"),
        erasure("log-1:0:0")._replace(why='asked "twice"'),
    ]
    for batch in (readings_of(0), readings_of(1, count=513), certified(odd, 2)):
        for record in records(batch, BOTH, {}):
            schema.validate(json.loads(record.value))
    schema.validate(json.loads(example("docs/formats.md", "certificate")))


GONE = object()


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("more", 1),
        ("version", 2),
        ("salt", "AB" * 16),
        ("entry value", "1.50"),
        ("entry value", 12),
        ("entry value", "-0"),
        ("entry point", "DE-METER-1"),
        ("entry type", "erasure"),
        ("entry timestamp", "2026-01-31T12:00:00Z"),
        ("entry quality", GONE),
        ("anchor counts", {}),
        ("anchor ledger", "paper"),
        ("anchor tx_id", GONE),
        ("path", ["00"]),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_what_is_no_certificate_is_not_of_the_schema(
    schema: Draft202012Validator, path: str, to: object
) -> None:
    good = json.loads(example("docs/formats.md", "certificate"))
    wrong = at = copy.deepcopy(good)
    *parents, last = path.split()
    for each in parents:
        at = at[each]
    if to is GONE:
        del at[last]
    else:
        at[last] = to
    assert schema.is_valid(good)
    assert not schema.is_valid(wrong)
