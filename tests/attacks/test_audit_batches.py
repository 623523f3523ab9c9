"""Tampering with tiles, records, marks and lists of an SCD is found, and the batch or row is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bal.core.entry import leaf
from bal.store.sqlite import SqliteStore
from tests.unit.store.rows import batch, reading
from tests.unit.verify.world import SIZES, World, found, honest

ROW = ("bal-1", 1, 299)
PLACE = "bal-1:1:299"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[World]:
    async with honest(tmp_path) as made:
        yield made


async def test_a_changed_tile_is_found(home: World) -> None:
    home.leaf_in_tile(ROW, bytes(32))
    assert found(await home.audit()) == {("batch_altered", "bal-1:1")}


@pytest.mark.parametrize("index", [299, 300])
async def test_a_changed_row_and_its_changed_leaf_are_found_in_their_tile(home: World, index: int) -> None:
    """Row, leaf and nothing else: 256 rows remain of which one is wrong. 300 is erased: its leaf is all there is."""
    forged = reading("666")
    place = ("bal-1", 1, index)
    if index == 299:
        home.put("readings", place, **forged._asdict(), salt=bytes(16))
    home.leaf_in_tile(place, leaf(forged, bytes(16)))
    assert found(await home.audit()) == {("batch_altered", "bal-1:1:256-511")}


async def test_a_changed_row_leaf_and_tile_root_are_found_in_their_batch(home: World) -> None:
    forged = reading("666")
    home.put("readings", ROW, **forged._asdict(), salt=bytes(16))
    home.leaf_in_tile(ROW, leaf(forged, bytes(16)))
    home.sql("UPDATE batches SET tile_roots = zeroblob(96) WHERE log = 'bal-1' AND seq = 1")
    assert found(await home.audit()) == {("batch_altered", "bal-1:1:0-599")}


async def test_a_changed_row_beside_a_changed_leaf_is_named(home: World) -> None:
    home.put("readings", ROW, value="9")
    home.put("readings", ("bal-1", 1, 510), value="9")
    home.leaf_in_tile(("bal-1", 1, 301), bytes(32))
    assert found(await home.audit()) == {
        ("changed", PLACE),
        ("changed", "bal-1:1:510"),
        ("batch_altered", "bal-1:1"),
    }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE batches SET tile_roots = zeroblob(96) WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET tile_roots = x'00' WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET tile_roots = 'text' WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = replace(anchor, '\"size\":600', '\"size\":601') WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = replace(anchor, '5a5a', '5a5b') WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = '[]' WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = 'no JSON' WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = CAST(x'ff' AS TEXT) WHERE log = 'bal-1' AND seq = 1",
        "UPDATE batches SET anchor = (SELECT anchor FROM batches WHERE seq = 2) WHERE log = 'bal-1' AND seq = 1",
        "UPDATE marks SET detail = replace(detail, 'EmbeddedMSP', 'OtherMSP') WHERE log = 'bal-1' AND seq = 1",
        "UPDATE marks SET detail = '{}' WHERE log = 'bal-1' AND seq = 1 AND state = 'anchored'",
        "UPDATE marks SET detail = '' WHERE log = 'bal-1' AND seq = 1 AND state = 'anchored'",
        "DELETE FROM marks WHERE log = 'bal-1' AND seq = 1 AND state = 'anchored'",
        "UPDATE tiles SET leaves = zeroblob(8192) WHERE log = 'bal-1' AND seq = 1 AND number = 2",
        "UPDATE tiles SET leaves = zeroblob(2816) WHERE log = 'bal-1' AND seq = 1 AND number = 2",
        "UPDATE tiles SET leaves = 'text' WHERE log = 'bal-1' AND seq = 1 AND number = 2",
        "DELETE FROM tiles WHERE log = 'bal-1' AND seq = 1 AND number = 2",
    ],
)
async def test_a_changed_record_is_found(home: World, statement: str) -> None:
    home.sql(statement)
    assert found(await home.audit()) == {("batch_altered", "bal-1:1")}


async def test_a_batch_changed_in_every_part_but_the_ledger_is_found(home: World) -> None:
    """Rows, leaves, tile roots and record all agree with one another."""
    forged = batch([reading("666")], None)
    forged_anchor = forged.anchor.to_json() | {"seq": 2, "previous": "ab" * 32}
    home.put("readings", ("bal-1", 2, 0), **forged.entries[0]._asdict(), salt=forged.salts[0])
    home.leaf_in_tile(("bal-1", 2, 0), forged.leaves[0])
    home.sql(
        "UPDATE batches SET anchor = ?, tile_roots = ? WHERE log = 'bal-1' AND seq = 2",
        json.dumps(forged_anchor),
        forged.leaves[0],
    )
    assert found(await home.audit()) == {("batch_altered", "bal-1:2"), ("batch_altered", "bal-1:2:0-0")}


async def test_a_deleted_record_is_missing_and_its_rows_are_still_looked_at(home: World) -> None:
    home.sql("DELETE FROM batches WHERE log = 'bal-1' AND seq = 1")
    assert found(await home.audit()) == {("batch_missing", "bal-1:1")}
    home.put("readings", ROW, value="9")
    assert found(await home.audit()) == {("batch_missing", "bal-1:1"), ("changed", PLACE)}


async def test_a_batch_that_is_gone_in_all_its_parts_is_missing(home: World) -> None:
    for table in ("batches", "tiles", "readings", "marks"):
        home.sql(f"DELETE FROM {table} WHERE log = 'bal-2'")
    assert found(await home.audit()) == {("batch_missing", "bal-2:0")}


async def test_a_log_the_store_forgot_is_still_audited(home: World) -> None:
    home.sql("DELETE FROM lanes WHERE log = 'bal-2'")
    home.put("readings", ("bal-2", 0, 1), value="9")
    assert found(await home.audit()) == {("changed", "bal-2:0:1"), ("batch_altered", "bal-2:0")}


async def test_readings_hidden_from_every_query_are_found(home: World) -> None:
    """Their rows are whole; the index of the queries was built without them."""
    await home.store.close()
    with closing(sqlite3.connect(home.store.path, isolation_level=None)) as db:
        (statement,) = db.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'readings_by_bucket'"
        ).fetchone()
        db.execute("DROP INDEX readings_by_bucket")
        db.execute(f"{statement} WHERE NOT (seq = 1 AND idx = 299)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'readings_by_bucket'", (statement,))
    home.store = SqliteStore(home.store.path)
    try:
        assert found(await home.audit()) == {("missing", PLACE)}
    finally:
        await home.store.close()


async def test_a_batch_said_to_be_moved_elsewhere_is_found(home: World) -> None:
    home.sql("INSERT INTO marks VALUES ('bal-1', 'moved', 1, '[\"bal-2\", 0]')")
    assert found(await home.audit()) == {("batch_altered", "bal-1:1")}


async def test_a_batch_said_to_be_published_before_it_is_anchored_is_found(home: World) -> None:
    sealed = await home.stored(home.entries(2))
    home.sql("INSERT INTO marks VALUES ('bal-1', 'published', ?, '')", sealed.seq)
    assert found(await home.audit()) == {("batch_altered", f"bal-1:{sealed.seq}")}


@pytest.mark.parametrize("state", ["anchored", "published"])
async def test_a_mark_that_no_batch_has_keeps_nothing_from_its_turn(home: World, state: str) -> None:
    home.sql("INSERT INTO marks VALUES ('bal-1', ?, 999, '{}')", state)
    sealed = await home.stored(home.entries(2))
    assert [anchor.seq for anchor in await home.store.unanchored("bal-1")] == [sealed.seq]
    assert sealed.seq in await home.store.unpublished("bal-1")
    assert found(await home.audit()) == set()


async def test_an_erased_reading_that_could_come_back_is_found(home: World) -> None:
    home.sql("DELETE FROM erased")
    assert found(await home.audit()) == {("missing", "bal-1:1:300")}


async def test_rows_under_a_log_nobody_opened_are_added(home: World) -> None:
    """Record, tiles and rows fit each other; neither a lane nor the ledger knows the log."""
    sealed = batch([reading("666"), reading("667", 1)], log="bal-9")
    await home.store.append_batch(sealed)
    assert found(await home.audit()) == {
        ("added", "bal-9:0:0"),
        ("added", "bal-9:0:1"),
        ("batch_altered", "bal-9:0"),
    }


@pytest.mark.parametrize(
    ("log", "seq"),
    [("bal-1", len(SIZES) + 1), ("bal-1", 99), ("bal-1", -1), ("bal-1", "x"), ("bal-9", 0), ("bal-9", 3)],
)
async def test_a_copy_of_a_record_is_no_batch_in_work(home: World, log: str, seq: int | str) -> None:
    home.sql(
        "INSERT INTO batches SELECT ?, ?, anchor, tile_roots, sealed_at FROM batches WHERE log = 'bal-1' AND seq = 0",
        log,
        seq,
    )
    report = await home.audit()
    assert found(report) == {("batch_altered", f"{log}:{seq}")}
    assert report.pending == 0


async def test_a_batch_after_a_gap_is_found(home: World) -> None:
    seq = home.last["bal-1"].seq + 3
    sealed = batch([reading("666")], None)
    anchor = json.dumps(sealed.anchor.to_json() | {"seq": seq, "previous": "ab" * 32})
    home.sql(
        "INSERT INTO batches SELECT log, ?, ?, tile_roots, sealed_at FROM batches WHERE log = 'bal-1' AND seq = 0",
        seq,
        anchor,
    )
    assert ("batch_altered", f"bal-1:{seq}") in found(await home.audit())


async def test_a_database_without_tiles_is_audited(home: World) -> None:
    with closing(sqlite3.connect(home.store.path, isolation_level=None)) as db:
        db.execute("DROP TABLE tiles")
    assert ("batch_altered", "bal-1:0") in found(await home.audit())


@pytest.mark.parametrize(("seq", "number"), [(0, 7), (0, -1), (0, "x"), (99, 0)])
async def test_a_tile_that_no_batch_has_is_found(home: World, seq: int, number: int | str) -> None:
    home.sql(
        "INSERT INTO tiles SELECT log, ?, ?, leaves FROM tiles WHERE log = 'bal-1' AND seq = 0 AND number = 0",
        seq,
        number,
    )
    assert found(await home.audit()) == {("batch_altered", f"bal-1:{seq}")}
