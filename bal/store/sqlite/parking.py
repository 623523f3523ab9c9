"""Parkings: what an output has refused, and from where on it is still to be handed out."""

import sqlite3

from bal.core.stored import Parked


def park(db: sqlite3.Connection, parked: Parked) -> None:
    """Record a parking, in the stead of the one on record for this output and source."""
    db.execute("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)", parked)


def unpark(db: sqlite3.Connection, output: str, source: str) -> None:
    """Forget a parking; none is no harm."""
    db.execute("DELETE FROM parked WHERE output = ? AND source = ?", (output, source))


def parked(db: sqlite3.Connection) -> list[Parked]:
    """Return every parking, by output and source."""
    rows = db.execute("SELECT output, source, log, seq, parked_at FROM parked ORDER BY output, source")
    return [Parked(*row) for row in rows]
