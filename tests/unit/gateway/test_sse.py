import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from bal.core.errors import Malformed, Unauthenticated
from bal.gateway.sse import EventLines, id_of, parse_id, published, resumed
from bal.publish import EventStream
from tests.patience import PATIENCE
from tests.unit.gateway.world import World, assert_problem, readings

BOTH = frozenset({"dso-a", "dso-b"})


class Seen(NamedTuple):
    """What a subscriber got: data lines by their place, the last id, comments."""

    data: list[str]
    last_id: str
    comments: list[str]


async def read(lines: AsyncIterator[bytes], count: int, *, comments: int = 0) -> Seen:
    """Read until `count` events and `comments` comments have come, or to the end."""
    data: list[str] = []
    said: list[str] = []
    last_id = ""
    async with contextlib.aclosing(lines):  # type: ignore[type-var]
        async with asyncio.timeout(PATIENCE):
            while len(data) < count or len(said) < comments:
                chunk = await anext(lines, None)
                if chunk is None:
                    break
                for line in chunk.decode().splitlines():
                    name, _, value = line.partition(": ")
                    if name == "data":
                        data.append(value)
                    elif name == "id":
                        last_id = value
                    elif line.startswith(":"):
                        said.append(value)
    return Seen(data, last_id, said)


def lines_of(
    world: World, positions: str = "", sources: frozenset[str] = BOTH, ping: float = 15.0
) -> AsyncIterator[bytes]:
    return EventLines(
        world.store, world.events, sources, parse_id(positions) if positions else {}, lambda: None, ping
    ).lines()


async def certificates(world: World, log: str, seq: int) -> list[str]:
    batch = await world.store.certified_batch(log, seq)
    return [text for _, _, text in batch.certificates()]


async def test_what_was_missed_then_what_happens_each_once(world: World) -> None:
    await world.certify(readings(count=3))
    await world.certify(readings(count=2, start=3))
    lines = lines_of(world, "bal-1:0:1")
    first = await anext(lines)
    assert first == b"retry: 2000\nid: bal-1:0:1\n\n"
    await world.certify(readings(count=2, start=5))  # published while the subscriber is still being caught up
    following = asyncio.create_task(read(lines, 6))
    await asyncio.sleep(0.05)
    await world.certify(readings(count=1, start=7))
    seen = await following
    wanted = [*(await certificates(world, "bal-1", 0))[2:]]
    for seq in (1, 2, 3):
        wanted += await certificates(world, "bal-1", seq)
    assert seen.data == wanted
    assert seen.last_id == "bal-1:3:0"


async def test_one_id_for_every_log(world: World) -> None:
    await world.certify(readings(count=2), "bal-1")
    await world.certify(readings(count=2), "bal-2")
    assert id_of(await published(world.store)) == "bal-1:0:1,bal-2:0:1"
    await world.certify(readings(count=1, start=2), "bal-2")
    await world.certify(readings(count=1, start=2), "bal-1")
    seen = await read(lines_of(world, "bal-1:0:0,bal-2:0:1"), 3)
    assert seen.last_id == "bal-1:1:0,bal-2:1:0"
    assert sorted(seen.data) == sorted(
        [(await certificates(world, "bal-1", 0))[1]]
        + await certificates(world, "bal-1", 1)
        + await certificates(world, "bal-2", 1)
    )


async def test_an_unpublished_batch_is_not_passed_over(world: World) -> None:
    await world.certify(readings(count=1))
    await world.certify(readings(count=1, start=1), published=False)
    assert id_of(await published(world.store)) == "bal-1:0:0"


async def test_only_own_sources(world: World) -> None:
    await world.certify([*readings("dso-a", 2), *readings("dso-b", 2)])
    await world.certify(readings("dso-b", 1))
    await world.certify(readings("dso-a", 1))
    lines = lines_of(world, "bal-1:0:0", frozenset({"dso-a"}))
    following = asyncio.create_task(read(lines, 3))
    await asyncio.sleep(0.05)
    await world.certify([*readings("dso-b", 1), *readings("dso-a", 1)])
    seen = await following
    assert all('"source":"dso-a"' in text for text in seen.data)
    assert seen.last_id == "bal-1:3:1"


async def test_a_silent_stream_pings(world: World) -> None:
    seen = await read(lines_of(world, ping=0.01), 0, comments=3)
    assert seen.comments == ["ping"] * 3


async def test_revoked_or_expired_it_ends_before_the_next_event(world: World) -> None:
    await world.certify(readings(count=1))
    heard: list[bool] = []

    def check() -> None:
        if heard:
            raise Unauthenticated("over")

    lines = EventLines(world.store, world.events, BOTH, {}, check, 15.0).lines()
    following = asyncio.create_task(read(lines, 5))
    await asyncio.sleep(0.05)
    heard.append(True)
    await world.certify(readings(count=1, start=1))
    seen = await following
    assert len(seen.data) == 1
    assert seen.comments == ["over"]
    assert world.events.subscribers == 0


async def test_who_is_too_slow_is_cut_off_and_goes_on_from_its_last_id(world: World) -> None:
    world.events = EventStream(queue_events=2)
    lines = lines_of(world, "bal-1:0:0")
    await anext(lines)
    for at in range(4):
        await world.certify(readings(count=2, start=2 * at))
    seen = await read(lines, 99)
    assert seen.comments == ["too far behind"]
    again = await read(lines_of(world, seen.last_id), 99, comments=0) if len(seen.data) < 7 else None
    assert again is None or len(seen.data) + len(again.data) == 7


async def test_the_stream_ends_when_the_service_does(world: World) -> None:
    following = asyncio.create_task(read(lines_of(world), 5))
    await asyncio.sleep(0.05)
    world.events.close()
    assert (await following).data == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "bal-1:0",
        "bal-1:0:0,",
        "bal-1:0:0,bal-1:1:0",
        "bal-1:0:0 ",
        ",".join(f"l{n}:0:0" for n in range(65)),
    ],
)
def test_ids_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        parse_id(text)


async def test_ids_of_another_service_are_refused(world: World) -> None:
    await world.certify(readings(count=1))
    assert await resumed(world.store, "bal-1:0:0") == {"bal-1": (0, 0)}
    token = world.add_client("reader", ["dso-a"])
    for text in ("bal-1:1:0", "nolog:0:0", "junk"):
        with pytest.raises(Malformed):
            await resumed(world.store, text)
        response = await world.http.get(
            "/v1/stream", headers={"Authorization": f"Bearer {token}", "Last-Event-ID": text}
        )
        assert_problem(response, 400, "malformed")
