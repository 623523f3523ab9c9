"""What the real broker refuses: looked at from where it would arrive, as a broker acknowledges what it throws away."""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

import aiomqtt
import pytest

from bal.core.acl import acl_text
from bal.core.errors import Conflict
from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.source import Source
from bal.core.topics import TopicMapping
from bal.ingest import rights_folder
from bal.ingest.rights import broker_rights
from bal.pki import Authority
from bal.stack.authority import authority
from tests.brokers import PASSWORD
from tests.integration.mosquitto.conftest import Shared
from tests.integration.mosquitto.knocking import (
    LET_IN,
    NO_CERTIFICATE,
    NOT_AUTHORISED,
    REVOKED,
    UNKNOWN_CA,
    knock,
)
from tests.mosquitto_field import MosquittoField
from tests.patience import PATIENCE
from tests.real import Real

V311, V5 = aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("dso-x", "bal/dso-x/cim"),
        ("dso-x", "bal/dso-x/pmu/pmu-1"),
        ("dso-x", "grid/x/pmu-2/frames"),
        ("head-end", "bal/dso-y/cim"),
        ("our-bal", "bal/dso-x/accepted"),
        ("our-bal", "bal/dso-y/rejected"),
        ("our-bal", "bal/dso-x/certified/point"),
        ("our-bal", "bal/dso-y/readings/point"),
        ("their-bal", "bal/dso-z/accepted"),
    ],
)
async def test_what_may_be_published_arrives(
    shared: Shared, name: str, topic: str, version: aiomqtt.ProtocolVersion
) -> None:
    assert await shared.arriving(name, topic, version) == {topic}


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("dso-x", "bal/dso-y/cim"),
        ("dso-x", "bal/dso-z/pmu/pmu-1"),
        ("dso-x", "bal/dso-x/accepted"),
        ("dso-x", "bal/dso-x/rejected"),
        ("dso-x", "bal/dso-x/certified/point"),
        ("dso-x", "bal/dso-x/readings/point"),
        ("dso-x", "bal/dso-x/pmu/a/b"),
        ("dso-x", "bal/dso-x/cim/more"),
        ("dso-x", "bal/dso-x"),
        ("dso-x", "bal/DSO-X/cim"),
        ("dso-x", "grid/y/pmu-2/frames"),
        ("dso-x", "somewhere/else"),
        ("dso-y", "bal/dso-y/cim"),  # the source sends by another identity, its name is nobody
        ("reader", "bal/dso-x/cim"),
        ("reader", "bal/dso-x/certified/point"),
        ("stranger", "bal/dso-x/cim"),
        ("our-bal", "bal/dso-x/cim"),  # a BAL does not send in the name of its sources
        ("our-bal", "bal/dso-z/accepted"),
        ("their-bal", "bal/dso-x/accepted"),
        ("their-bal", "bal/dso-x/certified/point"),
        ("their-bal", "bal/dso-y/cim"),
    ],
)
async def test_what_is_not_granted_does_not_arrive(shared: Shared, name: str, topic: str) -> None:
    assert await shared.arriving(name, topic, V311) == set()


@pytest.mark.parametrize(
    ("name", "topic_filter", "granted"),
    [
        ("dso-x", "#", {"bal/dso-x/accepted", "bal/dso-x/rejected"}),
        ("dso-x", "bal/+/accepted", {"bal/dso-x/accepted"}),
        ("dso-x", "bal/dso-x/+", {"bal/dso-x/accepted", "bal/dso-x/rejected"}),
        ("dso-x", "bal/dso-x/certified/+", set()),
        ("dso-x", "$share/group/#", {"bal/dso-x/accepted", "bal/dso-x/rejected"}),
        ("head-end", "#", {"bal/dso-y/accepted", "bal/dso-y/rejected"}),
        ("reader", "#", {"bal/dso-x/certified/point", "bal/dso-x/readings/point"}),
        ("reader", "bal/dso-y/certified/+", set()),
        ("stranger", "#", set()),
        (
            "our-bal",
            "#",
            {
                "bal/dso-x/cim",
                "bal/dso-x/pmu/pmu-1",
                "grid/x/pmu-2/frames",
                "bal/dso-y/cim",
                "bal/dso-y/pmu/pmu-1",
            },
        ),
        ("their-bal", "#", {"bal/dso-z/cim", "bal/dso-z/pmu/pmu-1"}),
        ("their-bal", "bal/dso-x/cim", set()),
    ],
)
async def test_a_subscriber_gets_what_it_was_granted_and_nothing_else(
    shared: Shared, name: str, topic_filter: str, granted: set[str]
) -> None:
    assert await shared.received(name, topic_filter) == granted


