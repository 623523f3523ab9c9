"""Room and watermarks: numbers past which senders wait, marks that can be waited for."""

from __future__ import annotations

import asyncio

import pytest

from bal.core.errors import Overloaded, Unavailable
from bal.lane.room import CERTIFICATE_BYTES, Room
from bal.lane.watermark import Watermark
from tests.unit.lane.world import FakeClock, settings, turns


def room(**members: object) -> tuple[Room, FakeClock]:
    clock = FakeClock()
    return Room(settings(**members), clock), clock


async def test_messages_and_bytes_fill_it_and_leaving_makes_room() -> None:
    place, _ = room(intake_messages=2, intake_bytes=1024)
    await place.enter(10, wait=False)
    assert not place.full
    await place.enter(2000, wait=False)
    assert place.full
    with pytest.raises(Overloaded):
        await place.enter(1, wait=False)
    place.leave(2000)
    await place.enter(1100, wait=False)
    place.leave(10)
    with pytest.raises(Overloaded):
        await place.enter(1, wait=False)
    place.leave(1100)
    assert (place.messages, place.bytes) == (0, 0)


async def test_those_who_wait_are_let_in_in_turn() -> None:
    place, _ = room(intake_messages=1)
    await place.enter(0, wait=True)
    order: list[int] = []

    async def come(number: int) -> None:
        await place.enter(0, wait=True)
        order.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(4)]
    await turns()
    assert order == []
    tasks[1].cancel()
    for _ in range(3):
        place.leave(0)
        await turns()
    assert order == [0, 2, 3]
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_batches_behind_it_hold_back_and_say_why() -> None:
    place, clock = room(unanchored_batches=2, unpublished_bytes=10 * CERTIFICATE_BYTES, unpublished_hours=1.0)
    place.stored()
    await place.enter(0, wait=False)
    place.stored()
    with pytest.raises(Overloaded, match="unanchored-batches"):
        await place.enter(0, wait=False)
    waiting = asyncio.create_task(place.enter(0, wait=True))
    await turns()
    place.anchored(4)
    await turns()
    assert waiting.done()
    place.anchored(6)
    with pytest.raises(Overloaded, match="unpublished-bytes"):
        await place.enter(0, wait=False)
    place.published()
    assert place.unpublished_bytes == 6 * CERTIFICATE_BYTES
    assert place.piled_up == ""
    clock.time += 3_600_000_000
    with pytest.raises(Overloaded, match="unpublished-hours"):
        await place.enter(0, wait=False)
    place.published()
    assert place.unpublished_hours() == 0.0
    await place.enter(0, wait=False)


async def test_a_closed_room_lets_nobody_in_and_nobody_wait() -> None:
    place, _ = room(intake_messages=1)
    await place.enter(0, wait=True)
    waiting = asyncio.create_task(place.enter(0, wait=True))
    await turns()
    place.close(Unavailable("stopping"))
    with pytest.raises(Unavailable, match="stopping"):
        await waiting
    with pytest.raises(Unavailable, match="stopping"):
        await place.enter(0, wait=False)
    place.leave(0)


async def test_a_watermark_wakes_those_it_reaches_in_any_order() -> None:
    mark = Watermark()
    done: list[int] = []

    async def wait(value: int) -> None:
        await mark.reached(value)
        done.append(value)

    tasks = [asyncio.create_task(wait(value)) for value in (3, 1, 2, 1)]
    await turns()
    mark.advance(1)
    mark.advance(0)
    await turns()
    assert done == [1, 1]
    assert mark.value == 1
    tasks[2].cancel()
    mark.advance(3)
    await turns()
    assert done == [1, 1, 3]
    await mark.reached(2)
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_failed_watermark_still_answers_for_what_was_reached() -> None:
    mark = Watermark(4)
    waiting = asyncio.create_task(mark.reached(5))
    await turns()
    mark.fail(Unavailable("stopped"))
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await mark.reached(6)
    await mark.reached(4)
