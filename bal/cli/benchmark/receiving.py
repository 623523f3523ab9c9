"""A subscriber on Kafka that notes when the readings of each document have come."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from bal.core.errors import Unavailable

_MARK: Final = b'"timestamp":"'
_LENGTH: Final = len("2026-01-01T00:00:00")
_AT_ONCE: Final = 2000
_POLL_SECONDS: Final = 0.05


class Receiving:
    """Reads a topic from its begin on, on a thread of its own; readings are known by their time, one document's each."""

    def __init__(self, kafka: Any, settings: Mapping[str, Any], topic: str) -> None:
        """`kafka` is the module confluent_kafka; `settings` name a certificate that may read `topic`."""
        self._kafka = kafka
        self._consumer = kafka.Consumer(
            {**settings, "group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 20}
        )
        self._topic = topic
        self.arrived: dict[bytes, list[tuple[float, int]]] = {}
        """By time of the readings: when (monotonic) how many of them came."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="kafka reader", daemon=True)

    def start(self) -> None:
        """Begin. Raises `Unavailable` when the topic cannot be seen."""
        found = self._consumer.list_topics(self._topic, timeout=20).topics[self._topic]
        if found.error is not None or not found.partitions:
            message = "the reader of the bench does not see its topic"
            raise Unavailable(message, subject=self._topic, remedy="look at the log of Kafka")
        self._consumer.assign(
            [self._kafka.TopicPartition(self._topic, number, 0) for number in found.partitions]
        )
        self._thread.start()

    def count(self, moment: bytes) -> int:
        """Return how many readings of one time have come."""
        return sum(count for _, count in self.arrived.get(moment, ()))

    def close(self) -> None:
        """End."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._ending.is_set():
            messages = self._consumer.consume(_AT_ONCE, _POLL_SECONDS)
            if not messages:
                continue
            now = time.monotonic()
            moments = Counter(_moment(message.value()) for message in messages if message.error() is None)
            for moment, count in moments.items():
                self.arrived.setdefault(moment, []).append((now, count))


def _moment(value: bytes) -> bytes:
    """Return the time of a certified reading to the second, without parsing its certificate."""
    at = value.find(_MARK) + len(_MARK)
    return value[at : at + _LENGTH]
