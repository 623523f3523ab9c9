"""`bal run` while Kafka is away and comes back: intake never waits for it, nothing is lost, nothing overtakes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bal.bootstrap.kafka import kafka_access
from bal.config import load
from bal.publish.kafka import certified_topic
from bal.stack.server import Guest
from bal.stack.toml import written
from tests.e2e import documents
from tests.e2e.service import Service
from tests.real import Real
from tests.streams import Found, Topics

PATIENCE = 90


@pytest.fixture
async def home(real: Real, tmp_path: Path) -> AsyncIterator[Path]:
    """Return a home that publishes to Kafka; Kafka runs again when the test has ended."""
    path = tmp_path / "home"
    path.mkdir()
    settings = real.admit("kafka", Guest("run-bal", "dso"))
    pki = {"pki": {"path": str(real.layout.pki)}}
    (path / "bal.toml").write_text(written({**pki, "workers": 0, **settings}))
    yield path
    await asyncio.to_thread(real, "kafka")


def sent(service: Service, number: int, points: int = 2) -> list[str]:
    """Certify the readings of a quarter of an hour of some meters; return the addresses."""
    time = f"2026-01-{1 + number // 96:02}T{number // 4 % 24:02}:{number % 4 * 15:02}:00Z"
    addresses: list[str] = service.ingest(documents.many(points, value=1000 * number, time=time), "run-a")[
        "addresses"
    ]
    return addresses


async def arrived(topics: Topics, count: int) -> list[Found]:
    """Return what came once `count` different certificates are there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await asyncio.to_thread(topics.read)
            if len({each.address for each in found}) >= count:
                return found
            await asyncio.sleep(0.5)


async def test_kafka_away_at_a_start_and_killed_under_load_stops_no_intake_and_loses_nothing(
    real: Real, home: Path
) -> None:
    (process,) = real.server("kafka").processes(real.layout, real.ports("kafka"))
    with Service(home) as service:
        service.done("sources", "add", "run-a", "--output", "kafka")
        topics = await asyncio.to_thread(Topics, kafka_access(load(home).kafka), [certified_topic("run-a")])
        certified = await asyncio.to_thread(sent, service, 0)
        await arrived(topics, 2)
        assert service.stop() == 0
    await asyncio.to_thread(process.kill)
    with Service(home) as service:  # Kafka is away
        for number in (1, 2, 3):
            certified += await asyncio.to_thread(sent, service, number)
        await asyncio.to_thread(real, "kafka")
        await arrived(topics, 8)
        for number in range(4, 12):
            if number == 7:
                await asyncio.to_thread(process.kill)
            certified += await asyncio.to_thread(sent, service, number)
        await asyncio.to_thread(real, "kafka")
        found = await arrived(topics, len(certified))
        assert service.stop() == 0
    points: dict[bytes, dict[Any, None]] = {}
    for each in found:
        points.setdefault(each.key, {})[each.address] = None
        assert each.value.decode() == json.dumps(json.loads(each.value), separators=(",", ":"))
    for places in points.values():
        assert list(places) == sorted(places), "the first appearances of a measuring point are in order"
    assert {str(address) for places in points.values() for address in places} == set(certified)
