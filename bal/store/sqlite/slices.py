"""Slices of a bucket: which rows to sort together, found in the index alone, so that a page costs what it shows."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from bal.core.stored import ReadingQuery
from bal.store.sqlite.schema import BUCKET_MICROSECONDS

BUCKET = f"timestamp / {BUCKET_MICROSECONDS}"
SLICE_ROWS = 512
"""Rows of the first slice; the next are each twice as large."""
SLICE_ROWS_MAX = 8192
_FROM = " FROM readings INDEXED BY readings_by_bucket WHERE "


class Slice(NamedTuple):
    """Rows with a timestamp from `low` to `high`, both included, and a point from `point` on, before `end`."""

    low: int
    high: int
    point: str = ""
    end: str | None = None


def conditions(query: ReadingQuery) -> tuple[str, dict[str, object]]:
    """Return what a row must meet for `query` within a bucket `:bucket`, by columns of the index alone."""
    parts = ["source = :source", f"{BUCKET} = :bucket"]
    parameters: dict[str, object] = {"source": query.source}
    for name, column, operator in (
        ("point", "point", "="),
        ("quantity", "quantity", "="),
        ("start", "timestamp", ">="),
        ("end", "timestamp", "<"),
    ):
        wanted = getattr(query, name)
        if wanted is not None:
            parts.append(f"{column} {operator} :{name}")
            parameters[name] = wanted
    if query.after is not None:
        parts.append("timestamp <= :after_timestamp")
        parameters["after_timestamp"] = query.after[0]
    return " AND ".join(parts), parameters


def slices(db: sqlite3.Connection, query: ReadingQuery, bucket: int) -> Iterator[Slice]:
    """Yield slices of a bucket, newest first; together they hold every row that meets `query`."""
    where, parameters = conditions(query)
    sql = f"SELECT timestamp, count(*){_FROM}{where} GROUP BY timestamp ORDER BY timestamp DESC"
    rows, size = 0, max(SLICE_ROWS, min(query.limit or 0, SLICE_ROWS_MAX))
    low = high = None
    for timestamp, count in db.execute(sql, {**parameters, "bucket": bucket}).fetchall():
        if high is not None and low is not None and rows + count > size:
            yield Slice(low, high)
            high, rows, size = None, 0, min(2 * size, SLICE_ROWS_MAX)
        if count > size and query.point is None:
            yield from _by_point(db, query, bucket, timestamp)
            continue
        high = timestamp if high is None else high
        low, rows = timestamp, rows + count
    if high is not None and low is not None:
        yield Slice(low, high)


def _by_point(db: sqlite3.Connection, query: ReadingQuery, bucket: int, timestamp: int) -> Iterator[Slice]:
    where, parameters = conditions(query)
    parameters |= {"bucket": bucket, "at": timestamp}
    sql = f"SELECT point{_FROM}{where} AND timestamp = :at AND point > :begin ORDER BY point LIMIT 1 OFFSET :rows"
    begin = str(query.after[1]) if query.after is not None and query.after[0] == timestamp else ""
    size = SLICE_ROWS
    while True:
        row = db.execute(sql, {**parameters, "begin": begin, "rows": size}).fetchone()
        yield Slice(timestamp, timestamp, begin, None if row is None else row[0])
        if row is None:
            return
        begin, size = row[0], min(2 * size, SLICE_ROWS_MAX)
