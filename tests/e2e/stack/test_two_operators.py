"""Two operators on one ledger and the same servers: each with logs, keyspace, topics of its own, none in the other's."""

import asyncio
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from bal.bootstrap.fabric import open_fabric
from bal.bootstrap.kafka import kafka_access
from bal.core.errors import LedgerRefused, StoreFailed
from chaincode.anchor import GENESIS, Anchor
from tests.cassandra_field import connected
from tests.e2e import documents
from tests.e2e.stack.world import Dso, Listener, access, console_consumer, publish
from tests.grid import Grid
from tests.patience import PATIENCE
from tests.streams import Topics

pytestmark = pytest.mark.timeout(600)

DOCUMENTS = 5


class Pair(NamedTuple):
    """Whose it is, and who tries to have it."""

    owner: Dso
    other: Dso


@pytest.fixture(scope="module")
def both(north: Dso, south: Dso) -> tuple[Dso, Dso]:
    """Return both operators once each has certified documents, at the same time."""

    def work(dso: Dso, first: int) -> None:
        values = range(first, first + DOCUMENTS)
        for value in values:
            dso.send(documents.one(str(value), f"DE-{value}"))
        dso.anchored(*map(str, values))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (north, south), (51_000, 62_000)))
    return north, south


@pytest.fixture(params=["north is the owner", "south is the owner"])
def pair(request: pytest.FixtureRequest, both: tuple[Dso, Dso]) -> Pair:
    return Pair(*(both if request.param.startswith("north") else reversed(both)))


def test_each_certified_its_own_and_nothing_else(both: tuple[Dso, Dso]) -> None:
    for dso, first, foreign in ((both[0], 51_000, 62_000), (both[1], 62_000, 51_000)):
        values = {int(row["value"]) for row in dso.service.readings(source=dso.source)}
        assert values >= set(range(first, first + DOCUMENTS))
        assert not values & set(range(foreign, foreign + DOCUMENTS))
        assert {row["address"].split(":")[0] for row in dso.service.readings(source=dso.source)} == {dso.log}
        assert dso.service.clean()["readings"] == len(values)
    organisations = [
        json.loads(dso.service.done("anchors", "--json", "--log", dso.log).out.splitlines()[0])[
            "organisation"
        ]
        for dso in both
    ]
    assert organisations == ["DsoMSP", "MarketMSP"]
    assert both[0].settings.cassandra.keyspace != both[1].settings.cassandra.keyspace


async def test_the_others_log_and_source_on_the_ledger(pair: Pair) -> None:
    async with open_fabric(pair.other.settings.fabric) as ledger:
        head = await ledger.head(pair.owner.log)
        assert head is not None
        next_one = replace(head.anchor, seq=head.anchor.seq + 1, previous=head.anchor.hash)
        fork = replace(head.anchor, root="ab" * 32)
        for work in (
            ledger.anchor([next_one]),
            ledger.anchor([fork]),
            ledger.register_log(pair.owner.log),
            ledger.register_source(pair.owner.source),
            ledger.set_rules(pair.owner.source, "12" * 32),
            ledger.suspend_source(pair.owner.source, suspended=True, why="mine"),
            # In a log of its own it cannot count readings of the other's source.
            ledger.anchor([await _foreign_counts(pair)]),
        ):
            with pytest.raises(LedgerRefused) as refused:
                await work
            assert refused.value.code == "wrong_organisation"
        assert await ledger.head(pair.owner.log) == head
        assert not await ledger.suspended(pair.owner.source)


async def _foreign_counts(pair: Pair) -> Anchor:
    async with open_fabric(pair.other.settings.fabric) as ledger:
        head = await ledger.head(pair.other.log)
    seq, previous = (0, GENESIS) if head is None else (head.anchor.seq + 1, head.anchor.hash)
    assert head is not None
    return replace(
        head.anchor,
        seq=seq,
        previous=previous,
        counts={pair.owner.source: head.anchor.size},
        rules={pair.owner.source: "12" * 32},
    )


def test_a_source_of_the_others_name_is_not_registered(pair: Pair) -> None:
    answer = pair.other.service("sources", "add", pair.owner.source, "--json")
    assert (answer.code, answer.problem()["type"]) == (1, "urn:bal:problem:ledger-refused"), answer
    known = [each["name"] for each in pair.other.service.done("sources", "list", "--json").values()]
    assert known == [pair.other.source]


