"""Whether Kafka works: a record written and that very record read. Blocking."""

import secrets
import time
from collections.abc import Mapping
from typing import Any

from bal.core.errors import Unavailable
from bal.publish.kafka.access import library


def round_trip(settings: Mapping[str, Any], topic: str, seconds: float) -> None:
    """Write a record to partition 0 of `topic`, acknowledged by all replicas, and read it. Raises `Unavailable`."""
    kafka = library("confluent_kafka")
    token = secrets.token_bytes(16)
    try:
        offset = _write(kafka, settings, topic, token, seconds)
        found = _read(kafka, settings, topic, offset, seconds)
    except kafka.KafkaException as error:
        raise _silent(topic, error.args[0].name()) from error
    if found != token:
        raise _silent(topic, "it gives another record than it took")


def _write(kafka: Any, settings: Mapping[str, Any], topic: str, token: bytes, seconds: float) -> int:
    told: list[tuple[Any, Any]] = []
    producer = kafka.Producer({**settings, "acks": "all", "message.timeout.ms": int(seconds * 1000)})
    producer.produce(topic, token, partition=0, on_delivery=lambda *answer: told.append(answer))
    producer.flush(seconds)
    if not told:
        raise _silent(topic, "no acknowledgement")
    ((error, message),) = told
    if error is not None:
        raise _silent(topic, error.name())
    return int(message.offset())


def _read(kafka: Any, settings: Mapping[str, Any], topic: str, offset: int, seconds: float) -> bytes | None:
    # The group is named and never joined: the partition is assigned by hand.
    consumer = kafka.Consumer({**settings, "group.id": "bal-health", "enable.auto.commit": False})
    try:
        consumer.assign([kafka.TopicPartition(topic, 0, offset)])
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                return bytes(message.value())
    finally:
        consumer.close()
    return None


def _silent(topic: str, why: str) -> Unavailable:
    message = f"Kafka does not take and give a record ({why})"
    return Unavailable(message, subject=topic, remedy="look at the log of Kafka")
