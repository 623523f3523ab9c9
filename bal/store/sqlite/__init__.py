"""The embedded Shared Customer Database (SQLite) and the quarantine."""

from bal.store.sqlite.quarantine import SqliteQuarantine
from bal.store.sqlite.store import SqliteStore

__all__ = ["SqliteQuarantine", "SqliteStore"]
