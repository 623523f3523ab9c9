"""Receipts of messages, and the hours they were taken in, by which they are found again by age."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from bal.core.message import Receipt
from bal.core.stored import BatchPlace
from bal.store.cassandra import encoding
from bal.store.cassandra.session import Row, Session, Write

_HOUR: Final = 3_600_000_000
_AT_ONCE: Final = 256
_RECEIPT = "SELECT received_at, complete, detail FROM receipts WHERE source = ? AND digest = ?"
_RECORD = """INSERT INTO receipts (source, digest, received_at, complete, detail)
    VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"""
_LIST = (
    "INSERT INTO receipts_by_hour (hour, received_at, source, digest) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_HOUR_THERE = "INSERT INTO receipt_hours (part, hour) VALUES (0, ?) USING TIMESTAMP ?"
_HOURS = "SELECT hour FROM receipt_hours WHERE part = 0 AND hour <= ?"
_HOURS_FROM = "SELECT hour FROM receipt_hours WHERE part = 0 AND hour >= ?"
_LISTED = "SELECT received_at, source, digest FROM receipts_by_hour WHERE hour = ?"
_FORGET = "DELETE FROM receipts USING TIMESTAMP ? WHERE source = ? AND digest = ?"
_UNLIST = """DELETE FROM receipts_by_hour USING TIMESTAMP ?
    WHERE hour = ? AND received_at = ? AND source = ? AND digest = ?"""
_HOUR_GONE = "DELETE FROM receipt_hours USING TIMESTAMP ? WHERE part = 0 AND hour = ?"


async def receipt(session: Session, source: str, digest: bytes) -> Receipt | None:
    """Return what is known of a message. `Invalid` when it was altered."""
    row = await session.one(_RECEIPT, (source, digest))
    return None if row is None else encoding.receipt(source, digest, (row[0], row[1], row[2]))


def writes(receipts: Sequence[Receipt], stamp: int) -> list[Write]:
    """Return the writes of receipts, listed before they are there. A later `stamp` wins over an earlier one."""
    hours = {each.received_at // _HOUR for each in receipts}
    return [
        *((_HOUR_THERE, (hour, stamp)) for hour in sorted(hours)),
        *(
            (_LIST, (each.received_at // _HOUR, each.received_at, each.source, each.digest, stamp))
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
                gone.append((_UNLIST, (stamp, hour, *listed)))
                if old:
                    count += 1
                    gone.append((_FORGET, (stamp, source, digest)))
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
                known = encoding.receipt(source, digest, (found[0], found[1], found[2]))
                ranges = tuple(
                    each._replace(log=new.log, seq=new.seq) if (each.log, each.seq) == old else each
                    for each in known.ranges
                )
                if ranges != known.ranges:
                    detail = encoding.receipt_text(replace(known, ranges=ranges))
                    changed.append((_RECORD, (source, digest, found[0], found[1], detail, stamp)))
            await session.write_many(changed)


async def _listed(session: Session, hour: int) -> AsyncIterator[list[tuple[Row, Row | None]]]:
    """Yield what is listed under an hour, with the receipts, some at a time."""
    async for rows in session.pages(_LISTED, (hour,), page=_AT_ONCE):
        found = await asyncio.gather(*(session.one(_RECEIPT, row[1:]) for row in rows))
        yield list(zip(rows, found, strict=True))
