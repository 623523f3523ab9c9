"""What every door that messages come in by must do."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bal.core.address import AddressRange
from bal.core.message import Message, Receipt
from bal.core.topics import MISNAMED
from bal.ingest import MqttInbox, MqttSettings
from bal.ports import Delivery, Inbox
from tests.brokers import PASSWORD, SOURCES, Field, eventually, running
from tests.mosquitto_field import MosquittoField, done
from tests.patience import PATIENCE
from tests.real import Real


@dataclass
class Door:
    field: Field | MosquittoField
    inbox: Inbox
    break_connection: Callable[[], Awaitable[None]]

    async def send(self, *bodies: bytes, topic: str = "bal/dso-a/cim", qos: int = 1) -> None:
        async with self.field.client("dso-a") as client:
            for body in bodies:
                await client.publish(topic, body, qos=qos)


def receipt(message: Message, **changes: object) -> Receipt:
    members: dict[str, object] = {
        "source": message.source,
        "digest": message.digest,
        "accepted": 2,
        "rejected": 0,
        "duplicates": 0,
        "outcomes": 2,
        "ranges": (AddressRange("log-1", 0, 0, 1),),
        "rejections": (),
        "received_at": 0,
        "complete": True,
    }
    return Receipt(**{**members, **changes})  # type: ignore[arg-type]


async def take(deliveries: AsyncIterator[Delivery], count: int) -> list[Delivery]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(deliveries) for _ in range(count)]


@pytest.fixture(scope="module")
def mosquitto(real: Real) -> Iterator[MosquittoField]:
    """Put the sources' rights in force, once for all tests."""
    field = MosquittoField(real)
    done(field.prepare())
    yield field
    done(field.take_back())


async def _at_mosquitto(field: MosquittoField) -> AsyncIterator[Door]:
    await field.fresh()
    inbox = field.inbox()

    async def cut() -> None:
        assert inbox._connected is not None
        connection: Any = inbox._connected.client._client.socket()
        connection.shutdown(socket.SHUT_RDWR)

    yield Door(field, inbox, cut)
    await field.forget()


