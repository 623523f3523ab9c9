"""Kafka in tests: a BAL on the real broker, and everything that stands on a topic, read by the administrator."""

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from bal.core.address import Address
from bal.publish.kafka import KafkaAccess
from bal.publish.kafka.access import librdkafka
from bal.stack.server import Guest
from tests.patience import PATIENCE
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
            parts.append(_part(self._settings, place, start))
        return list(heapq.merge(*parts, key=lambda found: found.address))

    def _ends(self, name: str) -> list[int]:
        return _ends(self._settings, name)


class Stream:
    """Everything on one topic, as a subscriber gets it: by its own certificate, from the beginning."""

    def __init__(self, subscriber: KafkaAccess, topic: str) -> None:
        """Take the certificate of one that may read `topic`."""
        self.topic = topic
        self._settings = {
            **librdkafka(subscriber.servers, subscriber.ca, subscriber.certificate, subscriber.key),
            "group.id": subscriber.principal,
        }

    def count(self) -> int:
        """Return how many records stand there."""
        return sum(_ends(self._settings, self.topic))

    def read(self) -> list[list[Found]]:
        """Return the records of each partition, in its order."""
        count = len(_ends(self._settings, self.topic))
        return [_part(self._settings, TopicPartition(self.topic, each), 0) for each in range(count)]


def _consumer(settings: dict[str, Any]) -> Any:
    return Consumer({"group.id": "tests", "enable.auto.commit": False, **settings})


def _ends(settings: dict[str, Any], name: str) -> list[int]:
    consumer = _consumer(settings)
    try:
        topic = consumer.list_topics(name, timeout=PATIENCE).topics[name]
        assert topic.error is None, topic.error
        count = len(topic.partitions)
        places = [TopicPartition(name, each) for each in range(count)]
        return [consumer.get_watermark_offsets(each, timeout=PATIENCE)[1] for each in places]
    finally:
        consumer.close()


def _part(settings: dict[str, Any], place: TopicPartition, start: int) -> list[Found]:
    consumer = _consumer(settings)
    try:
        _, end = consumer.get_watermark_offsets(place, timeout=PATIENCE)
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
