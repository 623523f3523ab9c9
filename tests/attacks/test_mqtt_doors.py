"""Attacks on the embedded broker over real TLS: nothing of them arrives, and a good message afterwards does."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bal.core.topics import Rights
from bal.pki import Authority
from tests.brokers import PASSWORD, Field, eventually, running
from tests.raw_mqtt import BAD, TOPIC, Raw, denied, good_still_arrives, packet, refused, text


@pytest.fixture
async def field(tmp_path: Path) -> AsyncIterator[Field]:
    async with running(tmp_path) as field:
        yield field


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
