"""Bad readings are refused one by one, with reason and place; their neighbours pass."""

import pytest

from bal.core.message import Duplicate, Rejection
from bal.core.quality import AllowedTypes, IntervalGrid, QualityRules, ValueRange
from bal.core.reading import Reading
from tests.unit.normalise.samples import (
    ENERGY,
    SOURCE,
    document,
    meter_reading,
    normalised,
    reading,
    readings,
)

SECRET = "SECRET4711"


@pytest.mark.parametrize(
    "bad, code, place",
    [
        (reading("abc"), "value", "/value"),
        (reading(""), "value", "/value"),
        (reading("1,25"), "value", "/value"),
        (reading("NaN"), "value", "/value"),
        (reading("INF"), "value", "/value"),
        (reading("0x10"), "value", "/value"),
        (reading("1_000"), "value", "/value"),
        (reading("\u0661\u0662"), "value", "/value"),
        (reading("1" * 35, ref="0.0.2.4.1.1.12.0.0.0.0.0.0.0.224.0.72.0"), "value", "/value"),
        (reading("1e400"), "value", "/value"),
        (reading("9" * 5000), "invalid", "/value"),
        (reading("1<b>2</b>3"), "invalid", "/value"),
        (reading("1", more="<value>2</value>"), "invalid", "/value"),
        (reading(time="2026-02-30T00:00:00Z"), "timestamp", "/timeStamp"),
        (reading(time="yesterday"), "timestamp", "/timeStamp"),
        (reading(time="2026-01-31"), "timestamp", "/timeStamp"),
        (reading(time="2026-01-31T12:00:00"), "timestamp", "/timeStamp"),
        (reading(time="1969-12-31T23:59:59Z"), "timestamp", "/timeStamp"),
        (reading(time="2100-01-01T00:00:00Z"), "timestamp", "/timeStamp"),
        (reading(time="2026-01-31T12:00:00.1234567Z"), "timestamp", "/timeStamp"),
        (reading(time="2026-01-31T12:00:00+15:00"), "timestamp", "/timeStamp"),
        (reading(ref="kWh"), "reading-type", "/ReadingType"),
        (reading(ref=""), "reading-type", "/ReadingType"),
        (reading(ref="1.2.3"), "reading-type", "/ReadingType"),
        (reading(ref="7.6.7.20.0.12.0.0.0.3.72"), "reading-type", "/ReadingType"),
        (reading(ref=ENERGY + ".0.0"), "reading-type", "/ReadingType"),
        (reading(ref=ENERGY.replace("12", "-12")), "reading-type", "/ReadingType"),
        (reading(more="<timePeriod><start>x</start></timePeriod>"), "timestamp", "/timePeriod"),
        (
            reading(more="<timePeriod><start>2026-01-31T13:00:00Z</start></timePeriod>"),
            "timestamp",
            "/timePeriod",
        ),
        (
            reading(
                more="".join(
                    f"<ReadingQualities><quality>q{n}</quality></ReadingQualities>" for n in range(17)
                )
            ),
            "quality",
            "/ReadingQualities",
        ),
        ("<Readings/>", "timestamp", "/timeStamp"),
        (f"<Readings><value>{SECRET}</value></Readings>", "timestamp", "/timeStamp"),
        (reading("1", "2027-01-31T12:00:00Z"), "rule", ""),
    ],
)
def test_one_bad_reading_between_two_good_ones(bad: str, code: str, place: str) -> None:
    if "ReadingType" not in bad and "timeStamp" not in bad:
        bad = bad.replace("</Readings>", f'<ReadingType ref="{ENERGY}"/></Readings>').replace(
            "<Readings/>", f'<Readings><ReadingType ref="{ENERGY}"/></Readings>'
        )
    good = (reading("1"), reading("2", "2026-01-31T12:15:00Z"))
    before, refused, after = normalised(document(meter_reading(good[0], bad, good[1], meter=SECRET)))
    assert isinstance(before, Reading)
    assert isinstance(after, Reading)
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.where) == (code, f"MeterReading[1]/Readings[2]{place}")
    assert SECRET not in refused.reason + refused.where + repr(refused)
    assert SECRET in refused.fragment.decode(), "the quarantine keeps what was sent"


