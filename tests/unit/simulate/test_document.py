import hashlib
import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal

import pytest
from lxml import etree

from bal.core.instant import from_datetime
from bal.core.pseudonym import IdentifierKind
from bal.core.value import canonical_value
from bal.simulate.document import Style, chunks
from bal.simulate.meter import meter
from bal.simulate.plan import DsoPlan, ExpectedReading, PmuPlan
from tests.unit.house.tree import ROOT

PLAN = DsoPlan("dso-a", 11, 25, 1_793_232_000, meters_per_document=10, quarters_per_document=2)
NUMBERS = range(24)
STYLES = [Style.of(PLAN.seed, number) for number in NUMBERS]
CIM = "{http://iec.ch/TC57/2011/MeterReadings#}"


def read(payload: bytes) -> list[ExpectedReading]:
    """Read a document with nothing of ours but the exact decimals."""
    found = []
    for part in etree.fromstring(payload).iter(f"{CIM}MeterReading"):
        usage_point = part.findtext(f"{CIM}UsagePoint/{CIM}mRID")
        kind: IdentifierKind = "usage-point" if usage_point else "meter"
        identifier = usage_point or part.findtext(f"{CIM}Meter/{CIM}mRID")
        rows = [(row, row.find(f"{CIM}ReadingType")) for row in part.findall(f"{CIM}Readings")]
        for block in part.findall(f"{CIM}IntervalBlocks"):
            rows += [
                (row, block.find(f"{CIM}ReadingType")) for row in block.findall(f"{CIM}IntervalReadings")
            ]
        for row, reading_type in rows:
            assert reading_type is not None
            code = reading_type.get("ref") or ""
            time = datetime.fromisoformat(row.findtext(f"{CIM}timeStamp") or "")
            value = canonical_value(row.findtext(f"{CIM}value") or "", int(code.split(".")[15]))
            found.append(ExpectedReading(kind, identifier or "", "", code, from_datetime(time), value))
    return found


@pytest.mark.parametrize("number", NUMBERS)
def test_a_document_says_what_is_expected_of_it(number: int) -> None:
    read_back = read(PLAN.message(number).payload)
    assert sorted(read_back) == sorted(PLAN.expected(number))
    assert len(set(read_back)) == len(read_back) > 30


def test_every_spelling_occurs() -> None:
    assert {style.prefix for style in STYLES} == {"", "m:", "ns0:", "mr:"}
    for name in ("enveloped", "blocks", "fraction"):
        assert {getattr(style, name) for style in STYLES} == {True, False}
    assert {style.offset for style in STYLES} == {0, 1, 2}
    for number, style in zip(NUMBERS, STYLES, strict=True):
        root = etree.fromstring(PLAN.message(number).payload)
        assert etree.QName(root).localname == ("EventMessage" if style.enveloped else "MeterReadings")


def test_reading_types_have_18_attributes() -> None:
    types = {one.reading_type for number in NUMBERS for one in PLAN.expected(number)}
    assert {len(code.split(".")) for code in types} == {18}
    assert len(types) == 7


def test_what_needs_escaping_is_escaped() -> None:
    number = next(number for number, style in zip(NUMBERS, STYLES, strict=True) if style.enveloped)
    text = b"".join(chunks(PLAN.seed, "<a&b>", number, [meter(PLAN.seed, 0)], [1_793_232_900]))
    assert [element.text for element in etree.fromstring(text).iter("{*}Source")] == ["<a&b>"]


def test_some_readings_are_estimated() -> None:
    text = b"".join(PLAN.message(number).payload for number in NUMBERS)
    assert 0 < text.count(b'ReadingQualityType ref="3.8.0"') < text.count(b"timeStamp>") / 20


def test_order_and_neighbours_change_nothing() -> None:
    forwards = [PLAN.message(number).payload for number in NUMBERS]
    backwards = [PLAN.message(number).payload for number in reversed(NUMBERS)]
    assert forwards == backwards[::-1]
    assert PLAN.message(3).payload != DsoPlan("dso-a", 12, 25, 1_793_232_000, 10, 2).message(3).payload
    # The same meter and time in a fleet cut another way
    other = DsoPlan("dso-a", 11, 25, 1_793_232_000, meters_per_document=25, quarters_per_document=1)
    assert sorted(one for number in range(3) for one in PLAN.expected(number)) == sorted(
        one for number in range(2) for one in other.expected(number)
    )


DIGESTS = """
import hashlib
from bal.simulate.plan import DsoPlan, PmuPlan
plans = DsoPlan("dso-a", 11, 25, 1_793_232_000, 10, 2), PmuPlan("pmu-a", 11, 3, 1_793_232_000_000_000)
text = b"".join(plan.message(number).payload for plan in plans for number in range(20))
print(hashlib.sha256(text).hexdigest())
"""


def test_processes_agree_byte_for_byte() -> None:
    here = hashlib.sha256(
        b"".join(
            plan.message(number).payload
            for plan in (PLAN, PmuPlan("pmu-a", 11, 3, 1_793_232_000_000_000))
            for number in range(20)
        )
    ).hexdigest()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == here


def test_voltages_and_energies_are_plausible() -> None:
    for number in NUMBERS:
        for one in PLAN.expected(number):
            value = Decimal(one.value)
            if one.reading_type.split(".")[6] == "54":
                assert 207 <= value <= 253
            elif one.reading_type.split(".")[3] == "4":
                assert 0 <= value < 100_000
