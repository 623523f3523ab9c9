"""Registrations of sources and lanes, append-only."""

import sqlite3

from bal.core.errors import Conflict, Invalid, Malformed
from bal.core.source import Lane, Source


def record_source(db: sqlite3.Connection, source: Source) -> None:
    """Append a registration."""
    db.execute(
        "INSERT INTO sources SELECT ?1, coalesce(max(version), 0) + 1, ?2, ?3 FROM sources WHERE name = ?1",
        (source.name, source.recorded_at, source.model_dump_json()),
    )


def sources(db: sqlite3.Connection) -> list[Source]:
    """Return the registration in force of every source, by name."""
    rows = db.execute("SELECT name, registration, max(version) FROM sources GROUP BY name ORDER BY name")
    return [_registration(name, text) for name, text, _ in rows]


def _registration(name: object, text: str) -> Source:
    try:
        return Source.model_validate_json(text)
    except (ValueError, Malformed):
        message = "the registration of this source was altered"
        raise Invalid(
            message, subject=str(name), remedy="restore the table `sources` from a backup"
        ) from None


def source_history(db: sqlite3.Connection, name: str) -> list[Source]:
    """Return every registration of one source, oldest first."""
    rows = db.execute("SELECT registration FROM sources WHERE name = ? ORDER BY version", (name,))
    return [_registration(name, text) for (text,) in rows]


def record_lane(db: sqlite3.Connection, lane: Lane) -> None:
    """Append that a lane writes a log from now on. `Conflict` when another lane ever wrote that log."""
    try:
        db.execute(
            "INSERT INTO lanes (lane, log, opened_at) VALUES (?, ?, ?)", (lane.name, lane.log, lane.opened_at)
        )
    except sqlite3.IntegrityError as error:
        message = "this log was opened before"
        raise Conflict(message, subject=lane.log, remedy="choose another name for the log") from error


def lanes(db: sqlite3.Connection) -> list[Lane]:
    """Return every lane with the log it writes now."""
    rows = db.execute("SELECT lane, log, opened_at, max(position) FROM lanes GROUP BY lane ORDER BY lane")
    return [Lane(name, log, opened_at) for name, log, opened_at, _ in rows]


def logs(db: sqlite3.Connection) -> list[str]:
    """Return every log ever opened, oldest first."""
    return [log for (log,) in db.execute("SELECT log FROM lanes ORDER BY position")]
