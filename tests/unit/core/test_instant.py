"""Instants: microseconds, one text each."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.errors import Malformed
from bal.core.instant import from_datetime, instant_text, parse_instant, read_instant, to_datetime
from bal.core.limits import EPOCH_MAX

INSTANTS = st.integers(-62_135_596_800_000_000, EPOCH_MAX)


@given(INSTANTS)
def test_each_instant_has_one_text(instant: int) -> None:
    text = instant_text(instant)
    if instant >= 0:
        assert parse_instant(text) == instant
        assert text == to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert from_datetime(to_datetime(instant)) == instant


@given(
    st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
)
def test_what_is_read_is_written_the_same(text: str) -> None:
    try:
        instant = parse_instant(text)
    except Malformed:
        return
    if instant >= 0:
        assert instant_text(instant) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T24:00:00.000000Z",
        "2026-01-01T23:60:00.000000Z",
        "2026-01-01T23:59:60.000000Z",
        "2026-02-30T00:00:00.000000Z",
        "2026-13-01T00:00:00.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "2026-01-01T00:00:00.000000+00:00",
        "2026-01-01T00:00:00.000000z",
        "2026-01-01t00:00:00.000000Z",
        "2026-01-01 00:00:00.000000Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.0000000Z",
        "2026-01-01T00:00:00.000000Z\n",
        " 2026-01-01T00:00:00.000000Z",
        "\u0662026-01-01T00:00:00.000000Z",
        "",
    ],
)
def test_other_texts_are_no_instants(text: str) -> None:
    with pytest.raises(Malformed):
        parse_instant(text)


def test_what_people_type_is_read() -> None:
    start = from_datetime(datetime(2026, 1, 31, tzinfo=UTC))
    assert read_instant("2026-01-31") == start
    assert read_instant("2026-01-31T01:00:00+01:00") == start
    assert read_instant(" 2026-01-31T00:00:00Z ") == start
    for text in ("2026-01-31T00:00:00", "yesterday", "2026-02-31", ""):
        with pytest.raises(Malformed):
            read_instant(text)