async def test_nobody_without_a_good_certificate_or_password_gets_in(shared: Shared, tmp_path: Path) -> None:
    """Another CA's certificate, even for a name with rights; none; a wrong password; a name without one."""
    ours = shared.ours
    foreign = Authority.create(tmp_path / "foreign")
    foreign.issue_client("dso-x")
    await asyncio.to_thread(ours.accounts.put, "metering", PASSWORD)
    good, wrong = ("metering", PASSWORD), ("metering", "wrong" + PASSWORD)
    certificates, passwords = ours.facts["port"], ours.facts["password_port"]
    for port, tls, user, answer in (
        (certificates, ours.tls("dso-x"), None, LET_IN),
        (certificates, ours.tls("dso-x", foreign), None, UNKNOWN_CA),
        (certificates, ours.tls(None), None, NO_CERTIFICATE),
        (certificates, ours.tls(None), good, NO_CERTIFICATE),
        (passwords, ours.tls(None), good, LET_IN),
        (passwords, ours.tls(None), wrong, NOT_AUTHORISED),
        (passwords, ours.tls(None), ("dso-x", ""), NOT_AUTHORISED),
        (passwords, ours.tls(None), None, NOT_AUTHORISED),
        (passwords, ours.tls("dso-x"), None, NOT_AUTHORISED),
    ):
        assert await knock(port, tls, user) == answer
    await asyncio.to_thread(ours.accounts.remove, "metering")
    assert await knock(passwords, ours.tls(None), good) == NOT_AUTHORISED


async def test_who_was_removed_is_thrown_out(shared: Shared) -> None:
    await asyncio.to_thread(shared.ours.accounts.put, "metering", PASSWORD)
    async with shared.ours.client(None, user=("metering", PASSWORD)) as client:
        await asyncio.to_thread(shared.ours.accounts.remove, "metering")
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(aiomqtt.MqttError, match="Disconnected during message iteration"):
                async for _ in client.messages:
                    pass


async def test_a_retained_message_is_refused_and_nobody_gets_it(shared: Shared) -> None:
    async with shared.ours.client("dso-x") as client:
        await _thrown_out(client, b"kept", retain=True)
    async with shared.ours.client("watcher") as watcher, shared.ours.client("author") as author:
        await watcher.subscribe("#", qos=1)
        await author.publish("end", b"", qos=1)
        assert str((await anext(watcher.messages)).topic) == "end"


async def _thrown_out(client: aiomqtt.Client, body: bytes, *, retain: bool = False) -> None:
    """Publish, and wait for the broker to end the connection over it: its acknowledgement never comes."""
    publishing = asyncio.ensure_future(client.publish("bal/dso-x/cim", body, qos=1, retain=retain))
    with pytest.raises(aiomqtt.MqttError, match="Disconnected during message iteration"):
        await asyncio.wait_for(anext(client.messages), PATIENCE)
    publishing.cancel()
    # MqttError: it was not even sent to its end when the broker ended the connection.
    with pytest.raises((asyncio.CancelledError, aiomqtt.MqttError)):
        await publishing


async def test_a_message_over_the_limit_ends_the_connection(shared: Shared) -> None:
    async with shared.ours.client("dso-x") as client:
        await _thrown_out(client, b"x" * (9 * 1024 * 1024))


async def test_a_message_over_the_limit_in_a_packet_under_it_is_handed_on_to_be_refused(
    shared: Shared,
) -> None:
    """The broker's limit is on packets: what it lets through and no message may be has its answer all the same."""
    body = b"x" * (MQTT_MESSAGE_BYTES + 1)
    await shared.ours.fresh("lane")
    async with shared.ours.client("dso-x") as client:
        await client.publish("bal/dso-x/cim", body, qos=1)
    async with shared.ours.inbox("lane").deliveries() as deliveries, asyncio.timeout(PATIENCE):
        delivery = await anext(deliveries)
    assert delivery.message.digest == hashlib.sha256(body).digest()
    assert delivery.message.refusal == f"the message is larger than {MQTT_MESSAGE_BYTES} bytes"
    await shared.ours.forget("lane")


async def test_rights_taken_back_hold_for_who_is_connected_and_for_what_waits(shared: Shared) -> None:
    ours = shared.ours
    async with ours.client("reader", identifier="reader-1", clean=False) as reader:
        await reader.subscribe([("bal/dso-x/certified/+", 1), ("end", 1)])
    async with ours.client("author") as author:
        await author.publish("bal/dso-x/certified/point", b"waits", qos=1)
    unread = [source.model_copy(update={"readers": ()}) for source in ours.sources]
    async with ours.client("reader", identifier="reader-2") as connected:
        await connected.subscribe([("bal/dso-x/certified/+", 1), ("end", 1)])
        async with (
            shared.granting(unread),
            ours.client("author") as author,
            ours.client("reader", identifier="reader-1", clean=False) as late,
        ):
            await author.publish("bal/dso-x/certified/point", b"comes", qos=1)
            await author.publish("end", b"", qos=1)
            for client in (connected, late):
                assert str((await anext(client.messages)).topic) == "end"
    async with ours.client("reader", identifier="reader-1"):
        pass


