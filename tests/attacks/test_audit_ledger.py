"""A ledger that is cut, rewritten or altered is found; against an earlier audit's heads even where all else agrees."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bal.anchor.embedded.chain import BLOCKS, STATE
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.embedded.state import _digest, remove
from bal.core.entry import leaf
from bal.core.errors import LedgerAltered
from bal.verify.audit import ledger_altered
from bal.verify.heads import Head, heads_text, read_heads
from tests.unit.store.rows import reading
from tests.unit.verify.world import World, found, world


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """Make a home of five batches, the files closed."""
    async with world(tmp_path / "home") as made:
        await made.begin("bal-1", "bal-2")
        for _ in range(5):
            await made.anchored(made.entries(3))
    return tmp_path / "home"


async def heads(home: Path) -> dict[str, Head]:
    async with world(home) as made:
        report = await made.audit()
        assert report.ok
        return read_heads(heads_text(report.heads))


def cut(home: Path, blocks: int) -> None:
    """Take the last blocks off the ledger, as an old backup would."""
    path = home / "ledger" / BLOCKS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-blocks]))
    remove(home / "ledger" / STATE)


def execute(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "scd.sqlite")) as db:
        assert db.execute(statement).rowcount
        db.commit()


async def rewrite(home: Path, changed: int) -> None:
    """Replace the ledger by a new one of the same key in which batch `changed` holds something else."""
    shutil.rmtree(home / "ledger")
    async with world(home.parent / "other") as other:
        await other.begin("bal-1", "bal-2")
        for seq in range(5):
            entries = other.entries(3)
            await other.anchored([*entries[:2], reading("666")] if seq == changed else entries)
    shutil.copytree(home.parent / "other" / "ledger", home / "ledger")


async def test_a_cut_ledger_is_found_by_what_the_scd_has_marked(home: Path) -> None:
    cut(home, 2)
    async with world(home) as made:
        report = await made.audit()
    assert found(report) == {("ledger_cut", "bal-1:3")}
    assert (report.batches, report.pending) == (3, 0)


async def test_a_ledger_begun_anew_is_cut(home: Path) -> None:
    shutil.rmtree(home / "ledger")
    async with world(home) as made:
        assert found(await made.audit()) == {("ledger_cut", "bal-1:0")}


async def test_a_cut_ledger_whose_marks_were_removed_too_is_found_by_heads(home: Path) -> None:
    before = await heads(home)
    cut(home, 2)
    execute(home, "DELETE FROM marks WHERE seq > 2")
    async with world(home) as made:
        report = await made.audit()
        assert report.ok
        assert report.pending == 2
        report = await made.audit(before)
    assert found(report) == {("ledger_cut", "bal-1:3")}
    assert report.heads == before


async def test_both_cut_alike_is_found_by_heads(home: Path) -> None:
    before = await heads(home)
    cut(home, 2)
    for table in ("batches", "tiles", "readings", "marks"):
        execute(home, f"DELETE FROM {table} WHERE seq > 2")
    async with world(home) as made:
        assert (await made.audit()).ok
        assert found(await made.audit(before)) == {("ledger_cut", "bal-1:3")}


async def test_heads_of_a_log_nobody_knows_any_more_are_cut(home: Path) -> None:
    async with world(home) as made:
        assert found(await made.audit({"bal-9": Head(4, "ab" * 32)})) == {("ledger_cut", "bal-9:0")}


async def test_a_ledger_that_only_grew_is_no_finding(home: Path) -> None:
    before = await heads(home)
    async with world(home) as made:
        made.last["bal-1"] = (await made.store.batch("bal-1", 4)).anchor
        await made.anchored(made.entries(2))
        report = await made.audit(before)
        assert report.ok
        assert report.heads["bal-1"].seq == 5


async def test_a_rewritten_ledger_differs_from_the_scd(home: Path) -> None:
    await rewrite(home, 3)
    async with world(home) as made:
        kinds = found(await made.audit())
    assert {address.split(":")[1] for kind, address in kinds if kind == "batch_altered"} == {
        "0",
        "1",
        "2",
        "3",
        "4",
    }


async def test_a_rewritten_ledger_is_named_where_an_earlier_head_proves_the_scd(home: Path) -> None:
    before = await heads(home)
    await rewrite(home, 3)
    async with world(home) as made:
        report = await made.audit(before)
    assert {kind for kind, _ in found(report)} == {"ledger_altered"}
    assert ("ledger_altered", "bal-1:4") in found(report)
    assert report.heads == before


async def test_ledger_and_scd_rewritten_alike_are_found_by_heads(home: Path) -> None:
    before = await heads(home)
    await rewrite(home, 3)
    shutil.copy(home.parent / "other" / "scd.sqlite", home / "scd.sqlite")
    async with world(home) as made:
        assert (await made.audit()).ok
        assert found(await made.audit(before)) == {("ledger_altered", "bal-1:4")}


async def test_a_changed_block_is_named(home: Path) -> None:
    path = home / "ledger" / BLOCKS
    async with world(home) as made:
        lines = path.read_bytes().splitlines(keepends=True)
        lines[4] = lines[4].replace(b"EmbeddedMSP", b"EmbeddedMSQ", 1)
        path.write_bytes(b"".join(lines))
        assert found(await made.audit()) == {("ledger_altered", "block:4")}


async def test_a_ledger_that_cannot_be_opened_is_a_finding(home: Path) -> None:
    path = home / "ledger" / BLOCKS
    raw = bytearray(path.read_bytes())
    raw[200] ^= 1
    path.write_bytes(raw)
    remove(home / "ledger" / STATE)
    with pytest.raises(LedgerAltered) as caught:
        async with world(home):
            pass
    report = ledger_altered(caught.value)
    assert found(report) == {("ledger_altered", "block:0")}
    assert report.to_json() == {
        "ok": False,
        "readings": 0,
        "batches": 0,
        "pending": 0,
        "findings": [{"kind": "ledger_altered", "address": "block:0"}],
    }


@pytest.mark.parametrize("beside", [False, True])
async def test_an_index_that_agrees_with_a_forged_row_is_found(home: Path, beside: bool) -> None:
    """Row, leaf, tile root, record and the ledger's index, check sums and all: only the blocks still tell."""
    async with world(home) as made:
        await forge_everything_but_the_blocks(home, made)
        if beside:
            made.ledger, writer = (
                await EmbeddedLedger.beside(home / "ledger", made.ledger.public_key),
                made.ledger,
            )
            kinds = found(await made.audit())
            await made.ledger.close()
            made.ledger = writer
        else:
            kinds = found(await made.audit())
    assert [kind for kind, _ in kinds] == ["ledger_altered"]