async def test_the_others_keyspace(pair: Pair) -> None:
    before = pair.owner.service.readings(source=pair.owner.source)
    theirs, keyspace = access(pair.other.service), access(pair.owner.service).keyspace
    log = pair.owner.log
    async with connected(theirs) as session:
        for forbidden in (
            f"SELECT * FROM {keyspace}.readings LIMIT 1",
            f"SELECT * FROM {keyspace}.tiles LIMIT 1",
            f"SELECT * FROM {keyspace}.sources LIMIT 1",
            f"DELETE FROM {keyspace}.tiles WHERE log = '{log}' AND seq = 0",
            f"INSERT INTO {keyspace}.batches (log, chunk, seq, anchor) VALUES ('{log}', 0, 99, '')",
            f"INSERT INTO {keyspace}.leases (lane, holder) VALUES ('{log}', 'me')",
            f"TRUNCATE {keyspace}.readings",
        ):
            with pytest.raises(StoreFailed, match="may not"):
                await session.define(forbidden)
    assert pair.owner.service.readings(source=pair.owner.source) == before


async def test_the_others_kafka_topic(grid: Grid, pair: Pair) -> None:
    (topic,) = pair.owner.handed["kafka"]
    theirs = kafka_access(pair.other.settings.kafka)
    seen = await asyncio.to_thread(Topics, kafka_access(pair.owner.settings.kafka), [topic])
    producer = AIOKafkaProducer(
        bootstrap_servers=list(theirs.servers), security_protocol="SSL", ssl_context=theirs.tls()
    )
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topic, b"{}", b"key")
    finally:
        await producer.stop()
    assert await asyncio.to_thread(seen.read) == []
    done = await asyncio.to_thread(
        subprocess.run,
        console_consumer(grid, topic),
        cwd=pair.other.folder,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.stdout == ""
    assert "TopicAuthorizationException" in done.stderr


def test_the_others_mqtt_topics(grid: Grid, pair: Pair) -> None:
    """Looked at from where it would arrive: a broker acknowledges what it throws away."""
    owner, other = pair
    (certified,) = owner.handed["mqtt"]
    listeners = {
        name: Listener(grid, files, f"{who}-hears", *topics)
        for name, who, files, topics in (
            ("subscriber", owner.subscriber, owner.subscriber_files, [certified]),
            ("source", owner.source, _files(owner), [f"bal/{owner.source}/+"]),
            ("their subscriber", other.subscriber, other.subscriber_files, ["#", certified]),
            ("their source", other.source, _files(other), ["#", f"bal/{owner.source}/+"]),
        )
    }
    kafka = other.settings.kafka
    assert kafka.certificate is not None
    assert kafka.key is not None
    everybody: list[tuple[str | Path, str | Path]] = [
        _files(other),
        other.subscriber_files,
        (kafka.certificate, kafka.key),  # what their BAL itself goes by
    ]
    forged = str(int(owner.service.readings(source=owner.source)[-1]["value"]) + 7_000_000)
    for files in everybody:
        for topic in ("cim", "certified/point", "readings/point", "accepted", "rejected"):
            publish(grid, files, f"bal/{owner.source}/{topic}", documents.one(forged, "DE-forged"))
    genuine = str(int(forged) + 1)
    for dso in (owner, other):
        dso.send(documents.one(genuine, "DE-genuine"))
    # What is heard first is what was sent last: nothing came before it.
    ((topic, payload),) = listeners["subscriber"].received(1)
    assert [each["entry"]["value"] for each in json.loads(payload)] == [genuine]
    ((topic, payload),) = listeners["source"].received(1)
    assert (topic, json.loads(payload)["accepted"]) == (f"bal/{owner.source}/accepted", 1)
    for name in ("their subscriber", "their source"):
        ((topic, _),) = listeners[name].received(1)
        assert topic.split("/")[1] == other.source
    assert forged not in {row["value"] for row in owner.anchored(genuine)}
    for listener in listeners.values():
        assert listener.received(1, seconds=1) == []


def test_both_are_as_they_were(both: tuple[Dso, Dso]) -> None:
    for dso in both:
        assert dso.service.clean()["pending"] == 0


def _files(dso: Dso) -> tuple[Path, Path]:
    return Path(dso.sender["certificate"]), Path(dso.sender["key"])
