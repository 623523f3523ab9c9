"""Instants: 64-bit microseconds since 1970-01-01T00:00:00Z, and their one canonical text."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from bal.core.errors import Malformed

MICROSECONDS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CANONICAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")


@lru_cache(maxsize=4096)
def _seconds_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def instant_text(instant: int) -> str:
    """Return the canonical text of `instant` (microseconds), `YYYY-MM-DDTHH:MM:SS.ffffffZ` (RFC 3339)."""
    seconds, fraction = divmod(instant, MICROSECONDS)
    return f"{_seconds_text(seconds)}.{fraction:06d}Z"


def parse_instant(text: str) -> int:
    """Return the microseconds of a canonical text; raise `Malformed` for any other form."""
    if _CANONICAL.fullmatch(text):
        try:
            return from_datetime(datetime.fromisoformat(text))
        except ValueError:
            pass
    message = "this is not a time"
    raise Malformed(message, remedy="write times as YYYY-MM-DDTHH:MM:SS.ffffffZ, in UTC")


def from_datetime(moment: datetime) -> int:
    """Return the microseconds of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: int) -> datetime:
    """Return `instant` (microseconds) as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def read_instant(text: str) -> int:
    """Return the microseconds of any ISO 8601 time with an offset, or of a bare date (UTC); raise `Malformed` otherwise.

    For what people type and query; documents of sources are read by the normalise room, which also knows time zones.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is not None:
        if moment.tzinfo is None and len(text.strip()) == len("2026-01-01"):
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return from_datetime(moment)
    message = "this is not a time with an offset"
    raise Malformed(message, remedy="write it as 2026-01-31T12:00:00Z or 2026-01-31")
