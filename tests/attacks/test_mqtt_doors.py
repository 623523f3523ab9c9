"""Attacks on the embedded broker over real TLS: nothing of them arrives, and a good message afterwards does."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.topics import Rights
from bal.pki import Authority
from tests.brokers import PASSWORD, Arrivals, Field, eventually, running

BAD, GOOD = b"from an attacker", b"<MeterReadings/>"
TOPIC = "bal/dso-a/cim"


@pytest.fixture
async def field(tmp_path: Path) -> AsyncIterator[Field]:
    async with running(tmp_path) as field:
        yield field


async def good_still_arrives(field: Field, arrivals: Arrivals, expected: int = 0) -> None:
    """Send a good message; besides it only `expected` others may have arrived."""
    async with field.client("dso-a") as client:
        await client.publish(TOPIC, GOOD, qos=1)
    await arrivals.until(GOOD)
    assert [body for _, _, body in arrivals.taken].count(BAD) == expected
    assert arrivals.taken[-1] == ("dso-a", TOPIC, GOOD)
    assert len(arrivals.taken) == expected + 1


async def refused(client: aiomqtt.Client) -> None:
    client.timeout = 1  # paho does not notice that TLS 1.3 refused it after the handshake
    with pytest.raises(aiomqtt.MqttError):
        async with client:
            await client.publish(TOPIC, BAD, qos=1)


# --- who comes in -----------------------------------------------------------------------------------------------------
async def test_without_certificate_and_password(field: Field) -> None:
    arrivals = field.arrivals()
    await refused(field.client(None))
    await refused(field.client(None, user=("dso-b", "")))
    await good_still_arrives(field, arrivals)


async def test_certificate_of_another_authority_with_the_same_name(field: Field, tmp_path: Path) -> None:
    arrivals = field.arrivals()
    other = Authority.create(tmp_path / "other")
    other.issue_client("dso-a")
    await refused(field.client(tls=field.tls("dso-a", other)))
    await good_still_arrives(field, arrivals)


async def test_server_certificate_used_by_a_client(field: Field) -> None:
    arrivals = field.arrivals()
    tls = field.tls(None)
    tls.load_cert_chain(*field.authority.server_paths)
    await refused(field.client(tls=tls))
    await good_still_arrives(field, arrivals)


async def test_revoked_certificate_is_put_out_and_kept_out(field: Field) -> None:
    arrivals = field.arrivals()
    field.authority.issue_client("dso-c")
    field.grants["dso-c"] = Rights((TOPIC,))
    async with field.client("dso-c") as client:
        await client.publish(TOPIC, b"before", qos=1)
        await arrivals.until(b"before")
        field.authority.revoke("dso-c")
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(anext(aiter(client.messages)), 20)
    await refused(field.client("dso-c"))
    arrivals.taken.clear()
    await good_still_arrives(field, arrivals)


async def test_a_removed_account_is_put_out(field: Field) -> None:
    arrivals = field.arrivals()
    async with field.client(None, user=("dso-b", PASSWORD)) as client:
        field.accounts.remove("dso-b")
        with pytest.raises(aiomqtt.MqttError):
            await asyncio.wait_for(anext(aiter(client.messages)), 20)
    await good_still_arrives(field, arrivals)


@pytest.mark.parametrize(
    "user", [("dso-b", "wrong"), ("dso-a", PASSWORD), ("nobody", PASSWORD), ("", PASSWORD)]
)
async def test_wrong_passwords(field: Field, user: tuple[str, str]) -> None:
    arrivals = field.arrivals()
    await refused(field.client(None, user=user))
    await good_still_arrives(field, arrivals)


async def test_a_password_does_not_lend_a_certificate_another_name(field: Field) -> None:
    arrivals = field.arrivals()
    async with field.client("dso-a", user=("dso-b", PASSWORD)) as client:
        await client.publish("bal/dso-b/cim", BAD, qos=1)
    await good_still_arrives(field, arrivals)


async def test_plain_tcp_and_old_tls(field: Field) -> None:
    arrivals = field.arrivals()
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", field.broker.port, timeout=1) as client:
            await client.publish(TOPIC, BAD, qos=1)
    old = field.tls("dso-a")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    await refused(field.client(tls=old))
    await good_still_arrives(field, arrivals)


async def test_an_identity_without_a_source_can_do_nothing(field: Field) -> None:
    arrivals = field.arrivals()
    field.authority.issue_client("stranger")
    async with field.client("stranger") as client:
        await client.publish(TOPIC, BAD, qos=1)
        await denied(client, "#")
    await good_still_arrives(field, arrivals)


async def test_another_identity_with_the_same_client_identifier(field: Field) -> None:
    """Neither the session nor the place of the first is taken."""
    arrivals = field.arrivals()
    async with field.client("dso-a", identifier="meter-server", clean=False) as owner:
        await owner.subscribe("bal/dso-a/accepted", 1)
        for clean in (False, True):
            async with field.client(
                None, user=("dso-b", PASSWORD), identifier="meter-server", clean=clean
            ) as thief:
                await field.broker.send("bal/dso-a/accepted", b"receipt")
                await owner.publish(TOPIC, f"still here {clean}".encode(), qos=1)
                assert len(thief.messages) == 0
        received = [await anext(aiter(owner.messages)) for _ in range(2)]
    assert [message.payload for message in received] == [b"receipt", b"receipt"]
    arrivals.taken.clear()
    await good_still_arrives(field, arrivals)


# --- what may be written ------------------------------------------------------------------------------------------------
FORBIDDEN = [
    "bal/dso-b/cim",
    "bal/dso-b/pmu/pmu-1",
    "bal/dso-a/accepted",
    "bal/dso-a/rejected",
    "bal/dso-a/certified/aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bal/dso-a/readings/aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bal/dso-a",
    "bal/dso-a/cim/",
    "/bal/dso-a/cim",
    "bal/dso-a/pmu",
    "bal/dso-a/pmu/a/b",
    "bal//cim",
    "BAL/dso-a/cim",
    "field/b/pmu-1/frames",
    "field/a/frames",
    "$SYS/broker/load",
    "$share/group/bal/dso-a/cim",
    "anything",
]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_topics_that_are_not_the_senders(field: Field, qos: int) -> None:
    arrivals = field.arrivals()
    async with field.client("bal-service") as everything, field.client("dso-a") as client:
        await everything.subscribe("#", 1)
        for topic in FORBIDDEN:
            await client.publish(topic, BAD, qos=qos)
        await client.publish("x/" * 100 + "x", BAD, qos=qos)
        await field.broker.send("bal/dso-a/accepted", b"marker")
        first = await anext(aiter(everything.messages))
    assert first.payload == b"marker"
    await good_still_arrives(field, arrivals)
    assert field.broker.counts["denied"] == len(FORBIDDEN) + 1


async def test_retained_messages_are_not_kept_and_the_sender_is_told(field: Field) -> None:
    arrivals = field.arrivals()
    async with field.client("dso-a") as client, field.client("bal-service") as service:
        await client.publish(TOPIC, BAD, qos=1, retain=True)
        await service.publish("bal/dso-a/accepted", BAD, qos=1, retain=True)
        await client.subscribe("bal/dso-a/accepted", 1)
        await field.broker.send("bal/dso-a/accepted", b"marker")
        assert (await anext(aiter(client.messages))).payload == b"marker"
    assert [(name, topic) for name, topic, _, _ in arrivals.refused] == [
        ("dso-a", TOPIC),
        ("bal-service", "bal/dso-a/accepted"),
    ]
    await good_still_arrives(field, arrivals)


@pytest.mark.parametrize("topic", [TOPIC, "bal/dso-b/cim", "bal/dso-a/accepted"])
async def test_will_messages(field: Field, topic: str) -> None:
    arrivals = field.arrivals()
    will = aiomqtt.Will(topic, BAD, qos=1, retain=True)
    async with field.client("bal-service") as everything:
        await everything.subscribe("#", 1)
        async with field.client("dso-a", will=will, identifier="dying") as client:
            sock = client._client.socket()
            assert isinstance(sock, socket.socket)
            sock.shutdown(socket.SHUT_RDWR)
            with pytest.raises(aiomqtt.MqttError):
                await anext(aiter(client.messages))
        await field.broker.send("bal/dso-a/accepted", b"marker")
        assert (await anext(aiter(everything.messages))).payload == b"marker"
    await good_still_arrives(field, arrivals)


# --- what may be read ---------------------------------------------------------------------------------------------------
async def denied(client: aiomqtt.Client, topic_filter: str) -> None:
    codes = await client.subscribe(topic_filter, 1)
    assert [getattr(code, "value", code) for code in codes] == [0x80], topic_filter


async def test_subscriptions_that_reach_further(field: Field) -> None:
    arrivals = field.arrivals()
    async with field.client("dso-a") as client:
        for topic_filter in (
            "#",
            "+/#",
            "bal/#",
            "bal/+/accepted",
            "bal/+/+",
            "bal/dso-a/#",
            "bal/dso-a/+",
            "bal/dso-a/accepted/#",
            "bal/dso-b/accepted",
            "bal/dso-b/rejected",
            "bal/dso-a/cim",
            "bal/dso-a/certified/+",
            "$SYS/#",
            "$share/group/bal/dso-a/accepted",
            "$share/group/#",
            "x/" * 30_000 + "x",
        ):
            await denied(client, topic_filter)
        await client.subscribe("bal/dso-a/accepted", 1)
        for topic in ("bal/dso-b/accepted", "bal/dso-a/certified/x", "bal/dso-a/accepted"):
            await field.broker.send(topic, topic.encode())
        assert (await anext(aiter(client.messages))).payload == b"bal/dso-a/accepted"
    await good_still_arrives(field, arrivals)


async def test_rights_taken_away_count_for_subscriptions_that_stand(field: Field) -> None:
    arrivals = field.arrivals()
    field.authority.issue_client("reader")
    field.grants["reader"] = Rights(subscribe=("bal/dso-a/certified/+", "bal/dso-b/certified/+"))
    async with field.client("reader") as client:
        await client.subscribe([("bal/dso-a/certified/+", 1), ("bal/dso-b/certified/+", 1)])
        field.grants["reader"] = Rights(subscribe=("bal/dso-b/certified/+",))
        await field.broker.send("bal/dso-a/certified/x", b"no longer yours")
        await field.broker.send("bal/dso-b/certified/x", b"yours")
        assert (await anext(aiter(client.messages))).payload == b"yours"
    await good_still_arrives(field, arrivals)


# --- what breaks the protocol ---------------------------------------------------------------------------------------------
class Raw:
    """A TLS socket that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, field: Field, name: str | None = "dso-a", *, connect: bool = True) -> "Raw":
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", field.broker.port, ssl=field.tls(name), server_hostname="localhost"
        )
        raw = cls(reader, writer)
        if connect:
            await raw.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw")
            assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        return raw

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed(self) -> None:
        async with asyncio.timeout(20):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except (ConnectionError, ssl.SSLError):
                pass
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


