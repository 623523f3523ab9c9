"""Who may do what on the real broker: nobody but those the registrations name, under a certificate in force."""

import asyncio
import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from bal.core.errors import Conflict, PublishRefused
from bal.core.source import Grant
from bal.pki import Authority
from bal.publish.kafka import KafkaAccess, KafkaTopics, certified_topic, granted_topic
from bal.publish.kafka.access import client_properties
from bal.stack.authority import authority
from bal.stack.kafka import tool
from tests.integration.kafka.conftest import Subscriber, batch_of, point, publishing, source
from tests.patience import PATIENCE
from tests.real import Real
from tests.streams import Topics, access

Subscribers = Callable[[str], Subscriber]


async def test_a_subscriber_reads_what_it_was_granted_and_nothing_else(
    bal: KafkaAccess, subscriber: Subscribers
) -> None:
    whole, part, nobody = subscriber("r-whole"), subscriber("r-part"), subscriber("r-nobody")
    grant = Grant(subscriber="r-part", points=(point(1),))
    registered = [source("r-one", readers=["r-whole"], grants=[grant]), source("r-two")]
    topics = KafkaTopics(bal)
    await topics.grant(registered)
    async with publishing(bal, registered) as publisher:
        await publisher.publish(batch_of(0, "r-one", "r-two"), frozenset({"r-one", "r-two"}))
    one, two, own = certified_topic("r-one"), certified_topic("r-two"), granted_topic("r-part")
    assert sorted(await whole.read(one, 4)) == [f"log-1:0:{index}" for index in range(4)]
    assert await whole.read(one, 4, group="r-whole.dashboard")
    assert await part.read(own, 2) == ["log-1:0:1", "log-1:0:3"]
    for reader, topic in ((whole, two), (whole, own), (part, one), (part, two), (nobody, one), (nobody, own)):
        with pytest.raises(TopicAuthorizationFailedError):
            await reader.read(topic, 1)
    for group in ("r-part", "r-whole2", "r-wholesale.dashboard"):
        with pytest.raises(GroupAuthorizationFailedError):
            await whole.read(one, 1, group=group)

    await topics.grant([source("r-one"), source("r-two")])  # nobody any more
    for reader, topic in ((whole, one), (part, own)):
        with pytest.raises(TopicAuthorizationFailedError):
            await reader.read(topic, 1)
    await topics.grant([source("r-one", readers=["r-nobody"]), source("r-two")])
    assert len(await nobody.read(one, 4)) == 4


async def test_rights_that_stand_are_given_once_and_those_of_others_stay(
    bal: KafkaAccess, real: Real
) -> None:
    other = access(real, "rights-other")
    grants = [Grant(subscriber="r-shared", points=(point(0),))]
    await KafkaTopics(bal).grant([source("r-mine", grants=grants)])
    await KafkaTopics(other).grant([source("r-theirs", grants=grants)])
    await KafkaTopics(bal).grant([source("r-mine")])  # the other BAL grants it something still
    async with publishing(other, [source("r-theirs", grants=grants)]) as publisher:
        seen = await asyncio.to_thread(Topics, bal, [granted_topic("r-shared")])
        await publisher.publish(batch_of(0, "r-theirs"), frozenset({"r-theirs"}))
    assert [str(each.address) for each in await asyncio.to_thread(seen.read)] == ["log-1:0:0", "log-1:0:2"]
    async with publishing(bal, [source("r-mine", grants=grants)]) as publisher:
        with pytest.raises(PublishRefused) as refused:
            await publisher.publish(batch_of(0, "r-mine"), frozenset({"r-mine"}))
    assert refused.value.source == "r-mine"


