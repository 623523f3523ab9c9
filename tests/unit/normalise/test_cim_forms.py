"""The forms IEC 61968-9 documents come in."""

import pytest

from bal.core.errors import Unreadable
from bal.core.instant import instant_text
from bal.core.message import Rejection
from bal.core.reading import Reading
from bal.core.source import Source
from tests.unit.normalise.samples import (
    DATA,
    ENERGY,
    KEY,
    NAMESPACE,
    SOURCE,
    document,
    meter_reading,
    normalised,
    reading,
    readings,
    rejection,
)


def point(identifier: str, kind: str = "meter") -> str:
    return KEY.pseudonym("dso-a", kind, identifier)  # type: ignore[arg-type]


def test_a_bare_document_becomes_readings_in_document_order() -> None:
    body = document(
        meter_reading(reading("1"), reading("2", "2026-01-31T12:15:00Z")),
        meter_reading(reading("3"), meter="METER-2"),
    )
    found = readings(body)
    assert found[0] == Reading(
        source="dso-a",
        point=point("METER-1"),
        component="",
        quantity="activeEnergy",
        reading_type=ENERGY,
        phase="ABC",
        value="1000",
        unit="Wh",
        timestamp=found[0].timestamp,
        interval=900,
        quality="",
        received_at=found[0].received_at,
    )
    assert [(item.value, item.point) for item in found] == [
        ("1000", point("METER-1")),
        ("2000", point("METER-1")),
        ("3000", point("METER-2")),
    ]


def test_intervals_in_an_event_message_with_everything_behind_its_use() -> None:
    found = readings((DATA / "enveloped_intervals.xml").read_bytes())
    assert [(item.quantity, item.value, item.unit, item.interval, item.quality) for item in found] == [
        ("activeEnergy", "6519095.5", "Wh", 900, "1.0.0 5.4.260"),
        ("activeEnergy", "6519139.6", "Wh", 900, ""),
        ("reactiveEnergy", "835.8", "varh", 900, ""),
    ]
    assert instant_text(found[0].timestamp) == "2024-05-06T16:15:00.000000Z"
    assert {item.point for item in found} == {point("SAMPLE-0001@MeterUniqueID@Example DSO")}


def test_an_operation_with_prefixes_keeps_the_good_reading_and_refuses_the_bad_one() -> None:
    good, bad = normalised((DATA / "operation_prefixed.xml").read_bytes())
    assert isinstance(good, Reading)
    assert (good.value, good.unit, good.quantity, good.point) == (
        "1250",
        "W",
        "activePower",
        point("SAMPLE-0002"),
    )
    assert isinstance(bad, Rejection)
    assert (bad.code, bad.where) == ("reading-type", "MeterReading[1]/Readings[2]/ReadingType")


def test_gas_and_water_another_year_another_encoding_and_foreign_elements() -> None:
    found = readings((DATA / "many_commodities.xml").read_bytes())
    assert [(item.quantity, item.value, item.unit) for item in found] == [
        ("gasVolume", "1234.567", "m3"),
        ("waterVolume", "98765", "l"),
        ("temperature", "18", "degC"),
    ]
    assert found[1].timestamp == found[0].timestamp, "24:00 is the beginning of the next day"
    assert found[0].point == point("SAMPLE-GAS-POINT", "usage-point")


def test_reading_types_defined_behind_nested_or_by_attributes() -> None:
    found = readings((DATA / "types_defined_behind.xml").read_bytes())
    assert [(item.quantity, item.phase, item.value, item.interval) for item in found] == [
        ("activeEnergy", "ABC", "5000", 900),
        ("voltageMagnitude", "A", "231.4", 0),
        ("frequency", "none", "50.02", 0),
    ]
    assert found[0].point == point("SAMPLE-POINT", "usage-point")


@pytest.mark.parametrize(
    "namespace",
    [
        "http://iec.ch/TC57/2009/MeterReadings#",
        "http://iec.ch/TC57/2023/MeterReadings#",
        "http://www.iec.ch/TC57/2008/MeterReadings",
        "",
    ],
)
def test_any_year_of_the_namespace_and_none(namespace: str) -> None:
    assert len(readings(document(meter_reading(reading()), namespace=namespace))) == 1


