import asyncio

import pytest

from bal.core.address import Address
from bal.core.errors import Overloaded
from bal.publish import EventStream
from tests.certified import readings_of

A, BOTH = frozenset({"dso-a"}), frozenset({"dso-a", "dso-b"})


async def test_a_subscriber_hears_its_sources_and_points_only() -> None:
    stream, batch = EventStream(), readings_of(0)
    with stream.subscribe(A) as mine, stream.subscribe(BOTH, frozenset({"b" * 26})) as point:
        await stream.publish(batch, BOTH)
        first = [await anext(mine) for _ in range(3)]
        second = [await anext(point) for _ in range(2)]
    assert [(event.id, event.data) for event in first] == [
        (f"log-1:0:{index}", batch.certificate(index)) for index in (0, 2, 4)
    ]
    assert [(event.id, event.source, event.point) for event in second] == [
        ("log-1:0:2", "dso-a", "b" * 26),
        ("log-1:0:3", "dso-b", "b" * 26),
    ]
    assert stream.subscribers == 0


async def test_a_slow_subscriber_gets_what_waited_then_is_told_and_the_others_lose_nothing() -> None:
    stream = EventStream(queue_events=4)
    slow, quick = stream.subscribe(BOTH), stream.subscribe(A)
    await stream.publish(readings_of(0), BOTH)
    assert [(await anext(quick)).id for _ in range(3)] == ["log-1:0:0", "log-1:0:2", "log-1:0:4"]
    assert [(await anext(slow)).id for _ in range(4)] == [f"log-1:0:{index}" for index in range(4)]
    with pytest.raises(Overloaded):
        await anext(slow)
    with pytest.raises(StopAsyncIteration):
        await anext(slow)
    assert stream.subscribers == 1


async def test_what_is_erased_is_kept_from_whoever_has_not_had_it_yet() -> None:
    stream = EventStream()
    with stream.subscribe(A) as slow:
        await stream.publish(readings_of(0), A)
        assert await stream.erase(Address("log-1", 0, 2)) == 1
        assert await stream.erase(Address("log-1", 0, 2)) == 0
        assert [(await anext(slow)).id for _ in range(2)] == ["log-1:0:0", "log-1:0:4"]


async def test_closing_ends_whoever_waits() -> None:
    stream = EventStream()
    subscription = stream.subscribe(A)

    async def listen() -> list[str]:
        return [event.id async for event in subscription]

    waiting = asyncio.create_task(listen())
    await asyncio.sleep(0)
    stream.close()
    assert await waiting == []


async def test_subscribers_are_limited() -> None:
    stream = EventStream(subscribers=1)
    stream.subscribe(A)
    with pytest.raises(Overloaded):
        stream.subscribe(A)


async def test_certificates_are_made_only_where_somebody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, batch = EventStream(), readings_of(0)
    made: list[int] = []

    def certificate(_: object, index: int) -> str:
        made.append(index)
        return "{}"

    monkeypatch.setattr(type(batch), "certificate", certificate)
    await stream.publish(batch, BOTH)
    assert made == []
    stream.subscribe(A)
    await stream.publish(batch, BOTH)
    assert made == [0, 2, 4]
