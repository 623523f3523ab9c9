"""The query for readings: newest first, one of equal neighbours, the last revision or all of them."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from bal.core.address import Address
from bal.core.reading import Reading
from bal.ports import ReadingQuery, StoredReading
from bal.store.sqlite.batches import marked_up_to
from bal.store.sqlite.registry import logs
from bal.store.sqlite.schema import BUCKET_MICROSECONDS
from bal.store.sqlite.slices import BUCKET, Slice, conditions, slices

# The inner select reads the index alone; else every row of the bucket would be fetched before its time is looked at.
_SELECT = f"""SELECT r.log, r.seq, r.idx, {",".join(f"r.{name}" for name in Reading._fields)} FROM
    (SELECT log, seq, idx FROM readings INDEXED BY readings_by_bucket WHERE {{index}}) k
    CROSS JOIN readings r ON r.log = k.log AND r.seq = k.seq AND r.idx = k.idx WHERE {{rest}}"""  # noqa: S608 - constants
_ORDER = (
    " ORDER BY r.timestamp DESC, r.point, r.quantity, r.component, r.reading_type, r.phase, r.received_at,"
    " r.log, r.seq, r.idx"
)
_KEY_PARTS = 6


def readings(db: sqlite3.Connection, query: ReadingQuery) -> Iterator[StoredReading]:
    """Yield what `query` asks for, bucket after bucket, newest first.

    A bucket is read in slices, each ordered by the engine, so that neither memory nor time grows with what is not shown.
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
    where, parameters = conditions(query)
    rest = _after(query, parameters)
    bucket = _next_bucket(db, query, None)
    lowest = query.start // BUCKET_MICROSECONDS if query.start is not None else None
    while bucket is not None and (lowest is None or bucket >= lowest):
        parameters["bucket"] = bucket
        for part in slices(db, query, bucket):
            parameters |= {f"slice_{name}": bound for name, bound in part._asdict().items()}
            sql = _SELECT.format(index=where + _slice(part), rest=rest) + _ORDER
            cursor = db.execute(sql, parameters)
            for row in cursor:
                address, reading = Address(*row[:3]), Reading._make(row[3:])
                anchored = address.seq <= heads.get(address.log, -1)
                if anchored or not query.anchored_only:
                    yield StoredReading(address, reading, anchored, _position(address, reading))
        bucket = _next_bucket(db, query, bucket)


def _slice(part: Slice) -> str:
    points = " AND point >= :slice_point" if part.point else ""
    end = " AND point < :slice_end" if part.end is not None else ""
    return f" AND timestamp BETWEEN :slice_low AND :slice_high{points}{end}"


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
    condition = f" AND {BUCKET} <= :limit" if limit is not None else ""
    sql = f"""SELECT {BUCKET} FROM readings INDEXED BY readings_by_bucket
              WHERE source = :source{condition} ORDER BY {BUCKET} DESC LIMIT 1"""  # noqa: S608
    row = db.execute(sql, {"source": query.source, "limit": limit}).fetchone()
    return None if row is None else int(row[0])


def _after(query: ReadingQuery, parameters: dict[str, object]) -> str:
    """Return what a row must meet to come after the page before, beyond its timestamp; put what it names in."""
    if query.after is None:
        return "true"
    names = ("point", "quantity", "component", "reading_type", "phase")
    parameters.update({f"after_{name}": part for name, part in zip(names, query.after[1:], strict=False)})
    rest, given = ",".join(f"r.{name}" for name in names), ",".join(f":after_{name}" for name in names)
    return f"(r.timestamp < :after_timestamp OR ({rest}) >= ({given}))"
