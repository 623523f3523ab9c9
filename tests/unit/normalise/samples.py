"""Documents and the arguments they are normalised with."""

from pathlib import Path

from bal.core.instant import parse_instant
from bal.core.message import Form, Message, Outcome, Rejection
from bal.core.pseudonym import PseudonymKey
from bal.core.reading import Reading
from bal.core.source import Source
from bal.normalise.outcomes import outcomes

DATA = Path(__file__).parents[2] / "data" / "cim"
SOURCE = Source(name="dso-a", lane="main")
KEY = PseudonymKey(1, b"k" * 32)
NOW = parse_instant("2026-02-01T00:00:00.000000Z")
ENERGY = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.224.3.72.0"
"""Quarter-hour active energy, kWh."""
NAMESPACE = "http://iec.ch/TC57/2011/MeterReadings#"


def reading(
    value: str = "12.5", time: str = "2026-01-31T12:00:00Z", ref: str = ENERGY, more: str = ""
) -> str:
    return f'<Readings><timeStamp>{time}</timeStamp><value>{value}</value>{more}<ReadingType ref="{ref}"/></Readings>'


def meter_reading(*readings: str, meter: str = "METER-1", behind: str = "") -> str:
    return f"<MeterReading><Meter><mRID>{meter}</mRID></Meter>{''.join(readings)}{behind}</MeterReading>"


def document(*meter_readings: str, namespace: str = NAMESPACE) -> bytes:
    return f'<MeterReadings xmlns="{namespace}">{"".join(meter_readings)}</MeterReadings>'.encode()


def message(body: bytes, form: Form = "cim", device: str = "") -> Message:
    return Message("dso-a", form, body, b"\0" * 32, device)


def normalised(body: bytes, source: Source = SOURCE, form: Form = "cim", device: str = "") -> list[Outcome]:
    return list(outcomes(message(body, form, device), source, KEY, NOW))


def readings(body: bytes, source: Source = SOURCE) -> list[Reading]:
    found = normalised(body, source)
    assert all(isinstance(outcome, Reading) for outcome in found), found
    return [outcome for outcome in found if isinstance(outcome, Reading)]


def rejection(body: bytes, source: Source = SOURCE) -> Rejection:
    """Return the one rejection of a document whose only reading is refused."""
    (outcome,) = normalised(body, source)
    assert isinstance(outcome, Rejection), outcome
    return outcome