@pytest.mark.parametrize(
    ("key", "other", "old", "new"),
    [
        ("source/dso-a", "source/dso-a", b'{"EmbeddedMSP":"why"}', b"{}"),
        ("log/bal-1", "log/bal-1", b"EmbeddedMSP", b"OtherMSP"),
        ("source/dso-a", "source/dso-b", b"", b""),
        ("anchor/bal-1/00000000000000000001", "anchor/bal-1/00000000000000000777", b"", b""),
    ],
)
async def test_whatever_the_index_says_beyond_the_blocks_is_found(
    home: Path, key: str, other: str, old: bytes, new: bytes
) -> None:
    """A suspension lifted in the index alone would let the next block say what no replay of the chain gives."""
    async with world(home) as made:
        await made.ledger.suspend_source("dso-a", suspended=True, why="why")
        tip = made.ledger.height
        with closing(sqlite3.connect(home / "ledger" / STATE)) as db:
            value, block, place = db.execute(
                "SELECT value, block, place FROM state WHERE key = ?", (key,)
            ).fetchone()
            assert old in value
            changed = value.replace(old, new) if old else value
            row = (other, changed, block, place, _digest(other, changed, block, place))
            db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)", row)
            db.commit()
        assert ("ledger_altered", f"block:{tip}") in found(await made.audit())


async def forge_everything_but_the_blocks(home: Path, made: World) -> None:
    forged, salt = reading("666"), bytes(16)
    digest = leaf(forged, salt)
    made.last["bal-1"] = (await made.store.batch("bal-1", 4)).anchor
    sealed = await made.anchored([reading("1")])
    made.put("readings", ("bal-1", 5, 0), **forged._asdict(), salt=salt)
    made.leaf_in_tile(("bal-1", 5, 0), digest)
    anchor = sealed.anchor.to_json() | {"root": digest.hex()}
    made.sql("UPDATE batches SET anchor = ?, tile_roots = ? WHERE seq = 5", json.dumps(anchor), digest)
    with closing(sqlite3.connect(home / "ledger" / STATE)) as db:
        key, value, block, place, _ = db.execute(
            "SELECT * FROM state WHERE key LIKE 'anchor/%' ORDER BY key DESC"
        ).fetchone()
        value = value.replace(sealed.anchor.root.encode(), digest.hex().encode())
        db.execute(
            "UPDATE state SET value = ?, digest = ? WHERE key = ?",
            (value, _digest(key, value, block, place), key),
        )
        db.commit()
