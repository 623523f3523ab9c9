"""What is sent to a service that dies: a document over many batches, small ones, one with a reading to be refused."""

from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Final

from bal.core.message import Message
from bal.simulate.plan import DsoPlan

START: Final = 1_750_000_500
LARGE = DsoPlan("dso-large", 7, 12, START, meters_per_document=12, quarters_per_document=1)
SMALL = DsoPlan("dso-small", 8, 1, START, meters_per_document=1)
SMALL_COUNT: Final = 5
MIXED: Final = "dso-mixed"
SOURCES: Final = (LARGE.source, SMALL.source, MIXED)
_TYPE = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"


def _mixed() -> bytes:
    readings = "".join(
        f"<Readings><timeStamp>2025-06-15T1{n}:00:00Z</timeStamp><value>{value}</value>"
        f'<ReadingType ref="{_TYPE}"/></Readings>'
        for n, value in enumerate(("11", "no number", "13"))
    )
    return (
        '<MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#"><MeterReading><Meter><mRID>M1</mRID></Meter>'
        f"{readings}</MeterReading></MeterReadings>"
    ).encode()


def named(plan: DsoPlan, suffix: str) -> DsoPlan:
    """Return the plan of a source whose name ends in `suffix`."""
    return replace(plan, source=f"{plan.source}{suffix}")


@cache
def letters(suffix: str = "") -> list[Message]:
    """Return the messages in the order they are sent; `suffix` ends the names of their sources."""
    small = [(SMALL.source, SMALL.message(n).payload) for n in range(SMALL_COUNT)]
    bodies = [*small[:2], (LARGE.source, LARGE.message(0).payload), (MIXED, _mixed()), *small[2:]]
    return [Message(f"{source}{suffix}", "cim", body, sha256(body).digest()) for source, body in bodies]
