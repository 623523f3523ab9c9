"""Documents of meters and PMUs, small enough to be read."""

import json

ENERGY = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
"""Quarter-hour active energy, Wh."""
GAS = "0.0.0.1.0.7.58.0.0.0.0.0.0.0.0.0.42.0"
"""Gas volume, m3."""
NAMESPACE = "http://iec.ch/TC57/2011/MeterReadings#"


def reading(value: str = "12500", time: str = "2026-01-31T12:00:00Z", ref: str = ENERGY) -> str:
    """Return one reading."""
    return (
        f'<Readings><timeStamp>{time}</timeStamp><value>{value}</value><ReadingType ref="{ref}"/></Readings>'
    )


def meter(identifier: str, *readings: str) -> str:
    """Return the readings of one usage point."""
    point = f"<UsagePoint><mRID>{identifier}</mRID></UsagePoint>"
    return f"<MeterReading>{''.join(readings)}{point}</MeterReading>"


def document(*meters: str) -> bytes:
    """Return a document."""
    return f'<MeterReadings xmlns="{NAMESPACE}">{"".join(meters)}</MeterReadings>'.encode()


def one(value: str = "12500", identifier: str = "DE-METER-1", time: str = "2026-01-31T12:00:00Z") -> bytes:
    """Return a document of one reading."""
    return document(meter(identifier, reading(value, time)))


def many(count: int, value: int = 1000, time: str = "2026-01-31T12:00:00Z") -> bytes:
    """Return a document of `count` meters with one reading each."""
    return document(*(meter(f"DE-METER-{n}", reading(str(value + n), time)) for n in range(count)))


def frame(device: str = "pmu-1", time: str = "2026-01-31T12:00:00.020Z", data: float | str = 230.5) -> bytes:
    """Return a PMU message of one voltage."""
    row = {"component": "BUS1", "measurand": "voltmagnitude", "phase": "A", "data": data}
    return json.dumps({"device": device, "timestamp": time, "readings": [row]}).encode()
