"""A reading: one value of one quantity at one measuring point at one time."""

import hashlib
from typing import NamedTuple


class Reading(NamedTuple):
    r"""A normalised reading, its members in the order of the SCD's columns.

    A named tuple because it crosses process boundaries, is bound to statements and is built a million times a minute.
    All texts hold printable ASCII without `"` and `\`, so that they stand in JSON as they are.
    """

    source: str
    point: str
    """Pseudonym of the usage point, meter or PMU device: 26 characters of base32."""
    component: str
    """Place within the device (`BUS1`); empty for meters."""
    quantity: str
    """Readable name derived from the reading type (`activeEnergy`)."""
    reading_type: str
    """The CIM code or PMU measurand it came from."""
    phase: str
    value: str
    """Canonical decimal (`bal.core.value`), multiplier applied."""
    unit: str
    """SI symbol."""
    timestamp: int
    """End of the interval, microseconds UTC."""
    interval: int
    """Length of the interval in seconds; 0 is an instant."""
    quality: str
    """Quality codes, sorted, without repeats, joined by one space; empty for none."""
    received_at: int
    """When the BAL took the message in, microseconds UTC."""

    @property
    def natural_key(self) -> tuple[str, str, str, str, str, int]:
        """(source, point, component, reading_type, phase, timestamp): what a revision has in common with its elder."""
        return (self.source, self.point, self.component, self.reading_type, self.phase, self.timestamp)

    @property
    def content(self) -> tuple[str, str, int, str]:
        """(value, unit, interval, quality): two readings of one natural key are equal when these are."""
        return (self.value, self.unit, self.interval, self.quality)


def natural_key_digest(key: tuple[str, str, str, str, str, int]) -> bytes:
    """Return the SHA-256 of a natural key, its parts separated by 0x00 (no part can hold one)."""
    return hashlib.sha256("\0".join(map(str, key)).encode()).digest()
