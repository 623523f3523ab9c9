"""Time cut into buckets, so that no partition grows without end: by what is measured, never by a setting.

A bucket is a function of the reading type alone, which is part of the natural key: all revisions of a reading are in one
partition, and what was written is found by the same rule for ever.
"""

from typing import Final

_SECOND: Final = 1_000_000
SLOT_SECONDS: Final = 300
"""Readings of a whole source are found by five minutes of their timestamps; instants (PMU) are kept by them too."""
DAY_SECONDS: Final = 86_400
ERA_SECONDS: Final = 30 * DAY_SECONDS
"""The longest bucket. What there is of a point or a source is listed by eras."""
_REACHES: Final = 24
"""Reaches in a bucket: 30 hours (a day's file), an hour, 12.5 seconds (more than a batch window)."""
_LONG_PERIODS: Final = frozenset(("1", "2", "4", "5", "7"))
"""Measuring periods of ten minutes and more: 10, 15, 24 h, 30, 60 minutes (IEC 61968-9, annex C, attribute 3)."""
_CIM_MEMBERS: Final = 11


def span_of(reading_type: str) -> int:
    """Return how many seconds one partition of readings of this type covers: less than 100,000 of one point each.

    30 days where the CIM code says ten minutes or longer (4,320 readings), a day for other CIM codes (86,400 at one a
    second), five minutes for PMU measurands (15,000 at 50 a second, by phase and component).
    """
    members = reading_type.split(".")
    if len(members) < _CIM_MEMBERS:
        return SLOT_SECONDS
    return ERA_SECONDS if members[2] in _LONG_PERIODS else DAY_SECONDS


def bucket_of(timestamp: int, span: int) -> int:
    """Return the number of the bucket of `span` seconds that holds `timestamp` (microseconds)."""
    return timestamp // (span * _SECOND)


def reach_of(span: int) -> int:
    """Return how many microseconds the readings of one row may be apart in buckets of `span` seconds.

    So a query reads rows that are no further than this beyond the times it asks for.
    """
    return span * _SECOND // _REACHES


def slot_of(timestamp: int) -> int:
    """Return the number of the five minutes that hold `timestamp` (microseconds)."""
    return timestamp // (SLOT_SECONDS * _SECOND)


def era_of(timestamp: int) -> int:
    """Return the number of the 30 days that hold `timestamp` (microseconds)."""
    return timestamp // (ERA_SECONDS * _SECOND)


def within(era: int, span: int) -> range:
    """Return the numbers of the buckets of `span` seconds in an era, newest first."""
    count = ERA_SECONDS // span
    return range((era + 1) * count - 1, era * count - 1, -1)
