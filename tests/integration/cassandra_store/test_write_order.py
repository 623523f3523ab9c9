"""A writer that dies between any two requests: nothing is lost, nothing is there twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import pytest

from bal.core.address import Address, AddressRange
from bal.core.batch import SealedBatch
from bal.core.entry import Erasure
from bal.core.errors import Erased, StoreFailed, StoreUnavailable
from bal.core.source import Lane
from bal.core.stored import ErasureNote
from bal.ports import Store
from bal.store.cassandra.session import Row, Session, Values
from bal.store.cassandra.store import CassandraStore
from bal.store.cassandra.strips import encode_readings, pack
from tests.behaviour.stores import CassandraWorld, anchor, answer, put
from tests.cassandra_field import reader
from tests.real import Real
from tests.unit.store.rows import START, batch, point, reading, receipt

WRITES = ("apply", "write", "write_many", "write_rows", "write_together")


class Dead(BaseException):
    """The process ends here."""


class Death:
    """Ends a session at its n-th write: before it is sent, or when its answer would arrive."""

    def __init__(self, session: Session, left: int, *, sent: bool) -> None:
        self.left = left
        self.sent = sent
        self._session = session

    def __enter__(self) -> Self:
        for name in WRITES:
            setattr(self._session, name, self._dying(getattr(self._session, name)))
        return self

    def __exit__(self, *_: object) -> None:
        for name in WRITES:
            delattr(self._session, name)  # the class has its own

    def _dying(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def dying(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left < 0 or (self.left == 0 and not self.sent):
                raise Dead
            done = await write(*args, **kwargs)
            if self.left == 0:
                self.left = -1
                raise Dead
            return done

        return dying

    @property
    def died(self) -> bool:
        return self.left < 0 or (self.left == 0 and not self.sent)


@pytest.fixture
async def world(real: Real) -> AsyncIterator[CassandraWorld]:
    found = await CassandraWorld.open(real, "storing-bal")
    yield found
    await found.close()


async def die_at_each_write(
    world: CassandraWorld,
    work: Callable[[Store, int], Awaitable[None]],
    check: Callable[[int], Awaitable[None]],
) -> int:
    """Do `work` on ever new names, dying at its first, second… write; check what is there when opened again."""
    case = 0
    for sent in (False, True):
        at = 1
        while True:
            with Death(world.store.session, at, sent=sent) as death, contextlib.suppress(Dead):
                await work(world.store, case)
            if sent_before := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(sent_before)
            died = death.died
            world.follow()
            await check(case)
            case, at = case + 1, at + 1
            if not died:
                break
    return case


async def sound(store: Store, name: str, *batches: SealedBatch) -> None:
    """Check that just these batches are in the log `name`, and that all is shown once."""
    for each in batches:
        assert await store.entries(each.log, each.seq) == each.stored_entries()
        assert (await store.batch(each.log, each.seq)).anchor == each.anchor
        assert await store.unlisted(each.log, each.seq) == []
    shown = await answer(store, name, history=True)
    assert sorted(each.reading.value for each in shown) == sorted(
        row.entry.value
        for each in batches
        for row in each.stored_entries()
        if not isinstance(row.entry, Erasure)
    )
    by_point = [
        each for number in range(3) for each in await answer(store, name, point=point(number), history=True)
    ]
    assert sorted(each.position for each in by_point) == sorted(each.position for each in shown)
    assert await store.strays() == []
    assert await store.loose_batches() == []


def sealed_batch(name: str) -> SealedBatch:
    told = receipt(name.encode().ljust(32), [AddressRange(name, 0, 0, 2)], source=name)
    entries = [reading(str(number), number, source=name, point=point(number)) for number in range(3)]
    note = Erasure(name, "bal-9:0:0", "ab" * 32, "operator", "asked", START)
    return batch([*entries, note], log=name, receipts=[told])


async def test_a_batch_is_there_whole_or_not_at_all(world: CassandraWorld) -> None:
    batches: dict[int, SealedBatch] = {}

    async def work(store: Store, case: int) -> None:
        batches[case] = sealed_batch(f"dso-{case}")
        await store.append_batch(batches[case])

    for case in range(30):
        await world.store.record_lane(Lane(f"dso-{case}", f"dso-{case}", 1))

    async def check(case: int) -> None:
        name, store = f"dso-{case}", world.store
        told = await store.receipt(name, name.encode().ljust(32))
        if await store.last_batch(name) is None:
            assert told is None
            assert await answer(store, name) == []
            await store.append_batch(batches[case])
        await sound(store, name, batches[case])
        told = await store.receipt(name, name.encode().ljust(32))
        assert told is not None
        assert told.ranges == (AddressRange(name, 0, 0, 2),)
        await store.append_batch(batches[case])
        await sound(store, name, batches[case])

    assert await die_at_each_write(world, work, check) > 8


async def test_a_carried_batch_stands_in_one_log(world: CassandraWorld) -> None:
    moved: dict[int, SealedBatch] = {}
    for case in range(50):
        for suffix in ("", "-2"):
            await world.store.record_lane(Lane(f"dso-{case}", f"dso-{case}{suffix}", 1))

    async def work(store: Store, case: int) -> None:
        name = f"dso-{case}"
        moved[case] = batch(sealed_batch(name).entries, log=f"{name}-2")
        await store.carry_over(name, 0, moved[case])

    async def check(case: int) -> None:
        name, store = f"dso-{case}", world.store
        if await store.last_batch(f"{name}-2") is None:
            assert len(await store.unanchored(name)) == 1
            await store.carry_over(name, 0, moved[case])
        assert await store.unanchored(name) == []
        assert await store.entries(name, 0) == []
        told = await store.receipt(name, name.encode().ljust(32))
        assert told is not None
        assert told.ranges == (AddressRange(f"{name}-2", 0, 0, 2),)
        await sound(store, name, moved[case])
        await store.append_batch(sealed_batch(f"dso-{case + 1}"))

    await world.store.append_batch(sealed_batch("dso-0"))
    assert await die_at_each_write(world, work, check) > 8


async def test_an_erasure_is_finished_when_asked_again(world: CassandraWorld) -> None:
    notes: dict[int, ErasureNote] = {}

    async def prepare(case: int) -> None:
        name = f"dso-{case}"
        (first,) = await put(world.store, [reading(str(n), n, source=name) for n in range(3)], log=name)
        word = Erasure(name, f"{name}:0:1", first.leaves[1].hex(), "operator", "asked", START)
        (second,) = await put(world.store, [word], log=name)
        await anchor(world.store, first, second)
        notes[case] = ErasureNote(Address(name, 0, 1), Address(name, 1, 0), word, second.salts[0])

    async def work(store: Store, case: int) -> None:
        await store.erase(notes[case], b"k" * 32)

    async def check(case: int) -> None:
        name, store = f"dso-{case}", world.store
        await store.erase(notes[case], b"k" * 32)
        with pytest.raises(Erased):
            await store.entry(Address(name, 0, 1))
        assert [each.reading.value for each in await answer(store, name)] == ["2", "0"]
        assert await store.strays() == []
        assert await store.unlisted(name, 0) == []
        await prepare(case + 1)

    await prepare(0)
    assert await die_at_each_write(world, work, check) > 4


@pytest.mark.parametrize("table", ["readings", "tiles"])
async def test_who_erases_puts_nothing_back_that_another_takes_out_meanwhile(
    world: CassandraWorld, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    store, session = world.store, world.store.session
    # In pairs alike in everything but their address.
    entries = [reading(str(number // 2), number // 2, source="dso-0") for number in range(6)]
    (first,) = await put(store, entries, log="dso-0")
    words = [
        Erasure("dso-0", f"dso-0:0:{n}", first.leaves[n].hex(), "operator", "asked", START) for n in range(5)
    ]
    (second,) = await put(store, words, log="dso-0")
    await anchor(store, first, second)
    notes = [
        ErasureNote(Address("dso-0", 0, n), Address("dso-0", 1, n), words[n], second.salts[n])
        for n in range(5)
    ]
    apply, waiting = session.apply, notes[1:]

    async def overtaken(cql: str, values: Values = ()) -> tuple[bool, Row]:
        if cql.startswith(f"UPDATE {table}") and waiting:
            note = waiting.pop()
            await store.erase(note, bytes([note.target.index]) * 32)
        return await apply(cql, values)

    monkeypatch.setattr(session, "apply", overtaken)
    assert await store.repetitions(entries[0]) == [Address("dso-0", 0, 0), Address("dso-0", 0, 1)]
    await store.erase(notes[0], b"k" * 32)
    assert not waiting
    assert [each.address for each in await answer(store, "dso-0", point=point())] == [Address("dso-0", 0, 5)]
    assert [row.address.index for row in await store.entries("dso-0", 0)] == [5]
    assert await store.repetitions(entries[0]) == []
    assert await store.repetitions(entries[5]) == [Address("dso-0", 0, 5)]
    assert await store.strays() == []
    assert await store.unlisted("dso-0", 0) == []
    ((indexes, contents),) = await session.all("SELECT indexes, contents FROM readings")
    assert (indexes, contents) == (pack([5]), encode_readings([entries[5]])), "nothing else is kept"


async def test_a_reader_is_refused_what_writes(real: Real, world: CassandraWorld) -> None:
    await world.store.record_lane(Lane("dso-0", "dso-0", 1))
    found = await CassandraStore.connect(
        reader(real, world.access)
    )  # as a writer would: it is Cassandra that refuses
    try:
        with pytest.raises(StoreFailed, match="may not") as refused:
            await found.append_batch(sealed_batch("dso-0"))
        assert not isinstance(refused.value, StoreUnavailable)
        with pytest.raises(StoreFailed, match="may not"):
            await found.record_lane(Lane("dso-1", "dso-1", 1))
        assert await found.last_batch("dso-0") is None
    finally:
        await found.close()
    assert await world.store.logs() == ["dso-0"]


async def test_what_was_opened_to_be_read_refuses_before_it_asks(world: CassandraWorld) -> None:
    found = CassandraStore(world.store.session, read_only=True)
    with pytest.raises(StoreFailed, match="read only"):
        await found.append_batch(sealed_batch("dso-0"))
