"""Times: exactly or not at all."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.instant import from_datetime, instant_text
from bal.normalise.refusal import Refusal
from bal.normalise.times import TimeReader, whole_seconds


@pytest.mark.parametrize(
    "text, instant",
    [
        ("2019-09-13T12:30:00Z", "2019-09-13T12:30:00.000000Z"),
        (" 2019-09-13T12:30:00Z\n", "2019-09-13T12:30:00.000000Z"),
        ("2019-09-13 12:30:00Z", "2019-09-13T12:30:00.000000Z"),
        ("2019-09-13T12:30Z", "2019-09-13T12:30:00.000000Z"),
        ("2019-09-13T12:30:00.5Z", "2019-09-13T12:30:00.500000Z"),
        ("2019-09-13T12:30:00.123456000Z", "2019-09-13T12:30:00.123456Z"),
        ("2019-09-13T12:30:00+02:00", "2019-09-13T10:30:00.000000Z"),
        ("2019-09-13T12:30:00-0530", "2019-09-13T18:00:00.000000Z"),
        ("2019-09-13T12:30:00+02", "2019-09-13T10:30:00.000000Z"),
        ("2019-12-31T24:00:00Z", "2020-01-01T00:00:00.000000Z"),
        ("2020-02-29T24:00:00.000+01:00", "2020-02-29T23:00:00.000000Z"),
    ],
)
def test_forms(text: str, instant: str) -> None:
    assert instant_text(TimeReader(None).read(text)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2019-09-13",
        "12:30:00Z",
        "20190913T123000Z",
        "2019-09-13T12:30:60Z",
        "2019-09-13T24:00:01Z",
        "2019-09-13T25:00:00Z",
        "2019-02-29T00:00:00Z",
        "2019-09-13T12:30:00+14:01",
        "2019-09-13T12:30:00+01:60",
        "2019-09-13T12:30:00.0000001Z",
        "2019-09-13T12:30:00",
        "9999-12-31T24:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "0000-01-01T00:00:00Z",
        "12019-09-13T12:30:00Z",
        "-2019-09-13T12:30:00Z",
        "2019-09-13T12:30:00Zx",
        "2019-09-13T12:30:00." + "0" * 41 + "Z",
        "1568377800",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        TimeReader(None).read(text)
    assert refused.value.code == "timestamp"
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", ""])
def test_an_unknown_zone_refuses_local_times_only(zone: str) -> None:
    reader = TimeReader(zone)
    assert reader.read("2019-09-13T12:30:00Z") == 1568377800000000
    with pytest.raises(Refusal, match="zone"):
        reader.read("2019-09-13T12:30:00")


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 - a clock's reading
    st.integers(-14 * 60, 14 * 60),
)
def test_every_time_with_an_offset_is_read_as_the_standard_library_does(
    moment: datetime, minutes: int
) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert TimeReader("Europe/Rome").read(aware.isoformat()) == from_datetime(aware)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2037, 12, 30)))  # noqa: DTZ001 - a clock's reading
def test_local_times_are_read_or_refused_never_shifted(moment: datetime) -> None:
    reader = TimeReader("Europe/Rome")
    try:
        instant = reader.read(moment.isoformat())
    except Refusal:
        return
    local = datetime.fromtimestamp(instant // 1_000_000, UTC).astimezone(reader._zone)
    assert local.replace(tzinfo=None, microsecond=moment.microsecond) == moment


def test_whole_seconds() -> None:
    assert whole_seconds(0, 900_000_000) == 900
    for start, end in ((1, 0), (0, 1)):
        with pytest.raises(Refusal):
            whole_seconds(start, end)
