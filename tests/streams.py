"""Kafka in tests: a BAL on the real broker, and everything that stands on a topic, read by the administrator."""

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from bal.core.address import Address
from bal.publish.kafka import KafkaAccess
from bal.stack.server import Guest
from tests.real import Real


class Found(NamedTuple):
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]

    @property
    def address(self) -> Address:
        return Address.parse(self.headers["ce_id"].decode())


def access(real: Real, name: str = "bal-a") -> KafkaAccess:
    """Return Kafka as a BAL of that name is admitted to it."""
    given = real.admit("kafka", Guest(name, "dso"))["kafka"]
    servers = tuple(given.pop("servers"))
    return KafkaAccess(servers, **{what: Path(path) for what, path in given.items()})


class Topics:
    """What comes to some topics from now on."""

    def __init__(self, access: KafkaAccess, names: Sequence[str]) -> None:
        self._settings = access.administrator() or {}
        self._places = [
            (TopicPartition(name, partition), end)
            for name in names
            for partition, end in enumerate(self._ends(name))
        ]

    def read(self) -> list[Found]:
        """Return what has come since, in order of address as far as every partition is in that order."""
        parts = []
        for place, start in self._places:
            parts.append(self._part(place, start))
        return list(heapq.merge(*parts, key=lambda found: found.address))

    def _consumer(self) -> Any:
        return Consumer({**self._settings, "group.id": "tests", "enable.auto.commit": False})

    def _ends(self, name: str) -> list[int]:
        consumer = self._consumer()
        try:
            count = len(consumer.list_topics(name, timeout=20).topics[name].partitions)
            return [
                consumer.get_watermark_offsets(TopicPartition(name, each), timeout=20)[1]
                for each in range(count)
            ]
        finally:
            consumer.close()

    def _part(self, place: TopicPartition, start: int) -> list[Found]:
        consumer = self._consumer()
        try:
            _, end = consumer.get_watermark_offsets(place, timeout=20)
            found: list[Found] = []
            consumer.assign([TopicPartition(place.topic, place.partition, start)])
            while len(found) < end - start:
                for message in consumer.consume(end - start, 1.0):
                    assert message.error() is None, message.error()
                    headers = dict(message.headers())
                    found.append(Found(place.topic, place.partition, message.key(), message.value(), headers))
            return found
        finally:
            consumer.close()
