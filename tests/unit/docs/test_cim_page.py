import hashlib
import json

from bal.core import quality, reading_type
from bal.core.message import Message
from bal.core.pseudonym import PseudonymKey
from bal.core.reading import Reading
from bal.core.source import Source
from bal.normalise.outcomes import outcomes
from tests.unit.docs.pages import code, example, page, prose, rows, section

PAGE = "docs/cim.md"
KEY = PseudonymKey(1, bytes(32))
NOW = 1_800_000_000_000_000


def read(form: str, body: bytes, device: str = "") -> list[object]:
    message = Message("dso-a", "cim" if form == "cim" else "pmu", body, hashlib.sha256(body).digest(), device)
    return list(outcomes(message, Source(name="dso-a", lane="bal-1"), KEY, NOW))


def test_every_quality_code_of_ours_is_listed() -> None:
    told = {code(cells[0]) for cells in rows(section(page(PAGE), "## Quality"))}
    ours = {
        value for name, value in vars(quality).items() if name.isupper() and str(value).startswith("bal.")
    }
    assert len(ours) >= 7
    assert told == ours | {reading_type.NINETEEN_NUMBERS, f"{reading_type.UNKNOWN}{{attribute}}"}


def test_the_pmu_message_is_read() -> None:
    found = read("pmu", example(PAGE, "pmu").encode(), "pmu-1")
    assert [(each.quantity, each.value) for each in found if isinstance(each, Reading)] == [
        ("voltageMagnitude", "230.1"),
        ("frequency", "50.012"),
    ]


def test_every_measurand_is_listed_with_its_unit() -> None:
    text = prose(section(page(PAGE), "## PMU messages"))
    for name, (_, unit) in reading_type._MEASURANDS.items():
        assert f"`{name}` {unit}" in text
    assert {phase for phase in reading_type.PMU_PHASES if f"`{phase}`" not in text} == set()


def test_the_multiplier_is_applied_as_the_page_says() -> None:
    assert "12.5 with multiplier 3 and unit 72 is `12500` `Wh`" in prose(page(PAGE))
    body = (
        '<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading><Meter><mRID>m</mRID></Meter>'
        "<Readings><timeStamp>2019-09-13T12:30:00Z</timeStamp><value>12.5</value>"
        '<ReadingType ref="0.26.0.1.1.1.12.0.0.0.0.0.0.0.224.3.72.0"/></Readings></MeterReading></MeterReadings>'
    )
    (found,) = read("cim", body.encode())
    assert isinstance(found, Reading)
    assert (found.value, found.unit) == ("12500", "Wh")


def test_members_that_scale_are_refused_as_listed() -> None:
    from bal.normalise.pmu import _RESCALING

    text = prose(section(page(PAGE), "## PMU messages"))
    assert {name for name in _RESCALING if f"`{name}`" not in text} == set()
    message = json.loads(example(PAGE, "pmu"))
    message["readings"][0]["scale"] = 2
    found = read("pmu", json.dumps(message).encode(), "pmu-1")
    assert [type(each).__name__ for each in found] == ["Rejection", "Reading"]
