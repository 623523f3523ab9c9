"""A database of a newer release is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bal.core.errors import StoreFailed
from bal.store.sqlite import SqliteStore


async def test_a_database_of_a_newer_release_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "scd.sqlite"
    await SqliteStore(path).close()
    await SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.commit()
    with pytest.raises(StoreFailed, match="newer release"):
        SqliteStore(path)
    reader = SqliteStore(path, read_only=True)
    with pytest.raises(StoreFailed, match="newer release"):
        await reader.sources()
    await reader.close()
