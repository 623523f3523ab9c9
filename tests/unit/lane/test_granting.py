"""Registrations take effect outside, at once or as soon as it can be."""

import asyncio
from collections.abc import Sequence

from bal.core.errors import Unavailable
from bal.core.source import Source
from bal.granting import Granting
from bal.registry import Registry
from tests.unit.lane.test_lease import SlowClock


class Place:
    """Takes registrations unless it is away."""

    where = "here"

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.given: list[list[str]] = []
        self.told = asyncio.Event()

    async def grant(self, sources: Sequence[Source]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("no answer")
        self.given.append([source.name for source in sources])
        self.told.set()


async def test_all_places_are_told_and_one_that_is_away_again_until_it_answers() -> None:
    registry = Registry()
    registry.replace([Source(name="dso-a", lane="bal-1")])
    here, away = Place(), Place(away=3)
    granting = Granting([away, here], registry, SlowClock())
    assert not await granting.apply()
    assert granting.behind == {"here": "no answer"}
    assert (here.given, away.given) == ([["dso-a"]], [])
    registry.replace([Source(name="dso-a", lane="bal-1"), Source(name="dso-b", lane="bal-1")])
    keeping = asyncio.create_task(granting.keep())
    await away.told.wait()
    assert away.given == [["dso-a", "dso-b"]]
    assert await granting.apply()
    assert granting.behind == {}
    keeping.cancel()


async def test_nothing_is_done_again_where_all_is_done() -> None:
    place = Place()
    granting = Granting([place], Registry(), SlowClock())
    keeping = asyncio.create_task(granting.keep())
    assert await granting.apply()
    for _ in range(20):
        await asyncio.sleep(0)
    assert place.given == [[]]
    keeping.cancel()
