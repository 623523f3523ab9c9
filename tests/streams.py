"""Kafka in tests: a BAL on the real broker, and everything that stands on a topic, read by the administrator."""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

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
        with _consuming(self._settings) as consumer:
            self._starts = [each for name in names for each in _ends(consumer, name)]

    def read(self) -> list[Found]:
        """Return what has come since, in order of address as far as every partition is in that order."""
        with _consuming(self._settings) as consumer:
            parts = _read(consumer, self._starts)
        return list(heapq.merge(*parts, key=lambda found: found.address))


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
        """Return how many records stand there, 0 where there is no such topic."""
        with _consuming(self._settings) as consumer:
            try:
                return sum(each.offset for each in _ends(consumer, self.topic))
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return 0
                raise

    def read(self) -> list[list[Found]]:
        """Return the records of each partition, in its order."""
        with _consuming(self._settings) as consumer:
            partitions = [each.partition for each in _ends(consumer, self.topic)]
            return _read(consumer, [TopicPartition(self.topic, each, 0) for each in partitions])


@contextmanager
def _consuming(settings: dict[str, Any]) -> Iterator[Any]:
    """Yield one consumer: each that connects costs Kafka a handshake and a look at the revocation list."""
    consumer = Consumer({"group.id": "tests", "enable.auto.commit": False, **settings})
    try:
        yield consumer
    finally:
        consumer.close()


def _ends(consumer: Any, name: str) -> list[TopicPartition]:
    """Return where each partition of a topic ends."""
    topic = consumer.list_topics(name, timeout=PATIENCE).topics[name]
    if topic.error is not None:
        raise KafkaException(topic.error)
    return [
        TopicPartition(name, each, _end(consumer, TopicPartition(name, each)))
        for each in range(len(topic.partitions))
    ]


def _end(consumer: Any, place: TopicPartition) -> int:
    end: int = consumer.get_watermark_offsets(place, timeout=PATIENCE)[1]
    return end


def _read(consumer: Any, starts: Sequence[TopicPartition]) -> list[list[Found]]:
    """Return what stands in each partition now, from the offset in `starts` on."""
    counts = {(each.topic, each.partition): _end(consumer, each) - each.offset for each in starts}
    found: dict[tuple[str, int], list[Found]] = {place: [] for place in counts}
    consumer.assign([each for each in starts if counts[each.topic, each.partition]])
    while any(len(found[place]) < count for place, count in counts.items()):
        for message in consumer.consume(500, 1.0):
            assert message.error() is None, message.error()
            place = message.topic(), message.partition()
            if len(found[place]) < counts[place]:
                headers = dict(message.headers())
                found[place].append(Found(*place, message.key(), message.value(), headers))
    return [*found.values()]
