"""Registrations of sources and lanes, parkings, closed logs: few rows each, in one partition."""

from bal.core.errors import Conflict, Invalid, Malformed, StoreUnavailable
from bal.core.source import Lane, Source
from bal.core.stored import ClosedLog, Parked
from bal.store.cassandra.session import Row, Session

_SOURCES = "SELECT name, version, registration FROM sources WHERE part = 0"
_VERSIONS = "SELECT version, registration FROM sources WHERE part = 0 AND name = ?"
_RECORD_SOURCE = """INSERT INTO sources (part, name, version, recorded_at, registration)
    VALUES (0, ?, ?, ?, ?) IF NOT EXISTS"""
_LANES = "SELECT position, lane, log, opened_at FROM lanes WHERE part = 0"
_RECORD_LANE = "INSERT INTO lanes (part, position, lane, log, opened_at) VALUES (0, ?, ?, ?, ?) IF NOT EXISTS"
_CLOSE = "INSERT INTO closed_logs (part, log, reason, closed_at) VALUES (0, ?, ?, ?) IF NOT EXISTS"
_CLOSED = "SELECT log, reason, closed_at FROM closed_logs WHERE part = 0"
# Conditional, so that the servers order them: by the clocks of two workers a lifting could win over a later parking.
_PARK = (
    "INSERT INTO parked (part, output, source, log, seq, parked_at) VALUES (0, ?, ?, ?, ?, ?) IF NOT EXISTS"
)
_PARK_ANEW = """UPDATE parked SET log = ?, seq = ?, parked_at = ?
    WHERE part = 0 AND output = ? AND source = ? IF EXISTS"""
_UNPARK = "DELETE FROM parked WHERE part = 0 AND output = ? AND source = ? IF EXISTS"
_PARKED = "SELECT output, source, log, seq, parked_at FROM parked WHERE part = 0"


async def record_source(session: Session, source: Source) -> None:
    """Append a registration; written twice where the first answer was lost, which changes nothing."""
    text = source.model_dump_json()
    while True:
        rows = await session.all(_VERSIONS, (source.name,))
        version = rows[-1][0] + 1 if rows else 1
        done, _ = await session.apply(_RECORD_SOURCE, (source.name, version, source.recorded_at, text))
        if done:
            return


async def sources(session: Session) -> list[Source]:
    """Return the registration in force of every source, by name."""
    last = {name: text for name, _, text in await session.all(_SOURCES)}
    return [_registration(name, text) for name, text in sorted(last.items())]


async def source_history(session: Session, name: str) -> list[Source]:
    """Return every registration of one source, oldest first."""
    return [_registration(name, text) for _, text in await session.all(_VERSIONS, (name,))]


def _registration(name: str, text: str) -> Source:
    try:
        return Source.model_validate_json(text)
    except (ValueError, Malformed):
        message = "the registration of this source was altered"
        raise Invalid(message, subject=name, remedy="restore the table `sources` from a backup") from None


async def record_lane(session: Session, lane: Lane) -> None:
    """Append that a lane writes a log from now on; the very same again is no harm. `Conflict` when the log was opened before."""
    wanted = (lane.name, lane.log, lane.opened_at)
    while True:
        await settle_lanes(session)
        rows = await session.all(_LANES)
        if any(row[1:] == wanted for row in rows):
            return
        if any(row[2] == lane.log for row in rows):
            message = "this log was opened before"
            raise Conflict(message, subject=lane.log, remedy="choose another name for the log")
        position = rows[-1][0] + 1 if rows else 1
        try:
            done, _ = await session.apply(_RECORD_LANE, (position, *wanted))
        except StoreUnavailable:
            found = await session.one(_LANES + " AND position = ?", (position,), serial=True)
            if found is None:
                raise
            done = found[1:] == wanted
        if done:
            return


async def settle_lanes(session: Session) -> None:
    """Commit an insert of a lane that was accepted and not committed: only a serial read sees it, and commits it."""
    await session.one(_LANES, serial=True)


async def _lanes(session: Session) -> list[Row]:
    return await session.all(_LANES)


async def lanes(session: Session) -> list[Lane]:
    """Return every lane with the log it writes now, by name."""
    last = {lane: Lane(lane, log, opened_at) for _, lane, log, opened_at in await _lanes(session)}
    return [lane for _, lane in sorted(last.items())]


async def logs(session: Session) -> list[str]:
    """Return every log ever opened, oldest first."""
    return [log for _, _, log, _ in await _lanes(session)]


async def close_log(session: Session, log: str, reason: str, now: int) -> None:
    """Record that a log is closed; the first reason stays."""
    await session.apply(_CLOSE, (log, reason, now))


async def closed_logs(session: Session) -> list[ClosedLog]:
    """Return every closed log, in the order they were opened."""
    closed = {log: (reason, closed_at) for log, reason, closed_at in await session.all(_CLOSED)}
    return [ClosedLog(lane, log, *closed[log]) for _, lane, log, _ in await _lanes(session) if log in closed]


async def park(session: Session, parked: Parked) -> None:
    """Record a parking, in the stead of the one on record for this output and source."""
    done = False
    while not done:  # lifted between the two: begun again
        done, _ = await session.apply(_PARK, parked)
        if not done:
            done, _ = await session.apply(_PARK_ANEW, (*parked[2:], *parked[:2]))


async def unpark(session: Session, output: str, source: str) -> None:
    """Forget a parking; none is no harm."""
    await session.apply(_UNPARK, (output, source))


async def parked(session: Session) -> list[Parked]:
    """Return every parking, by output and source."""
    return [Parked(*row) for row in await session.all(_PARKED)]