@pytest.fixture(params=["embedded", "mqtt", pytest.param("mosquitto", marks=pytest.mark.real)])
async def door(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    if request.param == "mosquitto":
        async for each in _at_mosquitto(request.getfixturevalue("mosquitto")):
            yield each
        return
    async with running(tmp_path) as field:

        async def nothing() -> None:
            """Nothing lies between the embedded broker and its inbox."""

        async def cut() -> None:
            for session in list(field.broker._sessions.values()):
                if session.identity == "bal-service" and session.connection is not None:
                    session.connection.abort()

        if request.param == "embedded":
            yield Door(field, field.inbox(), nothing)
            return
        certificate, key = field.authority.client_paths("bal-service")
        settings = MqttSettings(
            "127.0.0.1",
            field.broker.port,
            "bal-lane-1",
            field.authority.certificate_path,
            certificate,
            key,
        )
        inbox = MqttInbox(settings, lambda: SOURCES)
        # The session has to be there before anything is sent.
        async with field.client("bal-service", identifier="bal-lane-1", clean=False) as client:
            await client.subscribe([("bal/dso-a/cim", 1), ("bal/dso-a/pmu/+", 1), ("field/a/+/frames", 1)])
            await client.subscribe([("bal/dso-b/cim", 1), ("bal/dso-b/pmu/+", 1)])
        yield Door(field, inbox, cut)


async def test_messages_come_whole_with_digest_form_and_device(door: Door) -> None:
    await door.send(b"<a/>")
    await door.send(b"{}", topic="bal/dso-a/pmu/pmu-7")
    await door.send(b"[]", topic="field/a/pmu-8/frames", qos=2)
    async with door.inbox.deliveries() as deliveries:
        found = [delivery.message for delivery in await take(deliveries, 3)]
    assert [(m.source, m.form, m.body, m.device) for m in found] == [
        ("dso-a", "cim", b"<a/>", ""),
        ("dso-a", "pmu", b"{}", "pmu-7"),
        ("dso-a", "pmu", b"[]", "pmu-8"),
    ]
    assert [m.digest for m in found] == [hashlib.sha256(body).digest() for body in (b"<a/>", b"{}", b"[]")]


async def test_messages_come_in_order(door: Door) -> None:
    bodies = [str(number).encode() for number in range(300)]
    await door.send(*bodies)
    async with door.inbox.deliveries() as deliveries:
        assert [delivery.message.body for delivery in await take(deliveries, 300)] == bodies


async def test_a_receipt_reaches_the_sender_and_the_message_comes_no_more(door: Door) -> None:
    async with door.field.client("dso-a") as sender:
        await sender.subscribe([("bal/dso-a/accepted", 1), ("bal/dso-a/rejected", 1)])
        await door.send(b"good", b"partly", b"bad", b"last")
        async with door.inbox.deliveries() as deliveries:
            good, partly, bad, _ = await take(deliveries, 4)
            await good.accept(receipt(good.message))
            await partly.accept(receipt(partly.message, rejected=1, rejections=(("no number", "value[1]"),)))
            refused = receipt(
                bad.message, accepted=0, rejected=1, ranges=(), rejections=(("no XML", "line 1"),)
            )
            await bad.reject(refused)
            told = [await anext(sender.messages) for _ in range(4)]
        async with door.inbox.deliveries() as deliveries:
            assert [d.message.body for d in await take(deliveries, 1)] == [b"last"]
    topics = [str(message.topic) for message in told]
    contents = [json.loads(message.payload) for message in told]
    assert topics == [f"bal/dso-a/{name}" for name in ("accepted", "rejected", "accepted", "rejected")]
    assert contents[0] == {
        "source": "dso-a",
        "digest": hashlib.sha256(b"good").hexdigest(),
        "accepted": 2,
        "rejected": 0,
        "duplicates": 0,
        "ranges": ["log-1:0:0-1"],
    }
    assert contents[1]["digest"] == contents[2]["digest"] == hashlib.sha256(b"partly").hexdigest()
    assert contents[1]["rejections"] == [{"reason": "no number", "where": "value[1]"}]
    assert contents[2]["rejected"] == 1
    assert contents[3] == {
        "source": "dso-a",
        "digest": hashlib.sha256(b"bad").hexdigest(),
        "rejected": 1,
        "rejections": [{"reason": "no XML", "where": "line 1"}],
    }


async def test_what_is_not_settled_comes_again_in_order(door: Door) -> None:
    bodies = [str(number).encode() for number in range(150)]
    await door.send(*bodies)
    async with door.inbox.deliveries() as deliveries:
        first = await take(deliveries, 150)
        for delivery in first[:50]:
            await delivery.accept(receipt(delivery.message))
        await asyncio.sleep(0.2)
    async with door.inbox.deliveries() as deliveries:
        again = await take(deliveries, 100)
        assert [delivery.message.body for delivery in again] == bodies[50:]
        for delivery in again:
            await delivery.accept(receipt(delivery.message))
        await door.send(b"new")
        assert [delivery.message.body for delivery in await take(deliveries, 1)] == [b"new"]


async def test_settling_out_of_order_loses_nothing(door: Door) -> None:
    await door.send(b"1", b"2", b"3")
    async with door.inbox.deliveries() as deliveries:
        _, _, three = await take(deliveries, 3)
        await three.accept(receipt(three.message))
        await asyncio.sleep(0.1)
    async with door.inbox.deliveries() as deliveries:
        again = await take(deliveries, 2)
    assert [delivery.message.body for delivery in again] == [b"1", b"2"]


async def test_a_broken_connection_heals_and_old_deliveries_settle_nothing_new(door: Door) -> None:
    await door.send(b"before")
    async with door.inbox.deliveries() as deliveries:
        (before,) = await take(deliveries, 1)
        await door.break_connection()
        await door.send(b"after")
        seen = [delivery async for delivery in _until(deliveries, b"after")]
        await before.accept(
            receipt(before.message)
        )  # of the connection before: must not acknowledge anything else
        await asyncio.sleep(0.1)
    async with door.inbox.deliveries() as deliveries:
        await door.send(b"last")
        bodies = [delivery.message.body async for delivery in _until(deliveries, b"last")]
    assert seen[-1].message.body == b"after"
    assert b"after" in bodies


async def _until(deliveries: AsyncIterator[Delivery], body: bytes) -> AsyncIterator[Delivery]:
    async with asyncio.timeout(PATIENCE):
        async for delivery in deliveries:
            yield delivery
            if delivery.message.body == body:
                return


async def test_a_user_with_a_password_sends_too(door: Door) -> None:
    async with door.field.client(None, user=("dso-b", PASSWORD)) as client:
        await client.publish("bal/dso-b/cim", b"by password", qos=1)
    async with door.inbox.deliveries() as deliveries:
        (delivery,) = await take(deliveries, 1)
    assert (delivery.message.source, delivery.message.body) == ("dso-b", b"by password")


async def test_eight_mebibytes_pass(door: Door) -> None:
    body = b"x" * (8 * 1024 * 1024)
    await door.send(body)
    async with door.inbox.deliveries() as deliveries:
        (delivery,) = await take(deliveries, 1)
    assert delivery.message.body == body


async def test_what_cannot_be_taken_is_handed_on_to_be_refused(door: Door) -> None:
    """Whatever a source may publish to its topics has an answer: the lane quarantines it and tells why."""
    odd = ("bal/dso-a/pmu/PMU_1", "bal/dso-a/pmu/")
    for topic in odd:
        await door.send(b"{}", topic=topic)
    await door.send(b"")
    async with door.field.client("dso-a") as sender:
        await sender.subscribe("bal/dso-a/rejected", qos=1)
        async with door.inbox.deliveries() as deliveries:
            *misnamed, empty = await take(deliveries, 3)
            for delivery in misnamed:
                rejections = ((delivery.message.refusal, "message"),)
                await delivery.reject(receipt(delivery.message, rejections=rejections))
            told = [json.loads((await anext(sender.messages)).payload) for _ in odd]
    assert [(each.message.device, each.message.refusal) for each in misnamed] == [("", MISNAMED)] * 2
    assert (empty.message.body, empty.message.refusal) == (b"", "")  # no document: its reader says so
    digest = hashlib.sha256(b"{}").hexdigest()
    assert [(each["digest"], each["rejections"][0]["reason"]) for each in told] == [(digest, MISNAMED)] * 2


async def test_retained_messages_are_no_documents(door: Door) -> None:
    # Mosquitto ends the connection of whoever asks for a retained message; the embedded broker acknowledges it.
    with suppress(aiomqtt.MqttError):
        async with door.field.client("dso-a") as client:
            await client.publish("bal/dso-a/cim", b"kept", qos=1, retain=True, timeout=2)
    await door.send(b"sent")
    async with door.inbox.deliveries() as deliveries:
        (delivery,) = await take(deliveries, 1)
    assert delivery.message.body == b"sent"


async def test_new_sources_are_heard_without_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as field:
        certificate, key = field.authority.client_paths("bal-service")
        ca = field.authority.certificate_path
        sources = SOURCES[:1]
        inbox = MqttInbox(
            MqttSettings("127.0.0.1", field.broker.port, "lane", ca, certificate, key), lambda: sources
        )
        async with inbox.deliveries() as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))
            await eventually(lambda: bool(field.broker.subscriptions.of("bal/dso-a/cim")))
            sources = SOURCES
            await inbox.refresh()
            async with field.client(None, user=("dso-b", PASSWORD)) as client:
                await client.publish("bal/dso-b/cim", b"new", qos=1)
            delivery = await asyncio.wait_for(waiting, PATIENCE)
            sources = SOURCES[:1]
            await inbox.refresh()
            assert not field.broker.subscriptions.of("bal/dso-b/cim")
    assert delivery.message.source == "dso-b"