@pytest.mark.parametrize(
    "envelope",
    [
        "<ResponseMessage xmlns='http://iec.ch/TC57/2011/schema/message'><Payload>{}</Payload></ResponseMessage>",
        "<RequestMessage xmlns='http://iec.ch/TC57/2011/schema/message'><Payload>{}</Payload></RequestMessage>",
        "<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body><op><Payload>{}</Payload></op></s:Body></s:Envelope>",
        "<whatever>{}</whatever>",
    ],
)
def test_any_envelope(envelope: str) -> None:
    body = envelope.format(document(meter_reading(reading())).decode()).encode()
    assert len(readings(body)) == 1


def test_two_payloads_in_one_envelope_are_told_apart() -> None:
    inner = document(meter_reading(reading("x"))).decode()
    first, second = normalised(f"<a>{inner}{inner}</a>".encode())
    assert isinstance(first, Rejection)
    assert isinstance(second, Rejection)
    assert first.where == "MeterReading[1]/Readings[1]/value"
    assert second.where == "MeterReadings[2]/MeterReading[1]/Readings[1]/value"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    assert len(readings(document(meter_reading(reading())).decode().encode(encoding))) == 1


def test_first_edition_names() -> None:
    body = document(
        "<MeterReading><MeterAsset><mRID>M</mRID></MeterAsset><Readings><value>7</value>"
        f"<timeStamp>2026-01-31T12:00:00Z</timeStamp><ReadingType ref='{ENERGY}'/>"
        "<ReadingQualities><quality>valid</quality></ReadingQualities></Readings>"
        "<ServiceDeliveryPoint><mRID>P</mRID></ServiceDeliveryPoint></MeterReading>"
    )
    (found,) = readings(body)
    assert (found.point, found.quality) == (point("P", "usage-point"), "valid")


def test_a_code_of_nineteen_numbers_is_read_from_both_ends_and_flagged() -> None:
    (found,) = readings(document(meter_reading(reading(ref="0.26.0.0.1.1.12.0.0.0.0.0.0.0.0.224.3.72.0"))))
    assert (found.phase, found.value, found.unit, found.quality) == ("ABC", "12500", "Wh", "bal.type-19")
    assert found.reading_type == "0.26.0.0.1.1.12.0.0.0.0.0.0.0.0.224.3.72.0"


def test_which_identifier_is_the_point() -> None:
    both = meter_reading(reading(), meter="M", behind="<UsagePoint><mRID>P</mRID></UsagePoint>")
    nameless = meter_reading(reading(), meter="M", behind="<UsagePoint><mRID> </mRID></UsagePoint>")
    by_meter = SOURCE.model_copy(update={"point_from": "meter"})
    assert readings(document(both))[0].point == point("P", "usage-point")
    assert readings(document(both), by_meter)[0].point == point("M")
    assert readings(document(nameless))[0].point == point("M")
    unnamed = rejection(document(meter_reading(reading(), meter="")))
    assert (unnamed.code, unnamed.where) == ("point", "MeterReading[1]/Readings[1]")


def test_the_order_of_names_does_not_matter() -> None:
    names = [
        "<Names><name>B-7</name><NameType><name>Serial</name></NameType></Names>",
        "<Names><name>A-7</name><NameType><name>Utility</name></NameType></Names>",
    ]
    points = {
        readings(document(f"<MeterReading><Meter>{''.join(order)}</Meter>{reading()}</MeterReading>"))[
            0
        ].point
        for order in (names, names[::-1])
    }
    assert points == {point("B-7@Serial")}


def test_two_meters_in_one_meter_reading_are_refused() -> None:
    body = document(meter_reading(reading(), behind="<Meter><mRID>METER-2</mRID></Meter>"))
    assert rejection(body).reason == "the MeterReading names two usage points or meters"


