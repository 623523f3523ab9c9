"""Workers whose clocks differ: what follows is what was done last, not what a clock says.

What a fast clock wrote can't be emptied by ours: each test has names of its own.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from bal.core.address import AddressRange
from bal.core.errors import StoreUnavailable
from bal.core.source import Lane
from bal.ports import Parked
from bal.store.cassandra import writing
from bal.store.cassandra.store import CassandraStore
from tests.behaviour.stores import CassandraWorld
from tests.real import Real
from tests.unit.store.rows import batch, reading, receipt

HOUR = 3_600_000_000


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    found = await CassandraWorld.open(real, "clocks-bal")
    yield found
    await found.close()


def worker(world: CassandraWorld, monkeypatch: pytest.MonkeyPatch, hours: int) -> CassandraStore:
    """Return a store as a worker has it whose clock is `hours` fast; slow below 0."""

    def now() -> int:
        return int(time.clock_gettime(time.CLOCK_REALTIME) * 1e6) + hours * HOUR

    monkeypatch.setattr(world.store.session._cluster, "timestamp_generator", now)
    monkeypatch.setattr(time, "time_ns", lambda: 1000 * now())
    return CassandraStore(world.store.session)


@pytest.mark.parametrize("hours", [-48, 48])
async def test_a_payload_goes_once_its_rows_are_there(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    store = worker(world, monkeypatch, hours)
    log = f"bal{hours}".replace("-", "-slow-")
    await store.append_batch(batch([reading("1")], log=log))
    assert await store.session.all("SELECT payload FROM batches WHERE log = ? AND chunk = 0", (log,)) == [
        (None,)
    ]


async def test_what_is_parked_after_it_was_lifted_stays_parked(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = worker(world, monkeypatch, 1)
    await fast.park(Parked("jsonl", "dso-a", "bal-1", 3, 1))
    await fast.unpark("jsonl", "dso-a")
    slow = worker(world, monkeypatch, 0)
    again = Parked("jsonl", "dso-a", "bal-1", 7, 2)
    await slow.park(again)
    assert await slow.parked() == [again]
    further = again._replace(seq=9)
    await worker(world, monkeypatch, -1).park(further)
    assert await slow.parked() == [further]
    await slow.unpark("jsonl", "dso-a")
    assert await slow.parked() == []


async def test_a_receipt_is_completed_by_whoever_goes_on_with_its_message(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = worker(world, monkeypatch, 1)
    await fast.record_lane(Lane("bal-1", "bal-1", 1))
    first = batch([reading("1")])
    await fast.append_batch(first)
    begun = receipt(b"m" * 32, [AddressRange("bal-1", 0, 0, 0)], complete=False)
    await fast.record_receipts([begun])
    slow = worker(world, monkeypatch, 0)
    assert await slow.receipt("dso-a", b"m" * 32) == begun
    done = receipt(b"m" * 32, [*begun.ranges, AddressRange("bal-1", 1, 0, 0)])
    await slow.append_batch(batch([reading("2", 1)], first.anchor, receipts=[done]))
    known = await slow.receipt("dso-a", b"m" * 32)
    assert known is not None
    assert known.complete


async def test_a_receipt_that_was_forgotten_is_written_anew(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = worker(world, monkeypatch, 0)
    await slow.record_receipts([receipt(b"f" * 32, received_at=10)])
    assert await worker(world, monkeypatch, 1).forget_receipts(20) == 1
    assert await slow.receipt("dso-a", b"f" * 32) is None
    slow = worker(world, monkeypatch, 0)
    await slow.record_receipts([receipt(b"f" * 32, received_at=30)])
    assert await slow.receipt("dso-a", b"f" * 32) is not None


async def test_whoever_was_stopped_after_a_commit_leaves_the_rows_to_whoever_has_the_lane(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.store.record_lane(Lane("bal-3", "bal-3", 1))
    sealed = batch([reading("1")], log="bal-3")
    with monkeypatch.context() as stopped:
        stopped.setattr(writing, "_PAUSE_SECONDS", -1.0)
        with pytest.raises(StoreUnavailable):
            await world.store.append_batch(sealed)
    assert await world.store.session.all("SELECT log FROM readings") == []
    await world.store.last_batch("bal-3")
    assert await world.store.entries("bal-3", 0) == sealed.stored_entries()
