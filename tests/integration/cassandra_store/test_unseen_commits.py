"""An insert that the replicas accepted and nobody committed: no plain read sees it, whoever writes next meets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from bal.core.batch import SealedBatch, seal
from bal.core.entry import leaves
from bal.core.errors import Conflict, StoreUnavailable
from bal.core.source import Lane
from bal.store.cassandra.session import Row, Session
from bal.store.cassandra.store import CassandraStore
from chaincode.anchor import GENESIS
from tests.behaviour.stores import CassandraWorld
from tests.real import Real
from tests.unit.store.rows import RULES, START, batch, reading


class Unseen:
    """Holds back the next conditional insert of a table, and the answer of its serial read, as a node that dies does.

    Whatever is serial on that partition afterwards commits the insert first: so does Paxos.
    """

    def __init__(self, session: Session, table: str, key: Callable[[Any], object]) -> None:
        self._table = table
        self._key = key
        self._apply, self._one = session.apply, session.one
        self._held: tuple[str, Any] | None = None
        self._silent = True
        session.apply, session.one = self.apply, self.one  # type: ignore[method-assign]

    async def apply(self, cql: str, values: Any = ()) -> tuple[bool, Row]:
        if self._held is None and self._silent and cql.startswith(f"INSERT INTO {self._table} "):
            self._held = (cql, values)
            raise StoreUnavailable("no answer")
        await self._settle(cql, values)
        return await self._apply(cql, values)

    async def one(self, cql: str, values: Any = (), *, serial: bool = False) -> Row | None:
        if serial and self._held is not None and self._silent:
            self._silent = False
            raise StoreUnavailable("no answer")
        if serial:
            await self._settle(cql, values)
        return await self._one(cql, values, serial=serial)

    async def _settle(self, cql: str, values: Any) -> None:
        if self._held is None or self._table not in cql.split():
            return
        held_cql, held_values = self._held
        if self._key(values) == self._key(held_values):
            self._held = None
            assert (await self._apply(held_cql, held_values))[0]


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    found = await CassandraWorld.open(real, "storing-bal")
    yield found
    await found.close()


def sealed_after(seq: int) -> SealedBatch:
    """Return the batch `seq` of a log, of whose batches before it nothing is known."""
    entries = [reading(str(seq))]
    salts = [b"s" * 16]
    return seal(
        log="bal-1",
        seq=seq,
        previous=GENESIS if seq == 0 else "ab" * 32,
        entries=entries,
        salts=salts,
        leaves=leaves(entries, salts),
        rules={"dso-a": RULES},
        receipts=(),
        sealed_at=START,
    )


@pytest.mark.parametrize("before", [None, 0, 255])
async def test_a_batch_nobody_committed_is_found_by_whoever_takes_the_lane(
    world: CassandraWorld, before: int | None
) -> None:
    store, session = world.store, world.store.session
    await store.record_lane(Lane("bal-1", "bal-1", 1))
    if before is not None:
        await store.append_batch(sealed_after(before))
    unseen = sealed_after(0 if before is None else before + 1)
    Unseen(session, "batches", lambda values: values[:2])
    with pytest.raises(StoreUnavailable):
        await store.append_batch(unseen)
    follower = CassandraStore(session)
    last = await follower.last_batch("bal-1")
    assert last is not None
    assert last.anchor == unseen.anchor
    assert await follower.entries("bal-1", unseen.anchor.seq) == unseen.stored_entries()
    following = batch([reading("9", 9)], unseen.anchor)
    await follower.append_batch(following)
    assert await follower.strays() == []


async def test_a_lane_nobody_committed_is_known_when_it_is_recorded_again(world: CassandraWorld) -> None:
    store = world.store
    Unseen(store.session, "lanes", lambda _: 0)
    lane = Lane("bal-1", "bal-1", 1)
    with pytest.raises(StoreUnavailable):
        await store.record_lane(lane)
    assert await CassandraStore(store.session).lanes() == [lane]


async def test_the_same_lane_again_is_no_harm_and_another_is_a_conflict(world: CassandraWorld) -> None:
    store = world.store
    Unseen(store.session, "lanes", lambda _: 0)
    lane = Lane("bal-1", "bal-1", 1)
    with pytest.raises(StoreUnavailable):
        await store.record_lane(lane)
    await store.record_lane(lane)
    with pytest.raises(Conflict):
        await store.record_lane(Lane("bal-2", "bal-1", 1))
    assert await store.logs() == ["bal-1"]
