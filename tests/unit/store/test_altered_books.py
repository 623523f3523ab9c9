"""What is only book-keeping and was altered is named, with what to do."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bal.core.errors import Invalid
from bal.core.source import Source
from bal.store.sqlite import SqliteStore


def alter(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement, values)
        db.commit()


@pytest.mark.parametrize("text", ["x", "{}", '{"name":"Not A Name","lane":"bal-1"}'])
async def test_an_altered_registration_is_named(tmp_path: Path, text: str) -> None:
    store = SqliteStore(tmp_path / "scd.sqlite")
    await store.record_source(Source(name="dso-a", lane="bal-1"))
    alter(store.path, "UPDATE sources SET registration = ?", text)
    for asking in (store.sources(), store.source_history("dso-a")):
        with pytest.raises(Invalid, match="dso-a: the registration of this source was altered"):
            await asking
    await store.close()


@pytest.mark.parametrize("text", ["x", "{}", "[]", '{"accepted":1}'])
async def test_an_altered_receipt_is_named(tmp_path: Path, text: str) -> None:
    store = SqliteStore(tmp_path / "scd.sqlite")
    await store.sources()
    alter(store.path, "INSERT INTO receipts VALUES ('dso-a', ?, 0, 1, ?)", b"d" * 32, text)
    with pytest.raises(Invalid, match="dso-a: the receipt of this message was altered"):
        await store.receipt("dso-a", b"d" * 32)
    await store.close()
