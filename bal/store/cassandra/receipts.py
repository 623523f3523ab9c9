"""Receipts of messages, and the minutes they were taken in, by which they are found again by age."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from bal.core.message import Receipt
from bal.core.stored import BatchPlace
from bal.store.cassandra import encoding
from bal.store.cassandra.session import Row, Session, Write

_MINUTE: Final = 60_000_000
_MINUTES: Final = 60
_HOUR: Final = _MINUTES * _MINUTE
_AT_ONCE: Final = 256
_RECEIPT = "SELECT received_at, complete, detail, WRITETIME(received_at) FROM receipts WHERE source = ? AND digest = ?"
_RECORD = """INSERT INTO receipts (source, digest, received_at, complete, detail)
    VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"""
_LIST = "INSERT INTO receipts_by_minute (minute, received_at, source, digest) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
_HOUR_THERE = "INSERT INTO receipt_hours (part, hour) VALUES (0, ?) USING TIMESTAMP ?"
_HOURS = "SELECT hour FROM receipt_hours WHERE part = 0 AND hour <= ?"
_HOURS_FROM = "SELECT hour FROM receipt_hours WHERE part = 0 AND hour >= ?"
_LISTED = "SELECT received_at, source, digest FROM receipts_by_minute WHERE minute = ?"
_FORGET = "DELETE FROM receipts USING TIMESTAMP ? WHERE source = ? AND digest = ?"
_UNLIST = """DELETE FROM receipts_by_minute USING TIMESTAMP ?
    WHERE minute = ? AND received_at = ? AND source = ? AND digest = ?"""
_HOUR_GONE = "DELETE FROM receipt_hours USING TIMESTAMP ? WHERE part = 0 AND hour = ?"


async def receipt(session: Session, source: str, digest: bytes) -> tuple[Receipt, int] | None:
    """Return what is known of a message, and the timestamp it was written with. `Invalid` when it was altered."""
    row = await session.one(_RECEIPT, (source, digest))
    return None if row is None else (_read(source, digest, row), row[3] or 0)


def _read(source: str, digest: bytes, row: Row) -> Receipt:
    return encoding.receipt(source, digest, (row[0], row[1], row[2]))


def writes(receipts: Sequence[Receipt], stamp: int) -> list[Write]:
    """Return the writes of receipts, listed before they are there. A later `stamp` wins over an earlier one."""
    hours = {each.received_at // _HOUR for each in receipts}
    return [
        *((_HOUR_THERE, (hour, stamp)) for hour in sorted(hours)),
        *(
            (_LIST, (each.received_at // _MINUTE, each.received_at, each.source, each.digest, stamp))
            for each in receipts
        ),
        *((_RECORD, (*_values(each), stamp)) for each in receipts),
    ]


def _values(each: Receipt) -> tuple[object, ...]:
    return each.source, each.digest, each.received_at, each.complete, encoding.receipt_text(each)


async def forget(session: Session, before: int, stamp: int) -> int:
    """Drop complete receipts older than `before`; return how many."""
    count = 0
    for (hour,) in await session.all(_HOURS, (before // _HOUR,)):
        left = 0
        async for part in _listed(session, hour):
            gone: list[Write] = []
            for listed, found in part:
                received_at, source, digest = listed
                stale = found is None or found[0] != received_at
                old = not stale and found is not None and found[1] and received_at < before
                if not stale and not old:
                    left += 1
                    continue
                gone.append((_UNLIST, (stamp, received_at // _MINUTE, *listed)))
                if old and found is not None:
                    count += 1
                    gone.append((_FORGET, (found[3], source, digest)))  # this one, not one written meanwhile
            await session.write_many(gone)
        if not left and (hour + 1) * _HOUR <= before:
            await session.write(_HOUR_GONE, (stamp, hour))
    return count


async def readdress(session: Session, old: BatchPlace, new: BatchPlace, since: int, stamp: int) -> None:
    """Let receipts taken in at `since` or later that name addresses of `old` name those of `new`."""
    for (hour,) in await session.all(_HOURS_FROM, (since // _HOUR,)):
        async for part in _listed(session, hour):
            changed = []
            for (_, source, digest), found in part:
                if found is None or found[0] < since:
                    continue
                known = _read(source, digest, found)
                ranges = tuple(
                    each._replace(log=new.log, seq=new.seq) if (each.log, each.seq) == old else each
                    for each in known.ranges
                )
                if ranges != known.ranges:
                    detail = encoding.receipt_text(replace(known, ranges=ranges))
                    later = max(stamp, found[3] + 1)
                    changed.append((_RECORD, (source, digest, found[0], found[1], detail, later)))
            await session.write_many(changed)


async def _listed(session: Session, hour: int) -> AsyncIterator[list[tuple[Row, Row | None]]]:
    """Yield what is listed under an hour, with the receipts, some at a time."""
    for minute in range(hour * _MINUTES, (hour + 1) * _MINUTES):
        async for rows in session.pages(_LISTED, (minute,), page=_AT_ONCE):
            if not rows:
                continue
            found = await asyncio.gather(*(session.one(_RECEIPT, row[1:]) for row in rows))
            yield list(zip(rows, found, strict=True))
