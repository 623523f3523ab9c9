"""Slices: however a bucket is cut, the answer is the same, and a page reads no more rows than it needs."""

from __future__ import annotations

import sqlite3
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from bal.core.reading import Reading
from bal.core.source import Lane
from bal.ports import ReadingQuery, StoredReading
from bal.store.sqlite import batches, registry, slices
from bal.store.sqlite.readings import readings
from bal.store.sqlite.schema import BUCKET_MICROSECONDS, SCHEMA
from tests.unit.store.rows import START, batch, point, reading


def filled(*contents: list[Reading]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(SCHEMA)
    registry.record_lane(db, Lane("bal-1", "bal-1", 1))
    previous = None
    for rows in contents:
        sealed = batch(rows, previous)
        previous = sealed.anchor
        batches.append_batch(db, sealed)
    return db


def paged(db: sqlite3.Connection, query: ReadingQuery, page: int) -> list[StoredReading]:
    found: list[StoredReading] = []
    while True:
        after = found[-1].position if found else None
        some = list(readings(db, query._replace(limit=page, after=after)))
        found += some
        if len(some) < page:
            return found


_readings = st.builds(
    reading,
    value=st.sampled_from(["1", "2"]),
    timestamp=st.integers(0, 5).map(lambda at: START + at),
    point=st.integers(0, 4).map(point),
    phase=st.sampled_from(["A", "B"]),
)


@given(
    rows=st.lists(st.lists(_readings, min_size=1, max_size=40), min_size=1, max_size=3),
    first=st.integers(1, 4),
    most=st.integers(1, 8),
    page=st.integers(1, 9),
    query=st.builds(
        ReadingQuery,
        st.just("dso-a"),
        point=st.none() | st.just(point(2)),
        start=st.none() | st.just(START + 2),
        end=st.none() | st.just(START + 4),
        history=st.booleans(),
        anchored_only=st.just(False),
        limit=st.none(),
        after=st.none(),
    ),
)
def test_small_slices_answer_as_large_ones_do(
    rows: list[list[Reading]], first: int, most: int, page: int, query: ReadingQuery
) -> None:
    db = filled(*rows)
    try:
        whole = list(readings(db, query))
        assert paged(db, query, page) == whole
        with mock.patch.multiple(slices, SLICE_ROWS=first, SLICE_ROWS_MAX=most):
            assert list(readings(db, query)) == whole
            assert paged(db, query, page) == whole
    finally:
        db.close()


def test_a_crowded_moment_is_cut_by_point_and_a_crowded_bucket_by_time() -> None:
    rows = [reading("1", point=point(number), timestamp=START) for number in range(5000)]
    rows += [reading("1", timestamp=START + at) for at in range(1, 2000)]
    db = filled(rows)
    query = ReadingQuery("dso-a")
    cut = list(slices.slices(db, query, START // BUCKET_MICROSECONDS))
    assert [part.high for part in cut] == sorted((part.high for part in cut), reverse=True)
    assert any(part.end is not None for part in cut)
    sizes = [
        db.execute(
            "SELECT count(*) FROM readings WHERE timestamp BETWEEN ? AND ? AND point >= ? AND point < ?",
            (part.low, part.high, part.point, part.end or "~"),
        ).fetchone()[0]
        for part in cut
    ]
    assert sum(sizes) == 6999
    assert sizes[0] == slices.SLICE_ROWS
    assert len(list(readings(db, query))) == 6999
    db.close()


def test_the_cut_is_found_in_the_index_alone() -> None:
    db = filled([reading("1")])
    where, parameters = slices.conditions(ReadingQuery("dso-a", quantity="activeEnergy", start=1, end=2))
    plan = db.execute(
        f"EXPLAIN QUERY PLAN SELECT timestamp, count(*) FROM readings INDEXED BY readings_by_bucket WHERE {where}"
        " GROUP BY timestamp",
        {**parameters, "bucket": 1},
    ).fetchall()
    assert "COVERING INDEX readings_by_bucket (source=? AND <expr>=?" in plan[0][3]
    db.close()
