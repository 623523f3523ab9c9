"""Deliveries that were left with their sender come again, and erasures cut off with a log are finished."""

from __future__ import annotations

import asyncio

import pytest

from bal.core.address import Address
from bal.core.errors import Erased, Refused, StoreFailed, Unavailable
from bal.core.reading import Reading
from tests.patience import PATIENCE
from tests.unit.lane.office import Office
from tests.unit.lane.world import SOURCE, message


async def values(office: Office, log: str) -> list[str]:
    found = []
    async for record in office.store.batches(log):
        rows = await office.store.entries(log, record.anchor.seq)
        found += [row.entry.value for row in rows if isinstance(row.entry, Reading)]
    return found


async def poisoned(office: Office, *texts: str) -> None:
    """Send messages; the batch of the first is one the contract will never take."""
    office.ledger.open.clear()
    await office.send(*texts)
    await office.emptied()
    office.ledger.poison.add((await office.store.unanchored("bal-1"))[0].root)


async def test_deliveries_are_answered_in_order_and_strangers_refused() -> None:
    office = Office()
    async with office.open(SOURCE):
        await office.send("1", "unreadable", "2 bad")
        await office.send("3", source="nobody")
        await office.emptied()
        assert await values(office, "bal-1") == ["1", "2"]
    topics = [topic for topic, _ in office.told]
    assert topics[0] == "bal/dso-a/accepted"
    assert "bal/dso-a/rejected" in topics
    assert "bal/nobody/rejected" in topics


async def test_a_suspended_source_finds_its_streamed_message_in_quarantine() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        await service.suspend("dso-a", suspended=True, why="a meter was swapped")
        with pytest.raises(Refused):
            await service.ingest(message("1 2@2", streamed=True))
    (kept,) = office.quarantine.kept.values()
    assert (kept.fragment, kept.where) == (b"1 2@2", "message")


async def test_a_suspension_is_what_the_ledger_says_whatever_the_registration_does() -> None:
    office = Office()
    office.ledger.regulated = True
    async with office.open(SOURCE) as service:
        with pytest.raises(Refused):
            await service.ingest(message("1"))
        # A resumption of one's own leaves the regulator's suspension in force.
        assert (await service.suspend("dso-a", suspended=False, why="over")).suspended
        with pytest.raises(Refused):
            await service.ingest(message("1"))
        office.ledger.regulated = False
        assert not (await service.suspend("dso-a", suspended=False, why="over")).suspended
        assert (await service.ingest(message("1"))).accepted == 1
    async with office.open(SOURCE.model_copy(update={"suspended": True})) as service:
        assert (await service.ingest(message("2"))).accepted == 1


async def test_what_a_closed_log_cut_off_comes_again_in_order_by_itself() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        await office.send("1")
        await office.emptied()
        await service.pipeline.lanes["bal-1"].published.reached(0)
        await poisoned(office, "2@1")
        failing = asyncio.Event()

        async def away(kind: str) -> None:
            if kind == "append_batch" and not failing.is_set():
                await failing.wait()

        office.store.before = away
        await office.send(*(f"{number}@{number}" for number in range(3, 9)))
        await asyncio.sleep(0.05)
        office.ledger.open.set()
        await service.pipeline.lanes["bal-1"].anchored.reached(0)
        await asyncio.wait([service.pipeline.lanes["bal-1"].failed])
        failing.set()
        await office.emptied()
        assert service.pipeline.lanes["bal-1"].lane.log == "bal-1-2"
        assert await values(office, "bal-1-2") == [str(number) for number in range(2, 9)]
    assert office.receipts()["bal/dso-a/accepted"] == 8
    assert office.receipts()["bal/dso-a/rejected"] == 0


async def test_a_store_that_does_not_answer_once_is_asked_again() -> None:
    office = Office()
    left = [3]

    async def at_times(kind: str) -> None:
        if kind == "receipt" and left[0]:
            left[0] -= 1
            raise StoreFailed("the database does not answer")

    async with office.open(SOURCE):
        office.store.before = at_times
        await office.send("1", "2@2", "3@3")
        await office.emptied()
        assert sorted(await values(office, "bal-1")) == ["1", "2", "3"]
    assert left == [0]
    assert office.receipts() == {"bal/dso-a/accepted": 3}


async def test_an_erasure_cut_off_with_its_log_is_finished_in_the_next() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        (receipt,) = [await service.ingest(message("1"))]
        assert [str(part) for part in receipt.ranges] == ["bal-1:0:0-0"]
        office.ledger.open.clear()
        erasing = asyncio.create_task(service.erase(Address("bal-1", 0, 0), "operator", "asked"))
        async with asyncio.timeout(PATIENCE):
            while not (waiting := await office.store.unanchored("bal-1")):  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.005)
        office.ledger.poison.add(waiting[0].root)
        office.ledger.open.set()
        with pytest.raises(Unavailable):
            await erasing
        async with asyncio.timeout(PATIENCE):
            while not await office.store.erased_lookups():  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.02)
        with pytest.raises(Erased):
            await office.store.entry(Address("bal-1", 0, 0))
        (note,) = await office.store.erasures("bal-1-2")
        assert note.target == Address("bal-1", 0, 0)
        again = await service.submit(message("1 2@1"))
        assert (again.accepted, again.rejected) == (1, 1)
