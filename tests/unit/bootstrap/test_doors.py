"""When a service says that it is ready."""

import asyncio

import pytest

from bal.bootstrap import doors
from bal.bootstrap.doors import _subscribed


async def test_ready_is_subscribed_at_a_broker_outside() -> None:
    lanes, door = [asyncio.Event(), asyncio.Event()], asyncio.create_task(asyncio.sleep(60))
    ready = asyncio.create_task(_subscribed(lanes, [door]))
    await asyncio.sleep(0.05)
    lanes[0].set()
    await asyncio.sleep(0.05)
    assert not ready.done()
    lanes[1].set()
    await asyncio.wait_for(ready, 60)
    door.cancel()


async def test_without_the_broker_the_other_doors_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "_SUBSCRIBED_SECONDS", 0.05)
    door = asyncio.create_task(asyncio.sleep(60))
    await asyncio.wait_for(_subscribed([asyncio.Event()], [door]), 60)
    door.cancel()


async def test_a_door_that_fails_is_not_waited_for() -> None:
    async def fails() -> None:
        raise OSError

    door = asyncio.create_task(fails())
    await asyncio.wait_for(_subscribed([asyncio.Event()], [door]), 60)
    with pytest.raises(OSError):
        door.result()
