"""The embedded Shared Customer Database (SQLite) and the quarantine."""

from bal.store.quarantine import SqliteQuarantine
from bal.store.sqlite import SqliteStore

__all__ = ["SqliteQuarantine", "SqliteStore"]
