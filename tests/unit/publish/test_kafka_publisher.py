"""The publisher against a producer that fails in every way one does."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors

from bal.core.errors import Misconfigured, PublishRefused, Unavailable
from bal.publish.kafka import KafkaAccess, KafkaPublisher
from bal.publish.kafka.access import library
from tests.certified import readings_of
from tests.patience import PATIENCE

BOTH = frozenset({"dso-a", "dso-b"})


class Batch:
    """Holds so many records."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.records: list[bytes] = []
        self.closed = False

    def append(
        self, *, timestamp: None, key: bytes, value: bytes, headers: list[tuple[str, bytes]]
    ) -> object:
        assert not self.closed
        if len(self.records) >= self.room:
            return None
        self.records.append(dict(headers)["ce_id"])
        return object()

    def close(self) -> None:
        self.closed = True


class Producer:
    """Acknowledges what it is sent, unless `fails` says otherwise."""

    def __init__(self, cluster: "Cluster", **settings: Any) -> None:
        self.cluster, self.settings = cluster, settings
        self.client = SimpleNamespace(close=self._close, fetch_all_metadata=self._topics)
        self._sender = SimpleNamespace(sender_task=None)
        self.ended = False
        cluster.producers.append(self)

    async def _close(self) -> None:
        self.ended = True

    async def start(self) -> None:
        if self.cluster.away:
            raise errors.KafkaConnectionError

    async def partitions_for(self, topic: str) -> set[int]:
        if topic in self.cluster.missing or self.cluster.away:  # aiokafka says the same of both
            raise errors.UnknownTopicOrPartitionError
        return {0, 1, 2}

    async def _topics(self) -> Any:
        if self.cluster.away:
            raise errors.KafkaError("Unable to get cluster metadata over all known brokers")
        return SimpleNamespace(topics=lambda: ALL - self.cluster.missing)

    def create_batch(self) -> Batch:
        return Batch(self.cluster.room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        assert batch.closed
        answer = asyncio.get_running_loop().create_future()
        failure = self.cluster.fails(topic) if self.cluster.fails else None
        if failure is None:
            self.cluster.taken.setdefault((topic, partition), []).extend(batch.records)
            answer.set_result(None)
        elif failure is not SILENCE:
            answer.set_exception(failure)
        return answer


ALL = {f"bal.certified.{source}" for source in BOTH}
SILENCE = Exception("no answer")


class Cluster:
    """What producers reach."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.producers: list[Producer] = []
        self.taken: dict[tuple[str, int], list[bytes]] = {}
        self.missing: set[str] = set()
        self.away = False
        self.fails: Callable[[str], Exception | None] | None = None


class Access(KafkaAccess):
    """Needs no files."""

    @property
    def principal(self) -> str:
        return "bal-a"

    def tls(self) -> Any:
        return None


def publisher(
    cluster: Cluster, answer_seconds: float = PATIENCE, grace_seconds: float = 0.3
) -> KafkaPublisher:
    nowhere = Path("nowhere")
    made = KafkaPublisher(
        Access(("k:1",), nowhere, nowhere, nowhere),
        answer_seconds=answer_seconds,
        grace_seconds=grace_seconds,
    )
    made._kafka = SimpleNamespace(AIOKafkaProducer=lambda **settings: Producer(cluster, **settings))
    return made


@pytest.mark.parametrize(
    "error",
    [
        errors.ProducerFenced("fenced"),
        errors.UnknownProducerId(),
        errors.OutOfOrderSequenceNumber(),
        errors.KafkaConnectionError("gone"),
        errors.NotEnoughReplicasError(),
        errors.KafkaTimeoutError(),
        errors.KafkaError("Unexpected error during batch delivery"),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_producer_in_error_is_made_anew(error: Exception) -> None:
    cluster = Cluster()
    out = publisher(cluster)
    await out.publish(readings_of(0), BOTH)
    await out.publish(readings_of(1), BOTH)
    assert len(cluster.producers) == 1
    cluster.fails = lambda topic: error
    with pytest.raises(Unavailable):
        await out.publish(readings_of(2), BOTH)
    cluster.fails = None
    await out.publish(readings_of(2), BOTH)
    await out.close()
    assert [each.ended for each in cluster.producers] == [True, True]
    assert sum(map(len, cluster.taken.values())) == 18


async def test_a_kafka_that_never_answers_is_given_up() -> None:
    cluster = Cluster()
    out = publisher(cluster, answer_seconds=0.05)
    cluster.fails = lambda topic: SILENCE
    with pytest.raises(Unavailable):
        await out.publish(readings_of(0), BOTH)
    cluster.fails, cluster.away = None, True
    with pytest.raises(Unavailable):
        await out.publish(readings_of(0), BOTH)
    cluster.away = False
    out._answer_seconds = PATIENCE
    await out.publish(readings_of(0), BOTH)
    await out.close()
    assert [each.ended for each in cluster.producers] == [True, True, True]


async def test_cancelled_half_way_the_producer_is_given_up() -> None:
    cluster = Cluster()
    out = publisher(cluster)
    cluster.fails = lambda topic: SILENCE
    publishing = asyncio.create_task(out.publish(readings_of(0), BOTH))
    while not cluster.producers:  # noqa: ASYNC110 - the producer is not ours to wait for
        await asyncio.sleep(0.001)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    cluster.fails = None
    await out.publish(readings_of(0), BOTH)
    await out.close()
    assert len(cluster.producers) == 2


@pytest.mark.parametrize(
    "error",
    [
        errors.TopicAuthorizationFailedError("t"),
        errors.MessageSizeTooLargeError(),
        errors.InvalidTopicError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_only_the_refused_source_is_named(error: Exception) -> None:
    cluster = Cluster()
    out = publisher(cluster)
    cluster.fails = lambda topic: error if topic.endswith("dso-b") else None
    with pytest.raises(PublishRefused) as refused:
        await out.publish(readings_of(0), BOTH)
    assert refused.value.source == "dso-b"
    await out.publish(readings_of(0), BOTH - {"dso-b"})
    await out.close()


async def test_before_anything_is_sent_every_topic_is_asked_for() -> None:
    cluster = Cluster()
    cluster.missing = {"bal.certified.dso-b"}
    out = publisher(cluster)
    with pytest.raises(PublishRefused, match="is not there") as refused:
        await out.publish(readings_of(0), BOTH)
    assert (refused.value.source, cluster.taken) == ("dso-b", {})
    await out.close()


async def test_while_kafka_is_away_no_topic_is_missing() -> None:
    """A source that publishes for the first time just then would be parked."""
    cluster = Cluster()
    out = publisher(cluster)
    await out.publish(readings_of(0), BOTH - {"dso-b"})
    cluster.away = True
    with pytest.raises(Unavailable):
        await out.publish(readings_of(0), BOTH)
    cluster.away = False
    await out.publish(readings_of(0), BOTH)
    await out.close()


async def test_a_topic_made_a_moment_ago_is_asked_for_again() -> None:
    cluster = Cluster()
    cluster.missing = {"bal.certified.dso-b"}
    out = publisher(cluster, grace_seconds=PATIENCE)
    publishing = asyncio.create_task(out.publish(readings_of(0), BOTH))
    await asyncio.sleep(0.01)
    cluster.missing.clear()
    await publishing
    assert sum(map(len, cluster.taken.values())) == 6
    await out.close()


async def test_record_batches_are_cut_and_keep_the_order() -> None:
    cluster = Cluster(room=3)
    out = publisher(cluster)
    batch = readings_of(0, count=40)
    await out.publish(batch, BOTH)
    await out.close()
    for (topic, _), found in cluster.taken.items():
        numbers = [int(each.rpartition(b":")[2]) for each in found]
        assert numbers == sorted(numbers), topic
    assert sum(map(len, cluster.taken.values())) == 40
    (producer,) = cluster.producers
    told = producer.settings
    assert (told["acks"], told["enable_idempotence"], told["compression_type"]) == ("all", True, "zstd")


async def test_nothing_is_connected_before_there_is_something_to_publish() -> None:
    cluster = Cluster()
    out = publisher(cluster)
    await out.publish(readings_of(0), frozenset({"dso-z"}))
    assert cluster.producers == []
    await out.close()


def test_a_missing_library_is_told_with_the_extra_that_has_it() -> None:
    with pytest.raises(Misconfigured) as error:
        library("no_such_kafka_library")
    assert "bal[kafka]" in error.value.remedy


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    there = KafkaAccess(("k:1",), tmp_path / "ca", tmp_path / "crt", tmp_path / "key")
    for ask in (lambda: there.principal, there.tls):
        with pytest.raises(Misconfigured):
            ask()
    assert there.administrator() is None
