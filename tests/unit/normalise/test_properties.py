"""Random documents come back as the readings they were made of; broken ones raise nothing but errors of the BAL."""

import io
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from hypothesis import given
from hypothesis import strategies as st

from bal.core.entry import canonical, to_json
from bal.core.errors import BalError
from bal.core.instant import instant_text
from bal.core.message import Message, Rejection
from bal.core.reading import Reading
from bal.core.reading_type import decode
from bal.core.value import canonical_value, is_canonical_value
from bal.normalise import cim
from bal.normalise.outcomes import outcomes
from tests.counts import counts
from tests.unit.normalise.samples import DATA, KEY, NAMESPACE, NOW, SOURCE, message


class Sample(NamedTuple):
    """A reading as a document can have it."""

    code: str
    value: str
    timestamp: int
    qualities: tuple[str, ...]
    block: bool


class Meter(NamedTuple):
    usage_point: str
    meter: str
    samples: tuple[Sample, ...]


codes = st.tuples(
    *[st.integers(0, 40)] * 14,
    st.sampled_from((0, 128, 224, 7)),
    st.integers(-3, 3),
    st.sampled_from((72, 73, 38, 42, 500)),
    st.just(0),
).map(lambda numbers: ".".join(map(str, numbers)))
values = st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", fullmatch=True)
times = st.integers(0, NOW)
qualities = st.lists(st.from_regex(r"[1-9]\.[0-9]{1,2}\.[0-9]{1,3}", fullmatch=True), max_size=3, unique=True)
identifiers = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30
).map(str.strip)
samples = st.builds(
    Sample,
    codes,
    values,
    times,
    qualities.map(sorted).map(tuple),
    st.booleans(),
)
meters = st.builds(
    Meter,
    st.one_of(st.just(""), identifiers),
    identifiers.filter(bool),
    st.lists(samples, max_size=5, unique_by=lambda sample: (sample.code, sample.timestamp)).map(tuple),
)


def document(meters: Sequence[Meter], prefix: str, *, point_first: bool, white: str) -> bytes:
    """Write the document of `meters`; each `MeterReading` has its blocks behind its readings."""

    def tag(name: str, content: str, attributes: str = "") -> str:
        return f"<{prefix}{name}{attributes}>{white}{content}{white}</{prefix}{name}>{white}"

    def text(name: str, content: str) -> str:
        return f"<{prefix}{name}>{escape(content)}</{prefix}{name}>{white}"

    def reading(name: str, sample: Sample, kind: str) -> str:
        quality = "".join(
            tag(
                "ReadingQualities",
                tag("ReadingQualityType", "", f" ref={quoteattr(code)}") + text("comment", "by hand"),
            )
            for code in sample.qualities
        )
        return tag(
            name,
            text("timeStamp", instant_text(sample.timestamp)) + text("value", sample.value) + quality + kind,
        )

    def kind(sample: Sample) -> str:
        return tag("ReadingType", "", f' ref="{sample.code}"')

    found = []
    for meter in meters:
        points = tag("Meter", text("mRID", meter.meter))
        if meter.usage_point:
            points += tag("UsagePoint", text("mRID", meter.usage_point))
        body = "".join(
            reading("Readings", sample, kind(sample)) for sample in meter.samples if not sample.block
        )
        body += "".join(
            tag("IntervalBlocks", reading("IntervalReadings", sample, "") + kind(sample))
            for sample in meter.samples
            if sample.block
        )
        found.append(tag("MeterReading", points + body if point_first else body + points))
    declaration = f' xmlns{":" + prefix[:-1] if prefix else ""}="{NAMESPACE}"'
    return tag("MeterReadings", "".join(found), declaration).encode()


