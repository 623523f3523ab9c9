"""Certified readings to a real broker: acknowledged means that the broker has them and did not throw them away."""

import asyncio

import pytest

from bal.core.errors import PublishRefused, Unavailable
from bal.ingest import session_name
from bal.publish import BrokerSend, mqtt
from tests.integration.mosquitto.conftest import Shared
from tests.patience import PATIENCE
from tests.real import Real

BIG = b"x" * (8 * 1024 * 1024)


def sender(shared: Shared) -> BrokerSend:
    access = shared.ours.access(session_name("our-bal", "out", b"secret"))
    return BrokerSend(lambda: access.client(persistent=False))


async def test_what_is_published_reaches_readers_in_order_whole(shared: Shared) -> None:
    send = sender(shared)
    messages = [("bal/dso-x/certified/point", b"%d" % number) for number in range(1_500)]
    messages.append(("bal/dso-x/readings/point", BIG))
    async with shared.ours.client("reader") as reader:
        await reader.subscribe("#", qos=1)
        await send(messages)
        async with asyncio.timeout(PATIENCE):
            found = [await anext(reader.messages) for _ in messages]
    await send.close()
    assert [(str(each.topic), each.payload) for each in found] == messages
    assert not any(each.retain for each in found)


async def test_what_the_broker_throws_away_is_not_published(shared: Shared) -> None:
    """The first source without rights is named, so that it alone is parked; what came before it stays published."""
    send = sender(shared)
    async with shared.ours.client("watcher") as watcher:
        await watcher.subscribe("#", qos=1)
        with pytest.raises(PublishRefused) as refused:
            await send(
                [
                    ("bal/dso-x/certified/point", b"granted"),
                    ("bal/dso-z/certified/point", b"foreign"),
                    ("bal/dso-y/certified/point", b"granted too"),
                ]
            )
        assert refused.value.source == "dso-z"
        await send([("bal/dso-x/certified/point", b"last")])
        found: dict[str, set[bytes]] = {}
        async for message in watcher.messages:
            assert isinstance(message.payload, bytes)
            found.setdefault(str(message.topic), set()).add(message.payload)
            if message.payload == b"last":
                break
    await send.close()
    # Whether the third came is the broker's choice: 2.0 ends the connection. It is published again without the second.
    found.pop("bal/dso-y/certified/point", None)
    assert found == {"bal/dso-x/certified/point": {b"granted", b"last"}}


async def test_rights_that_come_late_are_waited_for(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "_RIGHTS_SECONDS", (0.2,) * 600)  # however late they come
    send = sender(shared)
    async with shared.ours.client("watcher") as watcher:
        await watcher.subscribe("bal/dso-y/#", qos=1)
        async with shared.granting(shared.ours.sources[:1]):
            sending = asyncio.ensure_future(send([("bal/dso-y/certified/point", b"at last")]))
            await asyncio.sleep(0.1)
            assert not sending.done()
        await asyncio.wait_for(sending, PATIENCE)
        assert (await anext(watcher.messages)).payload == b"at last"
    await send.close()


async def test_a_broker_that_is_away_is_tried_again(real: Real, shared: Shared) -> None:
    send = sender(shared)
    await send([("bal/dso-x/certified/point", b"before")])
    real.server("mosquitto").stop(real.layout, real.ports("mosquitto"))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await send([("bal/dso-x/certified/point", b"meanwhile")])
    real("mosquitto")
    async with shared.ours.client("reader") as reader:
        await reader.subscribe("#", qos=1)
        await send([("bal/dso-x/certified/point", b"after")])
        assert (await anext(reader.messages)).payload == b"after"
    await send.close()