async def test_another_bals_topics_cannot_be_taken(shared: Shared) -> None:
    for stolen in (
        Source(name="dso-x", lane="lane-9"),
        Source(
            name="dso-n",
            lane="lane-9",
            topics=(TopicMapping(topic="grid/+/pmu-2/frames", form="pmu", device="pmu-2"),),
        ),
    ):
        with pytest.raises(Conflict):
            await shared.theirs.rights.grant([*shared.theirs.sources, stolen])
    assert await shared.received("their-bal", "#") == {"bal/dso-z/cim", "bal/dso-z/pmu/pmu-1"}
    with pytest.raises(Conflict):
        shared.theirs.accounts.put("dso-x", PASSWORD)


async def test_a_revoked_certificate_is_worth_nothing(shared: Shared) -> None:
    """A new connection is refused; one that stands can do nothing any more."""
    lost = Source(name="dso-lost", lane="lane-1", topics=())
    ours, port = shared.ours, shared.ours.facts["port"]
    stolen = ours.tls("dso-lost")
    async with (
        shared.granting([*ours.sources, lost]),
        ours.client(tls=stolen) as connected,
        ours.client("watcher") as watcher,
    ):
        await watcher.subscribe([("bal/dso-lost/#", 1), ("end", 1)])
        await connected.publish("bal/dso-lost/cim", b"before", qos=1)
        assert (await anext(watcher.messages)).payload == b"before"
        with authority(ours.layout) as ca:
            ca.revoke("dso-lost")
        assert await asyncio.to_thread(ours.folder.withdraw, ca)
        assert await knock(port, stolen) == REVOKED
        with suppress(aiomqtt.MqttError):  # or it was thrown out
            await connected.publish("bal/dso-lost/cim", b"after", qos=1, timeout=2)
        async with ours.client("author") as author:
            await author.publish("end", b"", qos=1)
        assert str((await anext(watcher.messages)).topic) == "end"
        with authority(ours.layout) as ca:
            ca.issue_client("dso-lost")
        assert await asyncio.to_thread(ours.folder.withdraw, ca)
        assert await shared.arriving("dso-lost", "bal/dso-lost/cim", V311) == {"bal/dso-lost/cim"}
        assert await knock(port, stolen) == REVOKED


async def test_who_revokes_itself_is_answered_no_more_and_knows_that_it_is_done(
    real: Real, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights_folder, "READ_SECONDS", 10 * PATIENCE)  # it is not waited for
    leaving = MosquittoField(real, "leaving-bal", [])
    await leaving.rights.grant([])
    own, port = leaving.tls("leaving-bal"), leaving.facts["port"]
    assert await knock(port, own) == LET_IN
    with authority(leaving.layout) as ca:
        ca.revoke("leaving-bal")
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.to_thread(leaving.folder.withdraw, ca)
    assert await knock(port, own) == REVOKED
    assert await asyncio.to_thread(shared.ours.folder.withdraw, ca)  # others are answered as before


async def test_a_new_revocation_list_is_read_by_a_broker_that_runs(real: Real, shared: Shared) -> None:
    """As `bal stack up` signs it: by a broker that had not read it, everybody is refused once the old one has ended."""
    ours, port = shared.ours, shared.ours.facts["port"]
    gone = ours.tls("dso-gone")
    assert await knock(port, gone) == LET_IN
    with authority(ours.layout) as ca:
        ca.revoke("dso-gone")
    assert await knock(port, gone) == LET_IN  # nobody was told
    server, ports = real.server("mosquitto"), real.ports("mosquitto")
    (process,) = server.processes(real.layout, ports)
    before = process.pid
    await asyncio.to_thread(server.start, real.layout, ports, lambda _line: None)
    assert process.pid == before
    assert await knock(port, gone) == REVOKED


async def test_a_change_nobody_was_told_of_is_in_force_after_the_next_start(shared: Shared) -> None:
    """Killed between writing rights and telling the broker."""
    ours = shared.ours
    fewer = ours.sources[:1]
    with ours.folder.writing():
        ours.folder.put(ours.identity, acl_text(broker_rights(ours.identity, fewer)))
    assert await shared.arriving("head-end", "bal/dso-y/cim", V311) == {"bal/dso-y/cim"}
    async with shared.granting(fewer):
        assert await shared.arriving("head-end", "bal/dso-y/cim", V311) == set()