async def test_back_pressure_stops_the_reading_and_loses_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as field:
        inbox = field.inbox(limit=8 * (2048 + 1000))
        bodies = [number.to_bytes(2) * 500 for number in range(40)]
        async with field.client("dso-a") as client, inbox.deliveries() as deliveries:
            sending = asyncio.gather(*(client.publish("bal/dso-a/cim", body, qos=1) for body in bodies))
            taken = await take(deliveries, 8)
            await asyncio.sleep(0.1)
            assert inbox.pending == 8
            assert not sending.done()
            for delivery in taken:
                await delivery.accept(receipt(delivery.message))
            while len(taken) < len(bodies):
                (delivery,) = await take(deliveries, 1)
                await delivery.accept(receipt(delivery.message))
                taken.append(delivery)
            await sending
        assert [delivery.message.body for delivery in taken] == bodies


async def test_an_inbox_has_one_reader(tmp_path: Path) -> None:
    async with running(tmp_path) as field:
        inbox = field.inbox()
        async with inbox.deliveries():
            with pytest.raises(Exception, match="another already"):
                async with inbox.deliveries():
                    pass


def test_aiomqtt_still_hides_acknowledgement_by_hand() -> None:
    """When this fails, aiomqtt has learnt it: use that instead of its private client."""
    assert not hasattr(aiomqtt.Client, "ack")
