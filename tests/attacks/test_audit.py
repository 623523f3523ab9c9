"""Every way of tampering with an SCD is found, and the row is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bal.core.address import Address
from bal.core.entry import Erasure, leaf
from bal.verify.heads import Head
from tests.unit.store.rows import START
from tests.unit.verify.world import SIZES, World, found, honest

ROW = ("bal-1", 1, 299)
PLACE = "bal-1:1:299"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[World]:
    async with honest(tmp_path) as made:
        yield made


async def test_nothing_is_found_in_an_honest_home(home: World) -> None:
    report = await home.audit()
    assert found(report) == set()
    assert report.readings == sum(SIZES) - 1 + 4 + 1
    assert (report.batches, report.pending) == (len(SIZES) + 2, 0)
    assert report.heads == {log: Head(anchor.seq, anchor.hash) for log, anchor in home.last.items()}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("source", "dso-b"),
        ("point", "b" * 26),
        ("component", "BUS1"),
        ("quantity", "reactiveEnergy"),
        ("reading_type", "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.73.0"),
        ("phase", "A"),
        ("value", "402.1"),
        ("value", b"\x00402"),
        ("value", 7),
        ("value", ""),
        ("unit", "kWh"),
        ("timestamp", START),
        ("timestamp", "never"),
        ("timestamp", 2**62),
        ("timestamp", -1.5),
        ("interval", 901),
        ("interval", "900 "[:3] + "x"),
        ("quality", ""),
        ("quality", '1.4.6","bal.period'),
        ("quality", "1.4.6  bal.period"),
        ("received_at", START),
        ("salt", bytes(16)),
        ("salt", "text"),
        ("salt", b""),
    ],
)
async def test_a_changed_column_is_named(home: World, column: str, value: Any) -> None:
    home.put("readings", ROW, **{column: value})
    assert found(await home.audit()) == {("changed", PLACE)}


async def test_a_text_that_is_no_utf_8_is_named(home: World) -> None:
    home.sql(
        "UPDATE readings SET value = CAST(x'ff31' AS TEXT) WHERE log = 'bal-1' AND seq = 1 AND idx = 299"
    )
    assert found(await home.audit()) == {("changed", PLACE)}


async def test_every_row_changed_is_every_row_named(home: World) -> None:
    home.sql("UPDATE readings SET value = value || '1' WHERE log = 'bal-1' AND seq = 1")
    assert found(await home.audit()) == {("changed", f"bal-1:1:{n}") for n in range(600) if n != 300}


async def test_a_deleted_row_is_missing(home: World) -> None:
    home.delete("readings", ROW)
    home.delete("readings", ("bal-1", 2, 0))
    assert found(await home.audit()) == {("missing", PLACE), ("missing", "bal-1:2:0")}


async def test_a_row_moved_behind_the_batch_is_missing_and_added(home: World) -> None:
    home.put("readings", ROW, idx=600)
    assert found(await home.audit()) == {("missing", PLACE), ("added", "bal-1:1:600")}


@pytest.mark.parametrize("place", [("bal-1", 1, 600), ("bal-1", 99, 0), ("nobody", 0, 0), ("bal-2", 1, 0)])
async def test_a_row_nobody_anchored_is_added(home: World, place: tuple[str, int, int]) -> None:
    columns = "source,point,component,quantity,reading_type,phase,value,unit,timestamp,interval,quality,received_at,salt"
    home.sql(
        f"INSERT INTO readings (log,seq,idx,{columns}) SELECT ?,?,?,{columns} FROM readings WHERE log=? AND seq=? AND idx=?",
        *place,
        *ROW,
    )
    assert found(await home.audit()) == {("added", str(Address(*place)))}


async def test_a_stray_row_cannot_write_to_the_terminal(home: World) -> None:
    home.sql("UPDATE readings SET log = char(27) || '[2J' WHERE log = 'bal-2' AND idx = 3")
    report = await home.audit()
    assert found(report) == {("missing", "bal-2:0:3"), ("added", "'\\x1b[2J:0:3'")}


async def test_swapped_rows_are_both_named(home: World) -> None:
    home.put("readings", ("bal-1", 1, 10), idx=-1)
    home.put("readings", ("bal-1", 1, 500), idx=10)
    home.put("readings", ("bal-1", 1, -1), idx=500)
    assert found(await home.audit()) == {("swapped", "bal-1:1:10"), ("swapped", "bal-1:1:500")}


async def test_rows_swapped_between_batches_and_logs_are_both_named(home: World) -> None:
    home.put("readings", ("bal-1", 1, 10), log="x")
    home.put("readings", ("bal-2", 0, 2), log="bal-1", seq=1, idx=10)
    home.put("readings", ("x", 1, 10), log="bal-2", seq=0, idx=2)
    assert found(await home.audit()) == {("swapped", "bal-1:1:10"), ("swapped", "bal-2:0:2")}


async def test_a_row_copied_over_another_is_named(home: World) -> None:
    row = await home.store.entry(Address("bal-1", 3, 1))
    home.put("readings", ROW, **row.entry._asdict(), salt=row.salt)
    assert found(await home.audit()) == {("swapped", PLACE)}


# --- erasures ---------------------------------------------------------------------------------------------------------


def forge(home: World, place: tuple[str, int, int], target: str, **members: Any) -> None:
    entry = Erasure("dso-a", target, "00" * 32, "nobody", "because", START)._replace(**members)
    names = ",".join(entry._fields)
    home.sql(
        f"INSERT INTO erasures (log,seq,idx,{names},salt) VALUES (?,?,?,?,?,?,?,?,?,?)",
        *place,
        *entry,
        bytes(16),
    )


@pytest.mark.parametrize("place", [("bal-1", 3, 5), ("bal-1", 3, 2), ("bal-1", 99, 0), ("nowhere", 0, 0)])
async def test_a_row_deleted_with_a_forged_note_is_named(home: World, place: tuple[str, int, int]) -> None:
    row = await home.store.entry(Address(*ROW))
    home.delete("readings", ROW)
    forge(home, place, PLACE, leaf=leaf(row.entry, row.salt).hex())
    assert found(await home.audit()) == {("forged_erasure", PLACE)}


async def test_a_note_in_place_of_the_row_itself_is_forged(home: World) -> None:
    home.delete("readings", ROW)
    forge(home, ROW, PLACE)
    assert found(await home.audit()) == {("forged_erasure", PLACE)}


async def test_a_note_in_place_of_another_row_is_forged_and_that_row_changed(home: World) -> None:
    home.delete("readings", ROW)
    home.delete("readings", ("bal-1", 3, 2))
    forge(home, ("bal-1", 3, 2), PLACE)
    assert found(await home.audit()) == {("forged_erasure", PLACE), ("changed", "bal-1:3:2")}


async def test_a_forged_note_of_a_row_that_is_still_there_is_found(home: World) -> None:
    forge(home, ("bal-1", 3, 5), PLACE)
    assert found(await home.audit()) == {("forged_erasure", PLACE)}


async def test_a_note_that_names_no_address_is_found_at_its_own(home: World) -> None:
    forge(home, ("bal-1", 3, 5), "\x1b[31m")
    assert found(await home.audit()) == {("forged_erasure", "bal-1:3:5")}


async def test_the_store_saying_erased_proves_nothing(home: World) -> None:
    home.delete("readings", ROW)
    home.sql("INSERT INTO erased (address, lookup, scrubbed) VALUES (?, ?, 1)", PLACE, bytes(32))
    assert found(await home.audit()) == {("forged_erasure", PLACE)}


async def test_an_anchored_note_of_another_leaf_explains_nothing(home: World) -> None:
    home.delete("readings", ROW)
    await home.anchored([Erasure("dso-a", PLACE, "ab" * 32, "operator", "asked", START)])
    assert found(await home.audit()) == {("missing", PLACE)}


async def test_a_real_note_turned_to_another_row_is_forged(home: World) -> None:
    home.delete("readings", ROW)
    home.sql("UPDATE erasures SET address = ?", PLACE)
    note = await home.store.erasures("bal-1")
    assert found(await home.audit()) == {
        ("forged_erasure", PLACE),
        ("changed", str(note[0].noted_at)),
        ("forged_erasure", "bal-1:1:300"),
    }


async def test_a_real_note_that_was_deleted_no_longer_explains(home: World) -> None:
    [note] = await home.store.erasures("bal-1")
    home.delete("erasures", note.noted_at)
    home.sql("DELETE FROM erased")
    assert found(await home.audit()) == {("missing", str(note.noted_at)), ("missing", "bal-1:1:300")}


async def test_an_erased_row_put_back_is_no_longer_erased(home: World) -> None:
    home.put("readings", ROW, idx=300)
    assert found(await home.audit()) == {("missing", PLACE), ("swapped", "bal-1:1:300")}


# --- batches, tiles ---------------------------------------------------------------------------------------------------


async def test_all_at_once(home: World) -> None:
    home.put("readings", ROW, value="9")
    home.delete("readings", ("bal-1", 1, 0))
    home.put("readings", ("bal-1", 3, 4), idx=9)
    home.put("readings", ("bal-1", 0, 0), idx=-1)
    home.put("readings", ("bal-1", 0, 2), idx=0)
    home.put("readings", ("bal-1", 0, -1), idx=2)
    home.leaf_in_tile(("bal-2", 0, 1), bytes(32))
    forge(home, ("bal-1", 3, 6), "bal-2:0:0")
    assert found(await home.audit()) == {
        ("changed", PLACE),
        ("missing", "bal-1:1:0"),
        ("missing", "bal-1:3:4"),
        ("added", "bal-1:3:9"),
        ("swapped", "bal-1:0:0"),
        ("swapped", "bal-1:0:2"),
        ("batch_altered", "bal-2:0"),
        ("forged_erasure", "bal-2:0:0"),
    }
