"""Somebody writes into the tables that queries read: what they show must be what was sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bal.core.address import Address
from bal.core.entry import Erasure
from bal.core.errors import Invalid
from bal.core.stored import ErasureNote
from bal.store.cassandra import auditing
from bal.store.cassandra.rows import DELETE_STRIP
from bal.store.cassandra.strips import encode_readings, indexes_of, pack
from tests.behaviour.stores import CassandraWorld, answer, put
from tests.real import Real
from tests.unit.store.rows import QUARTER, START, batch, point, reading

COLUMNS = "source, point, quantity, span, bucket, newest, log, seq, number, oldest, indexes, contents"
FORGED = f"INSERT INTO readings ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
Row = dict[str, Any]


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    """Three readings of point 0, one of points 1 and 2."""
    found = await CassandraWorld.open(real, "storing-bal")
    entries = [reading(str(number), number, point=point(max(0, number - 2))) for number in range(5)]
    await put(found.store, entries)
    yield found
    await found.close()


async def strip(world: CassandraWorld, number: int) -> Row:
    """Return the row of a point."""
    rows = [
        dict(zip(COLUMNS.split(", "), row, strict=True))
        for row in await world.store.session.all(f"SELECT {COLUMNS} FROM readings")
    ]
    (found,) = [row for row in rows if row["point"] == point(number)]
    return found


async def forge(world: CassandraWorld, row: Row, **altered: Any) -> None:
    """Write a row with some of its columns altered; where those are of the key it is another one."""
    await world.store.session.write(FORGED, tuple({**row, **altered}.values()))


async def drop(world: CassandraWorld, row: Row) -> None:
    await world.store.session.write(DELETE_STRIP, tuple(row.values())[:9])


def addresses(*indexes: int) -> list[Address]:
    return [Address("bal-1", 0, index) for index in indexes]


async def shown(world: CassandraWorld, number: int) -> list[str]:
    return [each.reading.value for each in await answer(world.store, point=point(number))]


async def test_what_was_sealed_is_shown_and_nothing_is_found(world: CassandraWorld) -> None:
    assert [await shown(world, number) for number in range(3)] == [["2", "1", "0"], ["3"], ["4"]]
    assert indexes_of((await strip(world, 0))["indexes"]) == (0, 1, 2)
    assert await world.store.unlisted("bal-1", 0) == []
    assert await world.store.strays() == []


async def test_a_forged_value_hides_the_reading(world: CassandraWorld) -> None:
    contents = [reading(value, at) for at, value in enumerate(("0", "999", "2"))]
    await forge(world, await strip(world, 0), contents=encode_readings(contents))
    assert await shown(world, 0) == ["2", "999", "0"]
    assert await world.store.unlisted("bal-1", 0) == addresses(1)
    assert await world.store.strays() == []


@pytest.mark.parametrize(
    "altered",
    [
        {"contents": b"\x01\x02"},
        {"contents": None},
        {"indexes": pack([0, 1])},
        {"oldest": START + QUARTER},
        {"oldest": START - 2 * 86_400_000_000},
        {"oldest": None},
    ],
    ids=lambda altered: f"{altered}"[:30],
)
async def test_a_row_that_cant_be_read_is_left_out_and_its_readings_are_named(
    world: CassandraWorld, altered: Row
) -> None:
    await forge(world, await strip(world, 0), **altered)
    assert await shown(world, 0) == []
    assert await shown(world, 1) == ["3"]
    assert await world.store.unlisted("bal-1", 0) == addresses(0, 1, 2)


@pytest.mark.parametrize(
    "moved",
    [
        {"point": point(5)},
        {"source": "dso-b"},
        {"quantity": "voltageMagnitude"},
        {"span": 86_400},
        {"bucket": 7},
        {"newest": START + QUARTER},
        {"newest": START + 2 * 86_400_000_000},
    ],
    ids=lambda moved: f"{moved}"[:30],
)
async def test_a_row_in_another_place_is_named_and_beside_the_right_one_too(
    world: CassandraWorld, moved: Row
) -> None:
    row = await strip(world, 0)
    await forge(world, row, **moved)
    assert await world.store.strays() == addresses(0, 1, 2)
    assert await world.store.unlisted("bal-1", 0) == []
    await drop(world, row)
    assert await world.store.strays() == []
    assert await world.store.unlisted("bal-1", 0) == addresses(0, 1, 2)


async def test_indexes_that_were_exchanged_are_named(world: CassandraWorld) -> None:
    await forge(world, await strip(world, 0), indexes=pack([1, 0, 2]))
    assert await world.store.unlisted("bal-1", 0) == addresses(0, 1)


@pytest.mark.parametrize("readings_a_pass", [1 << 30, 1])
async def test_a_second_row_of_an_address_is_a_stray(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch, readings_a_pass: int
) -> None:
    monkeypatch.setattr(auditing, "_PASS_READINGS", readings_a_pass)
    row = await strip(world, 1)
    forged = encode_readings([reading("999", 3, point=point(1))])
    await forge(world, row, point=point(5), contents=forged)
    await forge(world, row, number=1, indexes=pack([7]), contents=forged)
    await forge(world, row, number=2, indexes=b"", contents=b"")
    await forge(world, row, log="bal-7", indexes=pack([0]), contents=forged)
    assert await world.store.strays() == [*addresses(-1, 3, 7), Address("bal-7", 0, 0)]


async def test_an_erased_reading_that_came_back_is_a_stray(world: CassandraWorld) -> None:
    store, row = world.store, await strip(world, 0)
    (sealed,) = [each async for each in store.batches("bal-1")]
    word = Erasure(
        "dso-a", "bal-1:0:1", (await store.tile("bal-1", 0, 0)).leaves[1].hex(), "operator", "asked", START
    )
    second = batch([word], sealed.anchor)
    await store.append_batch(second)
    await store.erase(
        ErasureNote(Address("bal-1", 0, 1), Address("bal-1", 1, 0), word, second.salts[0]), b"k" * 32
    )
    assert await shown(world, 0) == ["2", "0"]
    assert await store.strays() == []
    await forge(world, row)
    assert await store.strays() == addresses(1)


async def test_a_strip_that_cant_be_read_keeps_its_reading_from_being_erased_in_part(
    world: CassandraWorld,
) -> None:
    store = world.store
    await forge(world, await strip(world, 0), contents=b"\x01")
    word = Erasure("dso-a", "bal-1:0:1", "ab" * 32, "operator", "asked", START)
    with pytest.raises(Invalid, match="altered"):
        await store.erase(ErasureNote(Address("bal-1", 0, 1), Address("bal-1", 1, 0), word, b""), b"k" * 32)
    with pytest.raises(Invalid, match="altered"):
        await store.repetitions(reading("1", 1))
    assert (await store.entry(Address("bal-1", 0, 1))).entry == reading("1", 1), (
        "until it is, the tile holds it"
    )


async def test_lists_that_lead_nowhere_are_told(world: CassandraWorld) -> None:
    session, store = world.store.session, world.store
    await session.write("DELETE FROM point_eras WHERE source = ? AND point = ?", ("dso-a", point(2)))
    assert await store.unlisted("bal-1", 0) == addresses(4)
    await session.write("DELETE FROM source_eras WHERE source = ?", ("dso-a",))
    assert len(await store.unlisted("bal-1", 0)) == 5


async def test_tiles_that_are_altered_or_too_many_are_told(world: CassandraWorld) -> None:
    session, store = world.store.session, world.store
    await session.write("INSERT INTO tiles (log, seq, number, leaves) VALUES ('bal-1', 0, 4, 0x00)")
    assert await store.loose_batches() == [("bal-1", 0)]
    await session.write("INSERT INTO tiles (log, seq, number, contents) VALUES ('bal-1', 0, 0, 0x0102)")
    with pytest.raises(Invalid):
        await store.entries("bal-1", 0)
    with pytest.raises(Invalid):
        await store.entry(Address("bal-1", 0, 0))
