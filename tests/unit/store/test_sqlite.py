"""What is particular to the embedded store: bytes in files, altered files, readers beside the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bal.core.address import Address
from bal.core.entry import Erasure, leaf
from bal.core.errors import BalError, Erased, Invalid, LaneLost, NotFound, StoreFailed
from bal.core.source import Lane, Source
from bal.ports import ErasureNote, ReadingQuery
from bal.store.sqlite import SqliteStore, erasure
from tests.unit.store.rows import START, batch, committed, point, reading


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "scd.sqlite")
    yield opened
    await opened.close()


def tamper(store: SqliteStore, *statements: str) -> None:
    with closing(sqlite3.connect(store.path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def note(number: int, digest: bytes) -> ErasureNote:
    target = Address("bal-1", 0, number)
    entry = Erasure("dso-a", str(target), digest.hex(), "operator", "asked", START)
    return ErasureNote(target, Address("bal-1", 1, 0), entry, b"s" * 16)


async def test_the_file_is_the_owners_alone(store: SqliteStore) -> None:
    await store.sources()
    assert store.path.stat().st_mode & 0o777 == 0o600


async def test_a_commit_is_forced_to_disk(store: SqliteStore) -> None:
    modes = await store._db.write_outside(
        lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    assert modes == ["wal", 2]


async def test_an_erased_value_and_its_salt_are_in_no_file(store: SqliteStore, tmp_path: Path) -> None:
    values = [f"31415{number:05d}.27" for number in range(1200)]
    previous = None
    for start in range(0, len(values), 40):
        rows = [
            reading(value, point=point(i), received_at=START + 1)
            for i, value in enumerate(values[start:][:40])
        ]
        sealed = batch(rows, previous)
        previous = sealed.anchor
        await store.append_batch(sealed)
        [found async for found in store.readings(ReadingQuery("dso-a", limit=3))]
    for target in (Address("bal-1", 0, 0), Address("bal-1", 13, 20), Address("bal-1", 29, 39)):
        row = await store.entry(target)
        digest = leaf(row.entry, row.salt)
        needles = [values[target.seq * 40 + target.index].encode(), row.salt]
        assert any(needle in content for content in bytes_of(tmp_path).values() for needle in needles)
        told = note(0, digest)._replace(target=target)
        await store.erase(told, str(target).encode())
        for name, content in bytes_of(tmp_path).items():
            assert not any(needle in content for needle in needles), name
        with pytest.raises(Erased):
            await store.entry(target)
    assert len(await store.entries("bal-1", 13)) == 39


async def test_an_erasure_cut_off_before_scrubbing_is_finished_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "scd.sqlite"
    store = SqliteStore(path)
    sealed = batch([reading(f"27182818.{number + 1001}", number) for number in range(300)])
    await store.append_batch(sealed)
    beside = sqlite3.connect(path)
    beside.execute("BEGIN")
    beside.execute("SELECT count(*) FROM readings").fetchone()  # holds the log as it is
    await store._db.write(erasure.remove, note(7, sealed.leaves[7]), b"k")
    await store.close()
    needles = [b"27182818.1008", sealed.salts[7]]
    assert any(needle in content for content in bytes_of(tmp_path).values() for needle in needles)
    again = SqliteStore(path)  # cannot finish yet
    assert any(needle in content for content in bytes_of(tmp_path).values() for needle in needles)
    beside.close()
    await again.close()
    third = SqliteStore(path)
    for name, content in bytes_of(tmp_path).items():
        assert not any(needle in content for needle in needles), name
    with pytest.raises(Erased):
        await third.entry(Address("bal-1", 0, 7))
    await third.close()


async def test_an_erasure_waits_for_a_long_query_and_then_goes_on(store: SqliteStore, tmp_path: Path) -> None:
    sealed = batch([reading("16180339.8")])
    await store.append_batch(sealed)
    beside = sqlite3.connect(store.path)
    beside.execute("BEGIN")
    beside.execute("SELECT count(*) FROM readings").fetchone()
    erasing = asyncio.create_task(store.erase(note(0, sealed.leaves[0]), b"k"))
    await asyncio.sleep(0.3)
    assert not erasing.done()
    beside.close()
    await erasing
    assert all(b"16180339.8" not in content for content in bytes_of(tmp_path).values())


async def test_altered_added_and_deleted_rows_show(store: SqliteStore) -> None:
    sealed = batch([reading(str(number), number) for number in range(4)])
    await store.append_batch(sealed)
    columns = ",".join(("log", "seq", "idx", *reading()._fields, "salt"))
    tamper(
        store,
        "UPDATE readings SET value = '99' WHERE idx = 1",
        "DELETE FROM readings WHERE idx = 2",
        f"INSERT INTO readings ({columns}) SELECT {columns.replace('idx', '4', 1)} FROM readings WHERE idx = 3",
    )
    rows = await store.entries("bal-1", 0)
    assert [row.address.index for row in rows] == [0, 1, 3, 4]
    assert leaf(rows[0].entry, rows[0].salt) == sealed.leaves[0]
    assert leaf(rows[1].entry, rows[1].salt) != sealed.leaves[1]
    with pytest.raises(NotFound):
        await store.entry(Address("bal-1", 0, 2))
    await store.mark_anchored([committed(sealed.anchor)])
    certified = await store.certified_batch("bal-1", 0)
    assert certified.entries[2] is None
    assert len(certified.entries) == 4


async def test_a_row_that_is_no_text_any_more_is_shown_altered_with_its_neighbours(
    store: SqliteStore,
) -> None:
    sealed = batch([reading(str(number), number) for number in range(3)])
    await store.append_batch(sealed)
    tamper(store, "UPDATE readings SET value = CAST(x'31ff32' AS TEXT) WHERE idx = 1")
    for _ in range(2):
        rows = await store.entries("bal-1", 0)
        assert [leaf(row.entry, row.salt) == sealed.leaves[i] for i, row in enumerate(rows)] == [
            True,
            False,
            True,
        ]
        found = [found async for found in store.readings(ReadingQuery("dso-a"))]
        assert [each.reading.value for each in found] == ["2", "1\N{REPLACEMENT CHARACTER}2", "0"]
    row = await store.entry(Address("bal-1", 0, 1))
    assert leaf(row.entry, row.salt) != sealed.leaves[1]


@pytest.mark.parametrize("column", ["point", "quantity", "reading_type", "phase"])
@pytest.mark.parametrize("history", [False, True])
async def test_pages_go_on_past_a_key_that_is_no_text_any_more(
    store: SqliteStore, column: str, history: bool
) -> None:
    sealed = batch([reading(str(number), 0, point=point(number)) for number in range(5)])
    await store.append_batch(sealed)
    tamper(store, f"UPDATE readings SET {column} = CAST(x'64ff' AS TEXT) WHERE idx IN (1, 3)")
    query, shown = ReadingQuery("dso-a", limit=1, history=history), []
    for _ in range(9):
        page = [found async for found in store.readings(query)]
        if not page:
            break
        shown += page
        query = query._replace(after=page[-1].position)
    assert {each.reading.value for each in shown} >= {"0", "2", "4"}
    assert len(shown) == len({each.address for each in shown}) <= 5


async def test_an_error_of_the_engine_is_not_quoted(store: SqliteStore) -> None:
    tamper(store, "DROP TABLE readings")
    with pytest.raises(StoreFailed) as failed:
        [found async for found in store.readings(ReadingQuery("dso-a"))]
    assert failed.value.__cause__ is None


async def test_rows_without_a_batch_are_strays(store: SqliteStore) -> None:
    await store.record_lane(Lane("main", "bal-1"))
    await store.append_batch(batch([reading("1"), reading("2", 1)]))
    await store.append_batch(batch([reading("1")], log="bal-8"))  # a log no lane ever wrote
    tamper(
        store,
        "UPDATE readings SET seq = 7 WHERE idx = 1",
        "INSERT INTO erasures VALUES ('bal-9', 0, 3, 'dso-a', 'bal-1:0:0', '', '', '', 0, x'00')",
    )
    assert sorted(await store.strays()) == [
        Address("bal-1", 7, 1),
        Address("bal-8", 0, 0),
        Address("bal-9", 0, 3),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE batches SET anchor = 'nonsense' WHERE seq = 2",
        "UPDATE batches SET anchor = replace(anchor, '\"size\":1', '\"size\":0') WHERE seq = 2",
        "UPDATE batches SET anchor = '[]' WHERE seq = 2",
        "UPDATE marks SET detail = '{}' WHERE seq = 2",
        "UPDATE batches SET tile_roots = NULL WHERE seq = 2",
    ],
)
async def test_an_altered_record_is_invalid_and_its_neighbours_are_read(
    store: SqliteStore, change: str
) -> None:
    previous = None
    for number in range(5):
        sealed = batch([reading(str(number), number)], previous)
        previous = sealed.anchor
        await store.append_batch(sealed)
        await store.mark_anchored([committed(sealed.anchor)])
    if "NULL" in change:
        with pytest.raises(sqlite3.IntegrityError):
            tamper(store, change)
        return
    tamper(store, change)
    with pytest.raises(Invalid) as altered:
        await store.batch("bal-1", 2)
    assert altered.value.subject == "bal-1:2"
    seen = []
    with pytest.raises(Invalid, match="bal-1:2"):
        async for record in store.batches("bal-1"):
            seen += [record.anchor.seq]
    assert seen == [0, 1]
    assert [record.anchor.seq async for record in store.batches("bal-1", 3)] == [3, 4]


async def test_altered_tiles_give_no_path(store: SqliteStore) -> None:
    await store.append_batch(batch([reading(str(number), number) for number in range(3)]))
    tamper(store, "UPDATE tiles SET leaves = substr(leaves, 1, 32)")
    with pytest.raises(Invalid):
        await store.proof_path(Address("bal-1", 0, 1))


async def test_a_reader_sees_what_a_writer_beside_it_has_committed(store: SqliteStore) -> None:
    await store.record_lane(Lane("bal-1", "bal-1", 1))
    await store.append_batch(batch([reading("1")]))
    beside = SqliteStore(store.path, read_only=True)
    try:
        assert len([found async for found in beside.readings(ReadingQuery("dso-a"))]) == 1
        last = await store.last_batch("bal-1")
        assert last is not None
        await store.append_batch(batch([reading("2", 1)], last.anchor))
        assert len([found async for found in beside.readings(ReadingQuery("dso-a"))]) == 2
        with pytest.raises(StoreFailed):
            await beside.record_source(Source(name="dso-a", lane="bal-1"))
    finally:
        await beside.close()


async def test_a_reader_opens_what_no_writer_has_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "scd.sqlite")
    await store.append_batch(batch([reading("1")]))
    await store.close()
    beside = SqliteStore(store.path, read_only=True)
    assert len(await beside.entries("bal-1", 0)) == 1
    await beside.close()
    with pytest.raises(StoreFailed):
        SqliteStore(tmp_path / "none.sqlite", read_only=True)


async def test_two_writers_of_one_file_one_place_each(store: SqliteStore) -> None:
    rival = SqliteStore(store.path)
    try:
        outcomes = await asyncio.gather(
            *(
                each.append_batch(batch([reading(str(n))]))
                for n, each in enumerate((store, rival, store, rival))
            ),
            return_exceptions=True,
        )
        assert sum(outcome is None for outcome in outcomes) == 1
        assert sum(isinstance(outcome, LaneLost) for outcome in outcomes) == 3
    finally:
        await rival.close()


async def test_errors_quote_no_value(store: SqliteStore) -> None:
    tamper(store, "DROP TABLE readings")
    with pytest.raises(BalError) as failed:
        await store.append_batch(batch([reading("4242.42", point=point(3))]))
    assert "4242" not in str(failed.value)
    assert point(3) not in str(failed.value)
    with pytest.raises(NotFound):
        await store.batch("bal-1", 0)


async def test_a_file_that_is_no_database_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "scd.sqlite"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreFailed, match=r"scd\.sqlite"):
        SqliteStore(path)