def packet(first: int, body: bytes, length: int | None = None) -> bytes:
    remaining, out = len(body) if length is None else length, bytearray([first])
    while True:
        out.append(remaining % 128 | (128 if remaining > 127 else 0))
        remaining //= 128
        if not remaining:
            return bytes(out) + body


def text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


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


def test_nothing_a_client_names_is_logged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Client identifiers, topics, user names and payloads may all name meters."""
    secret = "meter-4711"

    async def story() -> None:
        async with running(tmp_path) as field:
            arrivals = field.arrivals()
            async with field.client("dso-a", identifier=secret, will=aiomqtt.Will(secret, secret)) as client:
                await client.publish(f"bal/{secret}/cim", secret, qos=1)
                await client.publish(TOPIC, secret, qos=1, retain=True)
                await denied(client, secret)
            await refused(field.client(None, user=(secret, secret)))
            raw = await Raw.open(field)
            await raw.say(packet(0x32, text(f"bal/+/{secret}".encode()) + b"\x00\x01"))
            await raw.closed()
            await good_still_arrives(field, arrivals)

    with asyncio.Runner(debug=True) as runner:
        runner.run(story())
    told = capfd.readouterr()
    assert "denied" in told.out + told.err
    assert secret not in told.out + told.err


async def test_paho_with_all_qualities_of_service_and_persistent_sessions(field: Field) -> None:
    """The standard client, as it comes, in a thread of its own."""
    arrivals = field.arrivals()
    received: list[bytes] = []

    def client() -> paho.Client:
        made = paho.Client(CallbackAPIVersion.VERSION2, client_id="server-1", clean_session=False)
        made.tls_set_context(field.tls("dso-a"))
        made.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
        made.connect("127.0.0.1", field.broker.port)
        made.loop_start()
        return made

    def story() -> None:
        first = client()
        first.subscribe("bal/dso-a/accepted", qos=2)
        for qos in (0, 1, 2):
            first.publish(TOPIC, str(qos), qos=qos).wait_for_publish(10)
        first.disconnect()
        first.loop_stop()

    await asyncio.to_thread(story)
    await arrivals.until(b"2")
    assert [body for _, _, body in arrivals.taken] == [b"0", b"1", b"2"]
    await eventually(lambda: not field.broker.connections)
    await field.broker.send("bal/dso-a/accepted", b"while away")
    second = await asyncio.to_thread(client)
    await eventually(lambda: bool(received))
    await asyncio.to_thread(second.disconnect)
    await asyncio.to_thread(second.loop_stop)
    assert received == [b"while away"]
    arrivals.taken.clear()
    await good_still_arrives(field, arrivals)
