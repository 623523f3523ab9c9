"""A source changes its lane only when the old one has published all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bal.core.address import Address
from bal.core.errors import Unavailable
from bal.core.source import Source
from bal.core.subscribing import subscribed
from bal.ports import ReadingQuery
from tests.unit.lane.office import Office
from tests.unit.lane.world import SOURCE, message

MOVED = SOURCE.model_copy(update={"lane": "bal-2"})
OTHER = Source(name="dso-b", lane="bal-1")


async def shown(office: Office, **asked: Any) -> list[str]:
    query = ReadingQuery("dso-a", **asked)
    return [found.reading.value async for found in office.store.readings(query)]


async def test_the_old_lane_publishes_all_of_it_first() -> None:
    office = Office()
    async with office.open(SOURCE, OTHER) as service:
        office.ledger.open.clear()
        before = await service.submit(message("1"))
        moving = asyncio.create_task(service.register_source(MOVED))
        await asyncio.sleep(0.05)
        assert not moving.done()
        with pytest.raises(Unavailable, match="changing its lane"):
            await service.submit(message("2@1"))
        assert (await service.submit(message("9", source="dso-b"))).ranges[0].log == "bal-1"
        assert await office.store.sources() == []
        office.ledger.open.set()
        moved = await moving
        assert office.output.given[0][:2] == ("bal-1", 0)
        after = await service.ingest(message("3"))
        assert (before.ranges[0].log, after.ranges[0].log) == ("bal-1", "bal-2")
        assert moved.recorded_at > before.received_at
        assert after.received_at > before.received_at
        assert await shown(office) == ["3"]
        assert await shown(office, history=True) == ["1", "3"]
    assert [each.lane for each in await office.store.source_history("dso-a")] == ["bal-2"]


async def test_what_waits_in_the_inbox_goes_through_the_old_lane_in_order() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        office.ledger.open.clear()
        await office.send(*(f"{number}@{number}" for number in range(20)))
        moving = asyncio.create_task(service.register_source(MOVED))
        await asyncio.sleep(0)
        office.ledger.open.set()
        await moving
        assert not office.inbox.pending
        await office.send("20@20")
        await office.emptied()
        places = [
            (found.address.log, found.reading.value)
            async for found in office.store.readings(ReadingQuery("dso-a"))
        ]
        assert places == [("bal-2", "20"), *(("bal-1", str(number)) for number in reversed(range(20)))]


async def test_an_output_that_is_away_leaves_the_source_where_it_was() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        office.output.script = [Unavailable("disk full")] * 10_000
        await service.submit(message("1"))
        with pytest.raises(Unavailable, match="has not published"):
            await service.register_source(MOVED)
        assert service.source("dso-a") == SOURCE
        office.output.script.clear()
        assert (await service.submit(message("2@2"))).ranges[0].log == "bal-1"
        await service.pipeline.lanes["bal-1"].published.reached(1)
        assert (await service.register_source(MOVED)).lane == "bal-2"


async def test_after_a_restart_nothing_counts_as_received_before_the_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        first = await service.ingest(message("1"))
        await service.register_source(MOVED)
    monkeypatch.setattr(office.clock, "now", lambda: 5_000_000)
    async with office.open() as service:
        second = await service.ingest(message("2"))
        assert second.ranges[0].log == "bal-2"
        assert second.received_at > first.received_at
        assert await shown(office) == ["2"]


async def test_what_both_lanes_hold_is_republished_in_order() -> None:
    office = Office()
    async with office.open(SOURCE) as service:
        await service.ingest(message("1"))
        await service.register_source(MOVED)
        await service.ingest(message("2"))
        await service.register_source(SOURCE)
        last = await service.ingest(message("3"))
        assert last.ranges[0].log == "bal-1"
        await service.pipeline.lanes["bal-1"].published.reached(1)
        office.output.given.clear()
        assert await service.republish("dso-a", start=Address("bal-1", 0, 0)) == {"jsonl": 3}
        assert [each[:2] for each in office.output.given] == [("bal-1", 0), ("bal-2", 0), ("bal-1", 1)]


async def test_changes_of_one_registration_at_a_time_all_count() -> None:
    """Two who let a subscriber in at a time: neither takes the other's away again."""
    office = Office()
    async with office.open(SOURCE) as service:
        names = [f"reader-{number}" for number in range(4)]

        def letting_in(name: str) -> Callable[[Source], Source]:
            return lambda known: subscribed(known, name, [])

        await asyncio.gather(*(service.change_source("dso-a", letting_in(name)) for name in names))
        found = service.source("dso-a")
        assert found is not None
        assert found.readers == tuple(names)
