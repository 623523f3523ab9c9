"""What the real broker keeps and loses: queues, restarts, kills."""

import asyncio
import hashlib
import itertools
import json
from collections.abc import AsyncIterator

import aiomqtt

from bal.core.address import AddressRange
from bal.core.message import Message, Receipt
from bal.ports import Delivery
from tests.brokers import eventually
from tests.integration.mosquitto.conftest import Shared
from tests.patience import PATIENCE
from tests.real import Real

MANY = 3_000
"""More than the broker's default queue, 1,000, and its default window, 20."""


def receipt(message: Message) -> Receipt:
    return Receipt(
        source=message.source,
        digest=message.digest,
        accepted=1,
        rejected=0,
        duplicates=0,
        outcomes=1,
        ranges=(AddressRange("log-1", 0, 0, 0),),
        rejections=(),
        received_at=0,
        complete=True,
    )


async def take(deliveries: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(deliveries) for _ in range(count)]


async def send(shared: Shared, bodies: list[bytes]) -> None:
    """Publish in order; return once all are acknowledged."""
    async with shared.ours.client("dso-x") as client:
        client.pending_calls_threshold = len(bodies)
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                group.create_task(client.publish("bal/dso-x/cim", body, qos=1))


async def test_what_waits_for_a_bal_that_is_away_waits_in_order_and_comes_at_once(shared: Shared) -> None:
    """None is lost past the broker's default queue; none is held back for want of an acknowledgement."""
    await shared.ours.fresh("lane")
    bodies = [number.to_bytes(4) for number in range(MANY)]
    await send(shared, bodies)
    async with shared.ours.inbox("lane").deliveries() as deliveries:
        assert [delivery.message.body for delivery in await take(deliveries, MANY)] == bodies
    await shared.ours.forget("lane")


async def test_a_clean_restart_loses_nothing(real: Real, shared: Shared) -> None:
    await shared.ours.fresh("lane")
    bodies = [number.to_bytes(4) for number in range(MANY)]
    await send(shared, bodies)
    real.server("mosquitto").stop(real.layout, real.ports("mosquitto"))
    real("mosquitto")
    async with shared.ours.inbox("lane").deliveries() as deliveries:
        assert [delivery.message.body for delivery in await take(deliveries, MANY)] == bodies
    await shared.ours.forget("lane")


async def test_a_killed_broker_may_lose_what_it_acknowledged_and_receipts_make_good_for_it(
    real: Real, shared: Shared
) -> None:
    """A sender sends again whatever has no receipt. The inbox comes back by itself, with its subscriptions."""
    bodies = {hashlib.sha256(body).hexdigest(): body for body in (b"%d" % n for n in range(200))}
    receipted: set[str] = set()
    killed = asyncio.Event()
    stored: set[bytes] = set()

    async def run() -> None:
        async with shared.ours.inbox("lane").deliveries() as deliveries:
            async for delivery in deliveries:
                assert isinstance(delivery.message.body, bytes)
                stored.add(delivery.message.body)
                await delivery.accept(receipt(delivery.message))
                if len(stored) == 20:
                    (process,) = real.server("mosquitto").processes(real.layout, real.ports("mosquitto"))
                    process.kill()
                    real("mosquitto")
                    killed.set()

    async def keep_sending() -> None:
        for seconds in itertools.count(3):  # more each time: a slow machine has its answers in the end
            try:
                async with asyncio.timeout(seconds), shared.ours.client("dso-x", seconds=seconds) as client:
                    await client.subscribe("bal/dso-x/accepted", qos=1)
                    for digest, body in bodies.items():
                        if digest not in receipted:
                            await client.publish("bal/dso-x/cim", body, qos=1)
                    async for message in client.messages:
                        receipted.add(json.loads(message.payload)["digest"])
                        if len(receipted) == len(bodies):
                            return
            except (aiomqtt.MqttError, TimeoutError):
                await asyncio.sleep(0.1)

    await shared.ours.fresh("lane")
    running = asyncio.ensure_future(run())
    async with asyncio.timeout(PATIENCE):
        await keep_sending()
    assert killed.is_set()
    assert stored >= set(bodies.values())  # what an older session held may have come back with the broker
    running.cancel()
    await asyncio.wait([running])
    await shared.ours.forget("lane")


async def test_an_inbox_follows_its_lane(shared: Shared) -> None:
    """Sources that come are heard, those that go are left; what is unsettled is known."""
    ours = shared.ours
    await ours.forget("lane")
    every = list(ours.sources)
    ours.sources = every[:1]
    inbox = ours.inbox("lane")
    async with inbox.deliveries() as deliveries, ours.client("author") as author:
        waiting = asyncio.ensure_future(anext(deliveries))
        await eventually(lambda: bool(inbox._filters))
        ours.sources = every
        await inbox.refresh()
        assert not inbox.holds("dso-y")
        await author.publish("bal/dso-y/cim", b"new", qos=1)
        delivery = await asyncio.wait_for(waiting, PATIENCE)
        assert inbox.holds("dso-y")
        await delivery.accept(receipt(delivery.message))
        assert not inbox.holds("dso-y")
        ours.sources = every[:1]
        await inbox.refresh()
        await author.publish("bal/dso-y/cim", b"not heard", qos=1)
        await author.publish("bal/dso-x/cim", b"heard", qos=1)
        assert (await take(deliveries, 1))[0].message.body == b"heard"
    ours.sources = every
    await ours.forget("lane")
