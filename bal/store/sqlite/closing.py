"""Closed logs, and the batches carried over from them into the log that follows."""

import json
import sqlite3

from bal.core.address import AddressRange
from bal.core.batch import SealedBatch
from bal.core.errors import Conflict
from bal.ports import BatchPlace, ClosedLog
from bal.store.sqlite import batches


def close_log(db: sqlite3.Connection, log: str, reason: str, now: int) -> None:
    """Record that a log is closed; the first reason stays."""
    db.execute("INSERT OR IGNORE INTO closed_logs VALUES (?, ?, ?)", (log, reason, now))


def closed_logs(db: sqlite3.Connection) -> list[ClosedLog]:
    """Return every closed log, in the order they were opened."""
    rows = db.execute(
        "SELECT l.lane, l.log, c.reason, c.closed_at FROM closed_logs c JOIN lanes l USING (log) ORDER BY l.position"
    )
    return [ClosedLog(*row) for row in rows]


def carry_over(db: sqlite3.Connection, log: str, seq: int, batch: SealedBatch) -> None:
    """Put `batch` in the stead of the batch (log, seq): rows, record and receipts."""
    old, place = batches.batch(db, log, seq), BatchPlace(batch.log, batch.seq)
    if old.moved_to == place:
        return
    if old.moved_to is not None or old.commitment is not None:
        message = "this batch is anchored or was moved elsewhere"
        raise Conflict(message, subject=f"{log}:{seq}", remedy="let one worker run a lane")
    for table in ("readings", "erasures"):
        db.execute(f"DELETE FROM {table} WHERE log = ? AND seq = ?", (log, seq))  # noqa: S608 - constants
    batches.append_batch(db, batch)
    db.execute("INSERT INTO marks VALUES (?, 'moved', ?, ?)", (log, seq, json.dumps(place)))
    # A receipt is never older than the readings of its message.
    _readdress(db, BatchPlace(log, seq), place, min(entry.received_at for entry in batch.entries))


def _readdress(db: sqlite3.Connection, old: BatchPlace, new: BatchPlace, since: int) -> None:
    rows = db.execute(
        "SELECT source, digest, detail FROM receipts WHERE received_at >= ? AND instr(detail, ?)",
        (since, f'["{old.log}",{old.seq},'),
    ).fetchall()
    for source, digest, text in rows:
        detail = json.loads(text)
        ranges = [AddressRange(*part) for part in detail["ranges"]]
        detail["ranges"] = [
            part._replace(log=new.log, seq=new.seq) if (part.log, part.seq) == old else part
            for part in ranges
        ]
        db.execute(
            "UPDATE receipts SET detail = ? WHERE source = ? AND digest = ?",
            (json.dumps(detail, separators=(",", ":")), source, digest),
        )
