"""A BAL on the real Kafka, and subscribers of it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from bal.core.certified import CertifiedBatch
from bal.core.source import Grant, Source
from bal.publish.kafka import KafkaAccess, KafkaPublisher
from bal.stack.authority import authority
from tests.certified import certified, reading
from tests.patience import PATIENCE
from tests.real import Real
from tests.streams import access


def source(name: str, *, readers: Sequence[str] = (), grants: Sequence[Grant] = ()) -> Source:
    """Return a registration with Kafka as its output."""
    return Source(name=name, lane="bal-1", outputs=("kafka",), readers=tuple(readers), grants=tuple(grants))


def batch_of(seq: int, *names: str, count: int = 4) -> CertifiedBatch:
    """Return a batch with `count` readings of two measuring points of each of these sources."""
    entries = [reading(seq * count + number, name, number % 2) for name in names for number in range(count)]
    return certified(list(entries), seq)


def point(number: int) -> str:
    """Return the pseudonym of a measuring point of `batch_of`."""
    return "abcdefgh"[number] * 26


@asynccontextmanager
async def publishing(
    reached: KafkaAccess, registered: Sequence[Source] = (), answer_seconds: float = 30.0
) -> AsyncIterator[KafkaPublisher]:
    """Yield a publisher."""
    sources = {each.name: each for each in registered}
    publisher = KafkaPublisher(reached, lambda: sources, answer_seconds=answer_seconds)
    try:
        yield publisher
    finally:
        await publisher.close()


@dataclass(frozen=True)
class Subscriber:
    """Somebody with a certificate, or without.

    `UnknownTopicOrPartitionError` in reading says that the broker told it of no such topic in time, for whatever reason:
    also when its first connection was taken and its second no longer.
    """

    name: str
    servers: tuple[str, ...]
    ca: Path
    certificate: Path | None
    key: Path | None

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context

    async def read(self, topic: str, count: int, group: str | None = None) -> list[str]:
        """Return the addresses of the first `count` certificates of a topic, as a member of a consumer group."""
        return [each["address"] for each in await self.values(topic, count, group)]

    async def values(self, topic: str, count: int, group: str | None = None) -> list[dict[str, Any]]:
        """Return the first `count` values of a topic, as a member of a consumer group."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=list(self.servers),
            group_id=group or self.name,
            security_protocol="SSL",
            ssl_context=self.tls(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            request_timeout_ms=20_000,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                await consumer.start()
                return [json.loads((await anext(consumer)).value) for _ in range(count)]
        finally:
            await consumer.stop()


@pytest.fixture
def bal(real: Real) -> KafkaAccess:
    return access(real, "rights-bal")


@pytest.fixture
def subscriber(real: Real, bal: KafkaAccess) -> Callable[[str], Subscriber]:
    def made(name: str) -> Subscriber:
        with authority(real.layout) as ca:
            certificate, key = ca.issue_client(name, replace=True)
        return Subscriber(name, bal.servers, bal.ca, certificate, key)

    return made
