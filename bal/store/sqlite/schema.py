"""Tables of the embedded SCD. `docs/scd.md` is their data dictionary."""

SCHEMA_VERSION = 1
"""Stands in the file (`PRAGMA user_version`); a file of a newer release is not opened."""

BUCKET_MICROSECONDS = 300_000_000
"""Readings are indexed by source and five-minute bucket: whatever arrives together lies together, so that a batch
dirties few pages however many measuring points there are."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS sources (
    name TEXT NOT NULL, version INTEGER NOT NULL, recorded_at INTEGER NOT NULL, registration TEXT NOT NULL,
    PRIMARY KEY (name, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lanes (
    position INTEGER PRIMARY KEY, lane TEXT NOT NULL, log TEXT NOT NULL UNIQUE, opened_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS closed_logs (
    log TEXT PRIMARY KEY, reason TEXT NOT NULL, closed_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    log TEXT NOT NULL, seq INTEGER NOT NULL, anchor TEXT NOT NULL, tile_roots BLOB NOT NULL, sealed_at INTEGER NOT NULL,
    PRIMARY KEY (log, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tiles (
    log TEXT NOT NULL, seq INTEGER NOT NULL, number INTEGER NOT NULL, leaves BLOB NOT NULL,
    PRIMARY KEY (log, seq, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    log TEXT NOT NULL, state TEXT NOT NULL, seq INTEGER NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (log, state, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (
    output TEXT NOT NULL, source TEXT NOT NULL, log TEXT NOT NULL, seq INTEGER NOT NULL, parked_at INTEGER NOT NULL,
    PRIMARY KEY (output, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (
    log TEXT NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL,
    source TEXT NOT NULL, point TEXT NOT NULL, component TEXT NOT NULL, quantity TEXT NOT NULL,
    reading_type TEXT NOT NULL, phase TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL,
    timestamp INTEGER NOT NULL, interval INTEGER NOT NULL, quality TEXT NOT NULL, received_at INTEGER NOT NULL,
    salt BLOB NOT NULL,
    PRIMARY KEY (log, seq, idx)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS readings_by_bucket
    ON readings (source, timestamp / {BUCKET_MICROSECONDS}, point, quantity, timestamp);
CREATE TABLE IF NOT EXISTS erasures (
    log TEXT NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL,
    source TEXT NOT NULL, address TEXT NOT NULL, leaf TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
    received_at INTEGER NOT NULL, salt BLOB NOT NULL,
    PRIMARY KEY (log, seq, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (
    address TEXT PRIMARY KEY, lookup BLOB NOT NULL, scrubbed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receipts (
    source TEXT NOT NULL, digest BLOB NOT NULL, received_at INTEGER NOT NULL, complete INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (source, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_by_age ON receipts (received_at);
"""

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA busy_timeout=30000",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=8192",
    "PRAGMA temp_store=MEMORY",
)
"""`secure_delete` overwrites what an erasure removes; `synchronous=FULL` makes a commit durable when it returns."""
