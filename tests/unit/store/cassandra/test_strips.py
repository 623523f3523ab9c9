from __future__ import annotations

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import Address
from bal.core.entry import Entry, Erasure
from bal.core.errors import Invalid
from bal.core.reading import Reading
from bal.store.cassandra.buckets import reach_of
from bal.store.cassandra.strips import (
    STRIP_READINGS,
    Strip,
    encode_readings,
    indexes_of,
    pack,
    partition_of,
    strips,
)
from tests.unit.store.rows import START, point, reading

ERASURE = Erasure("dso-a", "bal-1:0:7", "ab" * 32, "operator", "asked", START)
PMU: dict[str, Any] = {
    "quantity": "voltageMagnitude",
    "reading_type": "voltmagnitude",
    "unit": "V",
    "interval": 0,
}
_readings = st.builds(
    reading,
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from([0, 1, 2, 95, 119, 121, 4000]),
    point=st.integers(0, 1).map(point),
    phase=st.sampled_from(["A", "none"]),
    component=st.sampled_from(["", "BUS1", 'a"\\\n']),
    quality=st.sampled_from(["", "1.4.6 3.0.1"]),
    received_at=st.integers(START, START + 2),
)
_frames = st.builds(
    lambda value, frame: reading(str(value), **PMU, timestamp=START + frame * 20_000),
    st.integers(0, 9),
    st.integers(0, 20_000),
)
_entries: st.SearchStrategy[Entry] = st.one_of(st.just(ERASURE), _readings, _frames)


@given(st.lists(_entries, max_size=40))
def test_every_reading_comes_back_once_at_its_address(entries: list[Entry]) -> None:
    found: dict[Address, Reading] = {}
    keys = set()
    for partition, strip in strips("bal-1", 7, entries):
        assert strip.newest - strip.oldest <= reach_of(partition.span)
        held = strip.readings(partition)
        times = [each.timestamp for _, each in held]
        assert (min(times), max(times)) == (strip.oldest, strip.newest)
        assert {partition_of(each) for _, each in held} == {partition}
        assert indexes_of(strip.indexes) == tuple(address.index for address, _ in held)
        found |= dict(held)
        keys.add((*partition, *strip.key))
    assert found == {
        Address("bal-1", 7, index): each for index, each in enumerate(entries) if isinstance(each, Reading)
    }
    assert len(keys) == len(list(strips("bal-1", 7, entries)))


def test_a_days_file_is_one_strip_and_a_stream_one_for_each_256_frames() -> None:
    day = [reading(str(at), at, point=point(number)) for number in range(2) for at in range(20, 116)]
    assert len(list(strips("bal-1", 0, day))) == 2
    frames = [reading(str(at), **PMU, timestamp=START + at * 20_000) for at in range(STRIP_READINGS + 1)]
    assert [(strip.number, len(indexes_of(strip.indexes))) for _, strip in strips("bal-1", 0, frames)] == [
        (0, STRIP_READINGS),
        (1, 1),
    ]


def test_times_far_apart_are_put_in_order_before_they_are_cut() -> None:
    mixed = [reading(str(at), at) for pair in zip(range(4), range(200, 204), strict=True) for at in pair]
    found = [strip for _, strip in strips("bal-1", 0, mixed)]
    assert [indexes_of(strip.indexes) for strip in found] == [(0, 2, 4, 6), (1, 3, 5, 7)]


def test_what_is_common_stands_once_and_short_contents_are_plain() -> None:
    contents = encode_readings([reading(str(at), at, quality="1.4.6") for at in range(4)])
    component, reading_type, _, _, _, quality, *_, received_at = json.loads(contents)
    assert (component, reading_type, quality) == ("", reading().reading_type, "1.4.6")
    assert received_at == reading().received_at
    phases = json.loads(encode_readings([reading("1", phase=phase) for phase in "ABC"]))
    assert phases[:6] == ["", reading().reading_type, ["A", "B", "C"], "Wh", 900, ""]
    long = encode_readings([reading(str(at), at) for at in range(STRIP_READINGS)])
    assert len(zlib.decompress(long)) > 2 * len(long)


def _sealed() -> tuple[Any, Strip]:
    ((partition, strip),) = strips("bal-1", 7, [reading(str(at), at, phase="A") for at in range(3)])
    return partition, strip


@given(st.data())
def test_altered_bytes_are_invalid_or_say_something_else(data: st.DataObject) -> None:
    partition, strip = _sealed()
    member = data.draw(st.sampled_from(["indexes", "contents"]))
    altered: dict[str, Any] = {}
    blob = bytearray(getattr(strip, member))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    altered[member] = bytes(blob)
    try:
        found = strip._replace(**altered).readings(partition)
    except Invalid:
        return
    assert found != strip.readings(partition)


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_for_contents(blob: bytes) -> None:
    partition, strip = _sealed()
    for contents in (blob, b"[" + blob, zlib.compress(blob)):
        with pytest.raises(Invalid):
            strip._replace(contents=contents).readings(partition)


_COLUMNS: list[Any] = ["", "x", "none", "Wh", 900, "", ["1", "2", "3"], [START] * 3, START]


@pytest.mark.parametrize(
    "columns",
    [
        _COLUMNS[:-1],
        [*_COLUMNS, ""],
        [*_COLUMNS[:6], ["1", "2"], *_COLUMNS[7:]],
        [*_COLUMNS[:6], ["1", "2", "3", "4"], *_COLUMNS[7:]],
        [*_COLUMNS[:6], ["1", 2, "3"], *_COLUMNS[7:]],
        [*_COLUMNS[:3], None, *_COLUMNS[4:]],
        [*_COLUMNS[:-1], 1.5],
        [*_COLUMNS[:-1], True],
        [*_COLUMNS[:7], [START, START, START + 1], *_COLUMNS[8:]],
        [*_COLUMNS[:7], [START, START, START - 1], *_COLUMNS[8:]],
        {"component": ""},
        [[]] * 9,
    ],
)
def test_columns_that_are_not_those_of_readings_are_refused(columns: object) -> None:
    partition, strip = _sealed()
    fitting = strip._replace(newest=START, oldest=START, contents=json.dumps(_COLUMNS).encode())
    assert len(fitting.readings(partition)) == 3
    with pytest.raises(Invalid, match="altered"):
        fitting._replace(contents=json.dumps(columns).encode()).readings(partition)


@pytest.mark.parametrize(
    "altered",
    [
        {"newest": START + 2 * 900_000_000 - 1},
        {"oldest": START + 1},
        {"newest": START + reach_of(30 * 86_400) + 1},
        {"oldest": START - 2 * 86_400_000_000},
        {"oldest": None},
        {"indexes": None},
        {"indexes": b""},
        {"indexes": b"\0\0\0\1"},
        {"indexes": b"\0\0\0\1\0"},
        {"contents": None},
    ],
)
def test_a_strip_that_a_query_might_miss_is_refused(altered: dict[str, Any]) -> None:
    partition, strip = _sealed()
    with pytest.raises(Invalid):
        strip._replace(**altered).readings(partition)
    with pytest.raises(Invalid):
        strip.readings(partition._replace(bucket=partition.bucket + 1))


def test_indexes_are_those_of_the_largest_batch() -> None:
    assert indexes_of(pack([0, 65_535])) == (0, 65_535)
