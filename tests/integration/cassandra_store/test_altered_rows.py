"""Somebody writes into the tables that queries read: what they show must be what was sealed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bal.core.address import Address
from bal.core.errors import Invalid
from bal.store.cassandra import auditing
from tests.behaviour.stores import CassandraWorld, answer, put
from tests.real import Real
from tests.unit.store.rows import point, reading

FORGED = """INSERT INTO readings (source, point, quantity, span, bucket, timestamp, component, reading_type, phase,
    received_at, log, seq, idx, value, unit, interval, quality) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
KEY = "source, point, quantity, span, bucket, timestamp, component, reading_type, phase, received_at, log, seq, idx"


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    found = await CassandraWorld.open(real, "storing-bal")
    await put(found.store, [reading(str(number), number, point=point(number)) for number in range(3)])
    yield found
    await found.close()


async def test_a_forged_value_hides_the_reading(world: CassandraWorld) -> None:
    session = world.store.session
    (row,) = [row for row in await session.all(f"SELECT {KEY} FROM readings") if row[-1] == 1]
    await session.write(FORGED, (*row, "999", "Wh", 900, ""))
    assert (await answer(world.store, point=point(1)))[0].reading.value == "999"
    assert await world.store.unlisted("bal-1", 0) == [Address("bal-1", 0, 1)]


@pytest.mark.parametrize("rows_a_pass", [1 << 30, 1])
async def test_a_second_row_of_an_address_is_a_stray(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch, rows_a_pass: int
) -> None:
    monkeypatch.setattr(auditing, "_PASS_ROWS", rows_a_pass)
    session = world.store.session
    (row,) = [row for row in await session.all(f"SELECT {KEY} FROM readings") if row[-1] == 1]
    await session.write(FORGED, (row[0], point(5), *row[2:], "999", "Wh", 900, ""))
    await session.write(FORGED, (*row[:-1], 7, "998", "Wh", 900, ""))
    await session.write(FORGED, (*row[:-3], "bal-7", 0, 0, "997", "Wh", 900, ""))
    assert await world.store.strays() == [
        Address("bal-1", 0, 1),
        Address("bal-1", 0, 7),
        Address("bal-7", 0, 0),
    ]


async def test_lists_that_lead_nowhere_are_told(world: CassandraWorld) -> None:
    session, store = world.store.session, world.store
    await session.write("DELETE FROM point_eras WHERE source = ? AND point = ?", ("dso-a", point(2)))
    assert await store.unlisted("bal-1", 0) == [Address("bal-1", 0, 2)]
    await session.write("DELETE FROM source_eras WHERE source = ?", ("dso-a",))
    assert len(await store.unlisted("bal-1", 0)) == 3


async def test_tiles_that_are_altered_or_too_many_are_told(world: CassandraWorld) -> None:
    session, store = world.store.session, world.store
    await session.write("INSERT INTO tiles (log, seq, number, leaves) VALUES ('bal-1', 0, 4, 0x00)")
    assert await store.loose_batches() == [("bal-1", 0)]
    await session.write("INSERT INTO tiles (log, seq, number, contents) VALUES ('bal-1', 0, 0, 0x0102)")
    with pytest.raises(Invalid):
        await store.entries("bal-1", 0)
    with pytest.raises(Invalid):
        await store.entry(Address("bal-1", 0, 0))
