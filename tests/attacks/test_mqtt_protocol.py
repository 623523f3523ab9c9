"""Clients of the embedded broker that break the protocol or wear it out: nothing arrives, the next good message does."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from bal.core.limits import MQTT_MESSAGE_BYTES
from tests.brokers import Field, eventually, running
from tests.raw_mqtt import BAD, TOPIC, Raw, good_still_arrives, packet, refused, text


@pytest.fixture
async def field(tmp_path: Path) -> AsyncIterator[Field]:
    async with running(tmp_path) as field:
        yield field


PUBLISHED = text(TOPIC.encode()) + b"\x00\x01" + BAD
BROKEN = {
    "oversize, no body yet": packet(0x32, b"", MQTT_MESSAGE_BYTES + 10_000),
    "as long as MQTT can say": b"\x32\xff\xff\xff\x7f",
    "longer than MQTT can say": b"\x32\xff\xff\xff\xff\x01",
    "one byte too many": packet(0x32, text(TOPIC.encode()) + b"\x00\x01" + b"x" * (MQTT_MESSAGE_BYTES + 1)),
    "quality of service 3": packet(0x36, PUBLISHED),
    "packet identifier 0": packet(0x32, text(TOPIC.encode()) + b"\x00\x00" + BAD),
    "wildcard +": packet(0x32, text(b"bal/+/cim") + b"\x00\x01" + BAD),
    "wildcard #": packet(0x32, text(b"bal/dso-a/#") + b"\x00\x01" + BAD),
    "no topic": packet(0x32, text(b"") + b"\x00\x01" + BAD),
    "a topic that is no UTF-8": packet(0x32, text(b"bal/dso-a/\xff") + b"\x00\x01" + BAD),
    "a topic with a zero": packet(0x32, text(b"bal/dso-a/cim\0") + b"\x00\x01" + BAD),
    "a topic longer than the packet": packet(0x32, b"\xff\xffbal"),
    "no content": packet(0x32, b""),
    "a second CONNECT": b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw",
    "a SUBSCRIBE without filters": packet(0x82, b"\x00\x01"),
    "a SUBSCRIBE cut short": packet(0x82, b"\x00\x01\x00\x20bal"),
    "a SUBSCRIBE with quality of service 3": packet(
        0x82, b"\x00\x01" + text(b"bal/dso-a/accepted") + b"\x03"
    ),
    "a SUBSCRIBE larger than allowed": packet(0x82, b"", 1_000_000),
    "packet type 0": packet(0x00, b""),
    "packet type 15": packet(0xF0, b""),
    "a CONNACK": packet(0x20, b"\x00\x00"),
    "an acknowledgement of 3 bytes": packet(0x40, b"\x00\x01\x02"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_broken_packets_close_the_connection(field: Field, case: str) -> None:
    arrivals = field.arrivals()
    raw = await Raw.open(field)
    with contextlib.suppress(ConnectionError):
        await raw.say(BROKEN[case])
    await raw.closed()
    await good_still_arrives(field, arrivals)


async def test_65k_levels_in_a_publish_go_nowhere(field: Field) -> None:
    arrivals = field.arrivals()
    raw = await Raw.open(field)
    await raw.say(packet(0x32, text(b"/" * 65_535) + b"\x00\x07" + BAD))
    assert await raw.reader.readexactly(4) == b"\x40\x02\x00\x07"
    raw.writer.close()
    await good_still_arrives(field, arrivals)


FIRST = {
    "a PUBLISH": packet(0x32, PUBLISHED),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a CONNECT of another protocol": packet(0x10, b"\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x03raw"),
    "a CONNECT with the reserved flag": packet(0x10, b"\x00\x04MQTT\x04\x03\x00\x3c\x00\x03raw"),
    "a CONNECT cut short": packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03raw\x00\x40user"),
    "a password without a user": packet(0x10, b"\x00\x04MQTT\x04\x42\x00\x3c\x00\x03raw\x00\x01p"),
    "a CONNECT larger than allowed": packet(0x10, b"", 100_000),
}


@pytest.mark.parametrize("case", FIRST)
async def test_broken_first_packets_close_the_connection(field: Field, case: str) -> None:
    arrivals = field.arrivals()
    raw = await Raw.open(field, connect=False)
    await raw.say(FIRST[case])
    await raw.closed()
    await good_still_arrives(field, arrivals)


async def test_nobody_without_identity_is_let_in_whatever_it_says(field: Field) -> None:
    arrivals = field.arrivals()
    raw = await Raw.open(field, None, connect=False)
    await raw.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw" + packet(0x32, PUBLISHED))
    assert await raw.reader.readexactly(4) == b"\x20\x02\x00\x05"
    await raw.closed()
    await good_still_arrives(field, arrivals)


async def test_an_mqtt_5_client_is_told_in_its_own_words(field: Field) -> None:
    arrivals = field.arrivals()
    client = field.client("dso-a")
    five = aiomqtt.Client(
        "127.0.0.1", field.broker.port, tls_context=field.tls("dso-a"), protocol=aiomqtt.ProtocolVersion.V5
    )
    with pytest.raises(aiomqtt.MqttError, match="Unsupported protocol version"):
        async with five:
            pass
    async with client:
        pass
    await good_still_arrives(field, arrivals)


async def test_a_silent_client_is_given_up(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = field.arrivals()
    monkeypatch.setattr("bal.ingest.connection.CONNECT_SECONDS", 0.2)
    never = await Raw.open(field, connect=False)
    await never.say(b"\x10")
    await never.closed()
    monkeypatch.setattr("bal.ingest.connection.CONNECT_SECONDS", 15)
    quiet = await Raw.open(field, connect=False)
    await quiet.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x01\x00\x03raw")  # keep-alive of one second
    await quiet.closed()
    await good_still_arrives(field, arrivals)


async def test_the_same_message_of_quality_2_twice_arrives_once(field: Field) -> None:
    arrivals = field.arrivals()
    raw = await Raw.open(field)
    await raw.say(packet(0x34, PUBLISHED) + packet(0x3C, PUBLISHED))
    assert await raw.reader.readexactly(8) == b"\x50\x02\x00\x01" * 2
    await raw.say(packet(0x62, b"\x00\x01"))
    assert await raw.reader.readexactly(4) == b"\x70\x02\x00\x01"
    raw.writer.close()
    await good_still_arrives(field, arrivals, expected=1)


async def test_more_connections_than_allowed(tmp_path: Path) -> None:
    field = Field(tmp_path)
    field.broker._settings = field.settings(connections=2)
    async with field.broker:
        arrivals = field.arrivals()
        one, two = await Raw.open(field), await Raw.open(field, "bal-service")
        await refused(field.client("dso-a"))
        one.writer.close()
        two.writer.close()
        await eventually(lambda: not field.broker.connections)
        await good_still_arrives(field, arrivals)


async def test_a_subscriber_that_does_not_read_is_cut_off_and_the_others_go_on(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = field.arrivals()
    monkeypatch.setattr("bal.ingest.session.QUEUE_MESSAGES", 10)
    monkeypatch.setattr("bal.ingest.session.IN_FLIGHT", 10)
    monkeypatch.setattr("bal.ingest.broker.STALL_SECONDS", 0.2)
    raw = await Raw.open(field)
    await raw.say(packet(0x82, b"\x00\x01" + text(b"bal/dso-a/accepted") + b"\x01"))
    assert await raw.reader.readexactly(5) == b"\x90\x03\x00\x01\x01"
    for _ in range(40):
        await field.broker.send("bal/dso-a/accepted", b"receipt")
    assert field.broker.counts["dropped"] == 1
    await raw.closed()
    await good_still_arrives(field, arrivals)


async def test_sessions_of_one_identity_are_limited(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = field.arrivals()
    monkeypatch.setattr("bal.ingest.broker.SESSIONS_PER_IDENTITY", 2)
    async with field.client("dso-a", identifier="one", clean=False):
        pass
    async with field.client("dso-a", identifier="two", clean=False) as client:
        await refused(field.client("dso-a", identifier="three", clean=False))
        await client.publish(TOPIC, b"the ones there are go on", qos=1)
    async with field.client("dso-a", identifier="one", clean=True):
        pass  # asks to forget the session, and so makes room
    arrivals.taken.clear()
    await good_still_arrives(field, arrivals)