def test_a_corrected_fragment_can_be_sent_as_it_is() -> None:
    more = "<ReadingQualities><ReadingQualityType ref='1.4.6'/></ReadingQualities>"
    (refused,) = normalised(
        document(
            meter_reading(reading("1x", more=more), behind="<UsagePoint><mRID>a&amp;b</mRID></UsagePoint>")
        )
    )
    assert isinstance(refused, Rejection)
    (whole,) = readings(
        document(
            meter_reading(reading("1", more=more), behind="<UsagePoint><mRID>a&amp;b</mRID></UsagePoint>")
        )
    )
    assert readings(refused.fragment.replace(b"1x", b"1")) == [whole]


def test_places_within_interval_blocks() -> None:
    interval = "<IntervalReadings><timeStamp>{}</timeStamp><value>1</value></IntervalReadings>"
    block = f"<IntervalBlocks>{interval.format('2026-01-31T12:00:00Z')}{interval.format('?')}<ReadingType ref='{ENERGY}'/></IntervalBlocks>"
    found = normalised(document(meter_reading(block, block)))
    assert [outcome.where for outcome in found if isinstance(outcome, Rejection)] == [
        "MeterReading[1]/IntervalBlocks[1]/IntervalReadings[2]/timeStamp",
        "MeterReading[1]/IntervalBlocks[2]/IntervalReadings[2]/timeStamp",
    ]


def test_qualities_that_are_no_codes_are_flagged_and_ours_cannot_be_claimed() -> None:
    more = "".join(
        f"<ReadingQualities><comment>by hand</comment><ReadingQualityType ref='{code}'/></ReadingQualities>"
        for code in ("1.4.6", "no code", "bal.rule-range", "1.4.6")
    )
    (found,) = readings(document(meter_reading(reading(more=more))))
    assert found.quality == "1.4.6 bal.quality"


def test_attributes_outside_the_tables_are_taken_and_flagged() -> None:
    (found,) = readings(
        document(meter_reading(reading("3", ref="0.0.2.9.15.2.164.0.0.0.0.0.0.0.77.3.9000.0")))
    )
    assert (found.value, found.unit, found.phase) == ("3000", "cim-9000", "cim-77")
    assert found.quality == "bal.type-measurementKind bal.type-phases bal.type-unit"


def test_equal_readings_of_one_message_are_duplicates_and_others_revisions() -> None:
    found = normalised(document(meter_reading(*(reading(value) for value in ("1", "1.0", "2", "1", "1")))))
    assert [type(outcome) for outcome in found] == [Reading, Duplicate, Reading, Reading, Duplicate]


def test_rules_of_the_source_flag_and_quarantine() -> None:
    rules = QualityRules(
        ranges=(ValueRange(quantity="activeEnergy", minimum="0", maximum="20000"),),
        allowed=AllowedTypes(types=("activeEnergy",), action="quarantine"),
        grid=IntervalGrid(seconds=900, action="flag"),
    )
    source = SOURCE.model_copy(update={"rules": rules})
    found = normalised(
        document(
            meter_reading(
                reading("12"),
                reading("21", "2026-01-31T12:01:00Z"),
                reading("230", ref="0.0.0.12.0.1.54.0.0.0.0.0.0.0.128.0.29.0"),
            )
        ),
        source,
    )
    assert [outcome.quality for outcome in found if isinstance(outcome, Reading)] == [
        "",
        "bal.rule-grid bal.rule-range",
    ]
    (refused,) = (outcome for outcome in found if isinstance(outcome, Rejection))
    assert (refused.code, refused.where) == ("rule", "MeterReading[1]/Readings[3]")


def test_a_clock_that_runs_ahead_is_flagged() -> None:
    (found,) = readings(document(meter_reading(reading(time="2026-02-01T00:10:00Z"))))
    assert found.quality == "bal.rule-future"
    (found,) = readings(document(meter_reading(reading(time="2026-02-01T00:05:00Z"))))
    assert found.quality == ""
