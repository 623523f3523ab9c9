"""Times of documents: ISO 8601 texts to microseconds, exactly or not at all."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bal.core.instant import MICROSECONDS, from_datetime
from bal.core.limits import EPOCH_MAX, EPOCH_MIN
from bal.normalise.refusal import Refusal

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,40}))?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.ASCII,
)
_REMEMBERED = 1 << 15
_DAY = timedelta(days=1)


class TimeReader:
    """Reads the times of one source.

    `YYYY-MM-DDThh:mm[:ss[.ffffff]]` with `Z`, `±hh`, `±hhmm` or `±hh:mm`; `24:00` is the end of the day. A time without
    offset is read in `time_zone` (IANA name), where that is set. In the hour that a clock change repeats such a time has
    two meanings, in the hour it leaves out none: both are refused, for what is certified is not guessed.
    """

    def __init__(self, time_zone: str | None) -> None:
        self._zone: ZoneInfo | None = None
        self._lacking = "the source has no time zone"
        if time_zone is not None:
            try:
                self._zone = ZoneInfo(time_zone)
            except (ValueError, OSError, LookupError):
                self._lacking = "the time zone of the source is not known here"
        self._known: dict[str, int] = {}

    def read(self, text: str) -> int:
        """Return the microseconds since 1970 of `text`; raise `Refusal` for what is no time or would be rounded."""
        known = self._known.get(text)
        if known is None:
            known = self._read(text.strip(" \t\r\n"))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[text] = known
        return known

    def _read(self, text: str) -> int:
        match = _TIME.fullmatch(text)
        if match is None:
            raise Refusal("the time is not an ISO 8601 date and time", code="timestamp")
        year, month, day, hour, minute = map(int, match.groups()[:5])
        second, fraction, offset = int(match[6] or 0), match[7] or "", match[8]
        end_of_day = hour == 24 and minute == 0 and second == 0 and not fraction.strip("0")
        if fraction[6:].strip("0"):
            raise Refusal("the time has more than six digits after the second", code="timestamp")
        try:
            moment = datetime(year, month, day, 0 if end_of_day else hour, minute, second, tzinfo=UTC)
            if end_of_day:
                moment += _DAY
            moment = self._place(moment, offset)
        except (ValueError, OverflowError):
            raise Refusal("there is no such date or time of day", code="timestamp") from None
        instant = from_datetime(moment) + int(fraction[:6].ljust(6, "0"))
        if not EPOCH_MIN <= instant < EPOCH_MAX:
            raise Refusal("the time lies before 1970 or after 2099", code="timestamp")
        return instant

    def _place(self, moment: datetime, offset: str | None) -> datetime:
        """Return the clock reading `moment` as a moment in UTC."""
        if offset == "Z":
            return moment
        if offset is not None:
            hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
            if minutes > 59 or hours * 60 + minutes > 14 * 60:
                raise Refusal("the offset of the time is not possible", code="timestamp")
            ahead = timedelta(hours=hours, minutes=minutes)
            return moment - ahead if offset[0] == "+" else moment + ahead
        if self._zone is None:
            raise Refusal(f"the time has no offset, and {self._lacking}", code="timestamp")
        first = moment.replace(tzinfo=self._zone)
        second = first.replace(fold=1)
        if first.utcoffset() == second.utcoffset():
            return first.astimezone(UTC)
        if first.astimezone(UTC).astimezone(self._zone).replace(fold=0) == first:
            raise Refusal(
                "the local time occurs twice, as the clocks went back: send an offset", code="timestamp"
            )
        raise Refusal("there is no such local time, as the clocks went forward", code="timestamp")


def whole_seconds(start: int, end: int) -> int:
    """Return the seconds from `start` to `end` (microseconds); raise `Refusal` where they are not whole or negative."""
    seconds, fraction = divmod(end - start, MICROSECONDS)
    if seconds < 0:
        raise Refusal("the time period ends before it begins", code="timestamp")
    if fraction:
        raise Refusal("the time period is no whole number of seconds", code="timestamp")
    return seconds
