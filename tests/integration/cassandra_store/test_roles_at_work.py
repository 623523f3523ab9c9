"""A reader's rights are enough for queries and certificates, an auditor's for an audit of every table it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bal.core.address import Address
from bal.core.entry import Erasure
from bal.core.errors import Erased
from bal.core.source import Source
from bal.core.stored import ErasureNote
from bal.ports import Store
from bal.reader import certificate
from bal.resources import resource
from bal.store.cassandra.access import CassandraAccess
from bal.store.cassandra.migrations import check_current
from bal.store.cassandra.store import CassandraStore
from tests.behaviour.stores import CassandraWorld, anchor, answer, put
from tests.cassandra_field import admitted, reader
from tests.real import Real
from tests.unit.store.rows import START, reading

ERASED = Address("bal-1", 0, 1)


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    found = await CassandraWorld.open(real, "storing-bal")
    await found.store.record_source(Source(name="dso-a", lane="bal-1"))
    (first,) = await put(found.store, [reading(str(number), number) for number in range(3)])
    word = Erasure("dso-a", str(ERASED), first.leaves[1].hex(), "operator", "asked", START)
    (second,) = await put(found.store, [word])
    await anchor(found.store, first, second)
    await found.store.erase(ErasureNote(ERASED, Address("bal-1", 1, 0), word, second.salts[0]), b"k" * 32)
    yield found
    await found.close()


async def opened(access: CassandraAccess) -> CassandraStore:
    return await CassandraStore.connect(access, read_only=True)


async def queried(store: CassandraStore) -> None:
    await check_current(store.session, resource("scd") / "migrations")
    assert [source.name for source in await store.sources()] == ["dso-a"]
    assert await store.logs() == ["bal-1"]
    assert [each.reading.value for each in await answer(store, point=reading().point)] == ["2", "0"]
    assert [each.reading.value for each in await answer(store)] == ["2", "0"]
    assert "bal-1:0:0" in await certificate(store, Address("bal-1", 0, 0))
    with pytest.raises(Erased):
        await store.entry(ERASED)


async def audited(store: Store) -> None:
    assert await store.strays() == []
    assert await store.loose_batches() == []
    assert [await store.unlisted("bal-1", seq) for seq in (0, 1)] == [[], []]
    assert await store.unanchored("bal-1") == []
    assert await store.unpublished("bal-1") == [0, 1]
    assert [note.target for note in await store.erasures("bal-1")] == [ERASED]


async def test_a_reader_asks_and_proves(real: Real, world: CassandraWorld) -> None:
    store = await opened(reader(real, world.access))
    try:
        await queried(store)
    finally:
        await store.close()


async def test_an_auditor_audits_too(real: Real, world: CassandraWorld) -> None:
    store = await opened(admitted(real, "altered-auditor", audits="storing-bal"))
    try:
        await queried(store)
        await audited(store)
    finally:
        await store.close()
