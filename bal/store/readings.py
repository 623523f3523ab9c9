"""The query for readings: newest first, one of equal neighbours, the last revision or all of them."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from bal.core.address import Address
from bal.core.reading import Reading
from bal.ports import ReadingQuery, StoredReading
from bal.store.batches import READING_COLUMNS, marked_up_to
from bal.store.registry import logs
from bal.store.schema import BUCKET_MICROSECONDS

_BUCKET = f"timestamp / {BUCKET_MICROSECONDS}"
_SELECT = f"SELECT log, seq, idx, {READING_COLUMNS} FROM readings INDEXED BY readings_by_bucket WHERE "  # noqa: S608
_ORDER = (
    " ORDER BY timestamp DESC, point, quantity, component, reading_type, phase, received_at, log, seq, idx"
)
_KEY_PARTS = 6


def readings(db: sqlite3.Connection, query: ReadingQuery) -> Iterator[StoredReading]:
    """Yield what `query` asks for, bucket after bucket, newest first.

    A bucket is read with the index and ordered by the engine, so that memory does not grow with the answer.
    """
    heads = {log: marked_up_to(db, log, "anchored") for log in logs(db)}
    left = query.limit if query.limit is not None else -1
    for shown in _shown(db, query, heads):
        if left == 0:
            return
        left -= 1
        yield shown


def _shown(db: sqlite3.Connection, query: ReadingQuery, heads: dict[str, int]) -> Iterator[StoredReading]:
    rows = _rows(db, query, heads)
    for _, revisions in groupby(rows, key=lambda row: row.reading.natural_key):
        runs: Iterator[StoredReading] = (
            next(run) for _, run in groupby(revisions, key=attrgetter("reading.content"))
        )
        if query.history:
            for first in runs:
                if query.after is None or _ahead(first.position, query.after):
                    yield first
        else:
            *_, last = runs
            if query.after is None or last.position[:_KEY_PARTS] != tuple(query.after[:_KEY_PARTS]):
                yield last


def _ahead(position: tuple[object, ...], after: tuple[object, ...]) -> bool:
    """Tell whether `position` comes after `after` within one natural key; other keys the statement has sorted out."""
    return position[:_KEY_PARTS] != tuple(after[:_KEY_PARTS]) or position[_KEY_PARTS:] > tuple(
        after[_KEY_PARTS:]
    )


def _rows(db: sqlite3.Connection, query: ReadingQuery, heads: dict[str, int]) -> Iterator[StoredReading]:
    where, parameters = _conditions(query)
    bucket = _next_bucket(db, query, None)
    lowest = query.start // BUCKET_MICROSECONDS if query.start is not None else None
    while bucket is not None and (lowest is None or bucket >= lowest):
        cursor = db.execute(_SELECT + where + _ORDER, {**parameters, "bucket": bucket})
        for row in cursor:
            address, reading = Address(*row[:3]), Reading._make(row[3:])
            anchored = address.seq <= heads.get(address.log, -1)
            if anchored or not query.anchored_only:
                yield StoredReading(address, reading, anchored, _position(address, reading))
        bucket = _next_bucket(db, query, bucket)


def _position(address: Address, reading: Reading) -> tuple[object, ...]:
    key = (
        reading.timestamp,
        reading.point,
        reading.quantity,
        reading.component,
        reading.reading_type,
        reading.phase,
    )
    return (*key, reading.received_at, *address)


def _next_bucket(db: sqlite3.Connection, query: ReadingQuery, below: int | None) -> int | None:
    """Return the newest bucket that holds rows of the source, below `below` and not past the query's end."""
    bounds = [below - 1] if below is not None else []
    if query.end is not None:
        bounds.append((query.end - 1) // BUCKET_MICROSECONDS)
    if query.after is not None:
        bounds.append(query.after[0] // BUCKET_MICROSECONDS)
    limit = min(bounds) if bounds else None
    condition = f" AND {_BUCKET} <= :limit" if limit is not None else ""
    sql = f"""SELECT {_BUCKET} FROM readings INDEXED BY readings_by_bucket
              WHERE source = :source{condition} ORDER BY {_BUCKET} DESC LIMIT 1"""  # noqa: S608
    row = db.execute(sql, {"source": query.source, "limit": limit}).fetchone()
    return None if row is None else int(row[0])


def _conditions(query: ReadingQuery) -> tuple[str, dict[str, object]]:
    parts = ["source = :source", f"{_BUCKET} = :bucket"]
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
        names = ("timestamp", "point", "quantity", "component", "reading_type", "phase")
        parameters.update({f"after_{name}": part for name, part in zip(names, query.after, strict=False)})
        rest, given = ",".join(names[1:]), ",".join(f":after_{name}" for name in names[1:])
        parts.append(
            f"(timestamp < :after_timestamp OR (timestamp = :after_timestamp AND ({rest}) >= ({given})))"
        )
    return " AND ".join(parts), parameters
