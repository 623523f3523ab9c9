"""What was refused, on the real Kafka: for the operator alone, in order, whatever is killed or away meanwhile."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from bal.bootstrap.kafka import kafka_access
from bal.config import load
from bal.publish.kafka import KafkaAccess, rejected_topic
from bal.stack.kafka import tool
from bal.stack.server import Guest
from bal.stack.toml import written
from tests.e2e import documents
from tests.e2e.command import Shell
from tests.e2e.service import Service
from tests.integration.kafka.conftest import Subscriber
from tests.patience import PATIENCE
from tests.real import Real
from tests.streams import Found, Stream, access


def home_of(real: Real, folder: Path, name: str) -> Path:
    """Return a home that reaches Kafka as the BAL `name`."""
    home = folder / name
    home.mkdir()
    settings = real.admit("kafka", Guest(name, "dso"))
    pki = {"pki": {"path": str(real.layout.pki)}}
    (home / "bal.toml").write_text(written({**pki, "workers": 0, **settings}))
    return home


def refuse(shell: Shell, source: str, *values: str) -> None:
    """Send a document of readings that cannot be taken, one that cannot be read, and a good reading."""
    bad = [documents.meter(f"DE-SECRET-{each}", documents.reading(each)) for each in values]
    good = documents.meter("DE-METER-1", documents.reading("12500"))
    assert shell("ingest", "-", "--source", source, stdin=documents.document(*bad, good)).code == 1
    assert shell("ingest", "-", "--source", source, stdin=f"no XML {values}".encode()).code == 2


def on(reader: KafkaAccess, topic: str) -> list[Found]:
    (only,) = Stream(reader, topic).read()
    return only


async def arrived(reader: KafkaAccess, topic: str, count: int) -> list[Found]:
    """Return what is on a topic once `count` different reports are there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await asyncio.to_thread(on, reader, topic)
            if len({each.headers["ce_id"] for each in found}) >= count:
                return found
            await asyncio.sleep(0.5)


def handed(bal: KafkaAccess, folder: Path, name: str) -> KafkaAccess:
    """Return Kafka as a subscriber reaches it by what it was handed."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    return replace(bal, ca=folder / "ca.crt", certificate=certificate, key=key)


async def reads(who: KafkaAccess, topic: str) -> bool:
    """Tell whether somebody may read a topic."""
    reader = Subscriber(who.principal, who.servers, who.ca, who.certificate, who.key)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await reader.values(topic, 1, f"{who.principal}.looking")
            except (TopicAuthorizationFailedError, KafkaConnectionError):  # without rights, or revoked
                return False
            except UnknownTopicOrPartitionError:  # its first connection was taken, its second no longer
                continue
            return True


def consumed(real: Real, folder: Path, topic: str, count: int) -> list[str]:
    """Return what Kafka's own consumer prints to a subscriber that runs it where its files are."""
    command = [
        *map(str, tool(real.layout)),
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", real.facts("kafka")["servers"][0], "--command-config", "kafka.properties"),
        *("--topic", topic, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "120000"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.stdout.splitlines()


def told(found: Sequence[Found]) -> list[dict[str, Any]]:
    return [json.loads(each.value) for each in found]


async def test_only_the_operators_own_read_what_was_refused(real: Real, tmp_path: Path) -> None:
    shell = Shell(home_of(real, tmp_path, "rej-bal"))
    bal, other = kafka_access(load(shell.home).kafka), access(real, "rej-other")
    topic = rejected_topic("rej-bal")
    shell.done("sources", "add", "rej-a", "--output", "jsonl")
    shell.done("sources", "add", "rej-b", "--output", "kafka")
    shop = shell.done("subscribers", "add", "rej-shop", "--source", "rej-b", "--json").value()
    desk = shell.done("subscribers", "add", "rej-desk", "--rejected", "--json").value()
    assert (desk["kafka"], desk["mqtt"]) == ([topic], [])
    listed = {each["name"]: each for each in shell.done("subscribers", "list", "--json").values()}
    assert (listed["rej-desk"]["rejected"], listed["rej-desk"]["source"]) == (True, None)
    assert (listed["rej-shop"]["rejected"], listed["rej-shop"]["source"]) == (False, "rej-b")

    refuse(shell, "rej-a", "66601x", "66602x")  # goes to files alone
    refuse(shell, "rej-b", "66603x")
    kept = shell.done("rejections", "--json").values()
    lines = await asyncio.to_thread(consumed, real, Path(desk["folder"]), topic, 5)
    numbers = [1, 2, 1, 1, 1]
    assert [json.loads(line) for line in lines] == [
        {"version": 1, **each, "number": number} for each, number in zip(kept, numbers, strict=True)
    ]
    assert [each["source"] for each in kept] == ["rej-a"] * 3 + ["rej-b"] * 2
    assert [each["kind"] for each in kept] == ["reading", "reading", "message", "reading", "message"]
    everything = b"".join(each.value + each.key for each in on(bal, topic))
    assert b"6660" not in everything
    assert b"SECRET" not in everything

    readers = {
        name: handed(bal, Path(each["folder"]), name)
        for name, each in (("rej-shop", shop), ("rej-desk", desk))
    }
    assert await reads(readers["rej-desk"], topic)
    assert not await reads(readers["rej-shop"], topic)
    assert not await reads(readers["rej-desk"], "bal.certified.rej-b")
    assert not await reads(other, topic)
    shell.done("subscribers", "add", "rej-shop", "--rejected")
    assert await reads(readers["rej-shop"], topic)
    gone = shell.done("subscribers", "remove", "rej-shop", "--rejected", "--json").value()
    assert (gone["sources"], gone["rejected"], gone["revoked"]) == ([], True, [])
    assert not await reads(readers["rej-shop"], topic)
    assert await reads(readers["rej-shop"], "bal.certified.rej-b")
    gone = shell.done("subscribers", "remove", "rej-desk", "--json").value()
    assert (gone["rejected"], len(gone["revoked"])) == (True, 1)
    assert not await reads(readers["rej-desk"], topic)


async def test_away_and_killed_nothing_refused_is_missing_and_nothing_overtakes(
    real: Real, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = home_of(real, tmp_path, "rej-run")
    request.addfinalizer(lambda: real("kafka"))
    bal, topic = kafka_access(load(home).kafka), rejected_topic("rej-run")
    (process,) = real.server("kafka").processes(real.layout, real.ports("kafka"))
    with Service(home) as service:
        service.done("sources", "add", "rej-run-a", "--output", "jsonl")
        await asyncio.to_thread(refuse, service, "rej-run-a", "1x")
        await arrived(bal, topic, 2)
        await asyncio.to_thread(process.kill)
        for number in range(2, 6):  # taken, refused and answered without Kafka
            await asyncio.to_thread(refuse, service, "rej-run-a", f"{number}x")
        service.stop(signal.SIGKILL)
    with Service(home) as service:
        await asyncio.to_thread(refuse, service, "rej-run-a", "6x")
        await asyncio.to_thread(real, "kafka")
        await arrived(bal, topic, 12)
        await asyncio.to_thread(refuse, service, "rej-run-a", "7x")
        service.stop(signal.SIGKILL)
    with Service(home) as service:
        found = await arrived(bal, topic, 14)
        kept = service.done("rejections", "--json").values()
        assert service.stop() == 0
    first = list({each["id"]: each for each in told(found)}.values())
    assert [each["id"] for each in first] == list(range(1, 15)), "first appearances are in order"
    assert [{name: each[name] for name in kept[0]} for each in first] == kept