def expected(meters: Sequence[Meter]) -> list[Reading | str]:
    """Return what a document should come back as; a reading's code stands in for one whose value does not fit."""
    found: list[Reading | str] = []
    for meter in meters:
        kind, identifier = ("usage-point", meter.usage_point) if meter.usage_point else ("meter", meter.meter)
        for sample in sorted(meter.samples, key=lambda sample: sample.block):
            decoded = decode(sample.code)
            try:
                value = canonical_value(sample.value, decoded.multiplier)
            except BalError:
                found.append(sample.code)
                continue
            quality = " ".join(sorted({*decoded.flags, *sample.qualities}))
            found.append(
                Reading(
                    "dso-a",
                    KEY.pseudonym("dso-a", kind, identifier),  # type: ignore[arg-type]
                    "",
                    decoded.quantity,
                    sample.code,
                    decoded.phase,
                    value,
                    decoded.unit,
                    sample.timestamp,
                    decoded.interval,
                    quality,
                    NOW,
                )
            )
    return found


@given(
    st.lists(meters, max_size=4, unique_by=lambda meter: meter.usage_point or meter.meter),
    st.sampled_from(("", "m:", "cim-x:")),
    st.booleans(),
    st.sampled_from(("", "\n  ", "<!-- <value>7</value> -->", "<?pi?>")),
)
def test_documents_come_back_as_what_they_were_made_of(
    meters: list[Meter], prefix: str, point_first: bool, white: str
) -> None:
    body = document(meters, prefix, point_first=point_first, white=white)
    wanted = expected(meters)
    found = list(outcomes(message(body), SOURCE, KEY, NOW))
    assert len(found) == len(wanted)
    for outcome, reading in zip(found, wanted, strict=True):
        assert outcome == reading if isinstance(reading, Reading) else isinstance(outcome, Rejection)
    streamed = Message("dso-a", "cim", lambda: io.BytesIO(body), b"")
    assert list(outcomes(streamed, SOURCE, KEY, NOW)) == found
    split, cim.SPLIT_READINGS = cim.SPLIT_READINGS, 2
    try:
        assert list(outcomes(streamed, SOURCE, KEY, NOW)) == found
    finally:
        cim.SPLIT_READINGS = split


SAMPLES = [path.read_bytes() for path in sorted(DATA.glob("*.xml"))]
PMU = (
    b'{"device":"pmu-1","timestamp":"2026-01-31T12:00:00.02Z","readings":[{"component":"BUS1","measurand":"voltmagnitude",'
    b'"phase":"A","data":230.1},{"component":"BUS2","measurand":"frequency","data":50}]}'
)


def harmless(body: bytes, form: str) -> None:
    """Read `body` both ways: only errors of the BAL, and only readings that stand in JSON as they are."""
    results: list[object] = []
    for held in (body, lambda: io.BytesIO(body)):
        try:
            results.append(list(outcomes(Message("dso-a", form, held, b""), SOURCE, KEY, NOW)))  # type: ignore[arg-type]
        except BalError as error:
            results.append(error.what)
    assert results[0] == results[1]
    if isinstance(results[0], list):
        for outcome in results[0]:
            if isinstance(outcome, Reading):
                assert is_canonical_value(outcome.value)
                assert canonical(outcome).isascii()
                assert to_json(outcome)["value"] == outcome.value


@given(st.binary(max_size=200), st.sampled_from(("cim", "pmu")))
def test_random_bytes_raise_errors_of_the_bal_only(body: bytes, form: str) -> None:
    harmless(body, form)


@given(
    st.sampled_from([*SAMPLES, PMU]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), st.binary(max_size=6)), min_size=1, max_size=6),
)
def test_mutated_documents_raise_errors_of_the_bal_only(
    body: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    form = "pmu" if body is PMU else "cim"
    for place, length, replacement in changes:
        start = int(place * len(body))
        body = body[:start] + replacement + body[start + length :]
    harmless(body, form)


def test_every_cut_of_a_document_is_unreadable_or_empty() -> None:
    step = max(1, 20 // counts(20))
    for body in SAMPLES:
        for end in range(0, len(body.rstrip()), step):
            try:
                found = list(outcomes(message(body[:end]), SOURCE, KEY, NOW))
            except BalError:
                continue
            assert found == [], "a document that was cut has been read"