async def test_another_bal_neither_writes_nor_reads_nor_takes_a_topic(
    bal: KafkaAccess, real: Real, subscriber: Subscribers
) -> None:
    other = access(real, "rights-other")
    await KafkaTopics(bal).grant([source("r-owned")])
    seen = await asyncio.to_thread(Topics, bal, [certified_topic("r-owned")])
    with pytest.raises(Conflict, match="another BAL, rights-bal, writes"):
        await KafkaTopics(other).grant([source("r-owned"), source("r-free")])
    async with publishing(other) as publisher:
        with pytest.raises(PublishRefused) as refused:
            await publisher.publish(batch_of(0, "r-owned", "r-free"), frozenset({"r-owned", "r-free"}))
        assert refused.value.source == "r-owned"
        await publisher.publish(batch_of(0, "r-owned", "r-free"), frozenset({"r-free"}))
    reader = Subscriber("rights-other", other.servers, other.ca, other.certificate, other.key)
    with pytest.raises(TopicAuthorizationFailedError):
        await reader.read(certified_topic("r-owned"), 1)
    assert await asyncio.to_thread(seen.read) == []


async def test_without_a_certificate_in_force_there_is_no_connection(
    bal: KafkaAccess, real: Real, subscriber: Subscribers, tmp_path: Path
) -> None:
    topic = certified_topic("r-forced")
    names = ["r-in-force", "r-revoked", "r-foreign", "r-nobody"]
    await KafkaTopics(bal).grant([source("r-forced", readers=names)])
    async with publishing(bal) as publisher:
        await publisher.publish(batch_of(0, "r-forced"), frozenset({"r-forced"}))
    in_force, revoked = subscriber("r-in-force"), subscriber("r-revoked")
    assert len(await revoked.read(topic, 4)) == 4
    foreign = Authority.create(tmp_path / "foreign")
    certificate, key = foreign.issue_client("r-foreign")
    for stranger in (
        dataclasses.replace(in_force, name="r-foreign", certificate=certificate, key=key),
        dataclasses.replace(in_force, name="r-nobody", certificate=None, key=None),
    ):
        with pytest.raises(KafkaConnectionError):
            await stranger.read(topic, 1)
    with authority(real.layout) as ca:
        ca.revoke("r-revoked")
    async with asyncio.timeout(PATIENCE):  # the JDK looks for a new revocation list every 30 seconds at most
        while True:
            try:
                await revoked.read(topic, 1)
            except KafkaConnectionError:
                break
            except UnknownTopicOrPartitionError:  # its first connection was taken, its second no longer
                continue
            await asyncio.sleep(1)
    assert len(await in_force.read(topic, 4)) == 4  # the list is read, not everybody refused


async def test_kafkas_own_consumer_prints_the_certificates_to_who_may_read_them(
    bal: KafkaAccess, real: Real, subscriber: Subscribers, tmp_path: Path
) -> None:
    topic, batch = certified_topic("r-console"), batch_of(0, "r-console")
    reader, stranger = subscriber("r-console-reader"), subscriber("r-stranger")
    await KafkaTopics(bal).grant([source("r-console", readers=["r-console-reader"])])
    async with publishing(bal) as publisher:
        await publisher.publish(batch, frozenset({"r-console"}))

    def consume(who: Subscriber) -> subprocess.CompletedProcess[str]:
        assert who.certificate is not None
        assert who.key is not None
        with authority(real.layout) as ca:
            keystore = tmp_path / f"{who.name}.pem"
            keystore.write_bytes(ca.keystore((who.certificate, who.key)))
        properties = tmp_path / f"{who.name}.properties"
        properties.write_text(client_properties(who.ca, keystore))
        command = [
            *map(str, tool(real.layout)),
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", who.servers[0], "--command-config", str(properties)),
            *("--topic", topic, "--group", who.name, "--from-beginning"),
            *("--max-messages", "4", "--timeout-ms", "120000"),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    told = await asyncio.to_thread(consume, reader)
    printed = {json.loads(line)["address"]: line for line in told.stdout.splitlines()}
    assert printed == {str(batch.address(index)): text for index, _, text in batch.certificates()}, (
        told.stderr
    )
    refused = await asyncio.to_thread(consume, stranger)
    assert refused.stdout == ""
    assert "TopicAuthorizationException" in refused.stderr