@pytest.mark.parametrize(
    "period, interval, quality",
    [
        ("<start>2026-01-31T11:45:00Z</start><end>2026-01-31T12:00:00Z</end>", 900, ""),
        ("<end>2026-01-31T12:00:00Z</end>", 900, ""),
        ("", 900, ""),
        ("<start>2026-01-31T11:00:00Z</start><end>2026-01-31T12:00:00Z</end>", 3600, "bal.period"),
        ("<start>2026-01-31T11:45:00Z</start><end>2026-01-31T12:00:01Z</end>", 901, "bal.period"),
    ],
)
def test_time_periods(period: str, interval: int, quality: str) -> None:
    (found,) = readings(document(meter_reading(reading(more=f"<timePeriod>{period}</timePeriod>"))))
    assert (instant_text(found.timestamp), found.interval, found.quality) == (
        "2026-01-31T12:00:00.000000Z",
        interval,
        quality,
    )


def test_a_time_period_stands_in_for_a_missing_time_stamp() -> None:
    one = (
        f"<Readings><value>1</value><ReadingType ref='{ENERGY}'/><timePeriod><start>2026-01-31T11:45:00Z</start>"
        "<end>2026-01-31T12:00:00Z</end></timePeriod></Readings>"
    )
    (found,) = readings(document(meter_reading(one)))
    assert (instant_text(found.timestamp), found.interval) == ("2026-01-31T12:00:00.000000Z", 900)


def test_local_times_are_read_in_the_zone_of_the_source_and_doubtful_ones_refused() -> None:
    rome = Source(name="dso-a", lane="main", time_zone="Europe/Rome")
    times = ["2025-10-26T01:45:00", "2025-10-26T02:15:00", "2025-10-26T03:00:00", "2025-03-30T02:30:00"]
    body = document(meter_reading(*(reading(time=time) for time in times)))
    first, twice, third, never = normalised(body, rome)
    assert isinstance(first, Reading)
    assert isinstance(third, Reading)
    assert [instant_text(item.timestamp) for item in (first, third)] == [
        "2025-10-25T23:45:00.000000Z",
        "2025-10-26T02:00:00.000000Z",
    ]
    for outcome in (twice, never):
        assert isinstance(outcome, Rejection)
        assert outcome.code == "timestamp"
    assert "no offset" in rejection(document(meter_reading(reading(time=times[0])))).reason


@pytest.mark.parametrize("name", ["pending", "Pending", "PendingCalculation"])
def test_a_calculation_that_is_still_to_be_applied_is_flagged_not_applied(name: str) -> None:
    block = (
        "<IntervalBlocks><IntervalReadings><timeStamp>2026-01-31T12:00:00Z</timeStamp><value>7</value></IntervalReadings>"
        f"<{name}><scalarNumerator>10</scalarNumerator><ReadingType ref='x'/></{name}><ReadingType ref='{ENERGY}'/>"
        "</IntervalBlocks>"
    )
    (found,) = readings(document(meter_reading(block)))
    assert (found.value, found.quality) == ("7000", "bal.pending")


def test_a_document_without_readings_is_readable() -> None:
    assert normalised(document()) == []
    assert normalised(document(meter_reading())) == []


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"", "well-formed"),
        (b"   ", "well-formed"),
        (b"hello", "does not begin"),
        (b"{}", "does not begin"),
        (b"<a/>", "no MeterReadings"),
        (b"<Message><Payload><Compressed>H4sI</Compressed></Payload></Message>", "compressed"),
        (document(meter_reading(reading()))[:-3], "well-formed"),
        (document(meter_reading(reading())) + b"<x/>", "well-formed"),
        (document(meter_reading(reading()), namespace="http://vendor.example/MeterReadings#"), "namespace"),
        (
            f'<MeterReadings xmlns="{NAMESPACE}"><MeterReading xmlns="urn:x"/></MeterReadings>'.encode(),
            "namespace",
        ),
    ],
)
def test_what_cannot_be_read_as_a_whole(body: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        normalised(body)


def test_readings_in_the_wrong_place_are_told_not_dropped() -> None:
    outside = document(reading())
    assert rejection(outside).reason == "readings stand where the standard has none"
    assert rejection(outside).where == "MeterReadings[1]"
    strange = document("<MeterReading><ReadingTime>2026</ReadingTime><Value kWh='1'/></MeterReading>")
    assert (rejection(strange).code, rejection(strange).where) == ("structure", "MeterReading[1]")
