"""The publisher: an idempotent producer, made anew whenever it is in error."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from bal.core.certified import CertifiedBatch
from bal.core.errors import PublishRefused, Unavailable
from bal.core.source import Source
from bal.publish.kafka.access import KafkaAccess, library
from bal.publish.kafka.records import Record, records

BATCH_BYTES: Final = 512 * 1024
"""Bytes of a record batch before compression: under the 1 MiB a topic takes, whatever compression does."""
ANSWER_SECONDS: Final = 30.0
"""How long Kafka may take to acknowledge one batch of ours before its producer is given up."""
GRACE_SECONDS: Final = 3.0
"""How long a topic that is not there is looked for before its source is refused."""
_ASKING_SECONDS: Final = 0.2
_REQUEST_MILLISECONDS: Final = 10_000
_END_SECONDS: Final = 5.0
_KEYS: Final = 1 << 17
"""Measuring points whose partition is remembered."""

Place = tuple[str, int]
"""A topic and a partition."""


class KafkaPublisher:
    """`bal.certified.{source}`, and `bal.granted.{subscriber}` for what is granted point by point.

    Connects when first used, so that a Kafka that is away stops nothing but publishing. All records of a batch that go
    to one partition are sent in order, one request after the other. When anything goes wrong the producer is given up and
    the batch comes again by a new one: records appear at least once, their first appearances in order.
    """

    name = "kafka"

    def __init__(
        self,
        access: KafkaAccess,
        sources: Callable[[], Mapping[str, Source]] = dict,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._kafka = library("aiokafka")
        self._errors = library("aiokafka.errors")
        self._partition_of = library("aiokafka.partitioner").DefaultPartitioner()
        self._access = access
        self._sources = sources
        self._answer_seconds = answer_seconds
        self._grace_seconds = grace_seconds
        self._turn = asyncio.Lock()
        self._producer: Any = None
        self._keys: dict[tuple[bytes, int], int] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Return once Kafka has acknowledged every record of `sources`.

        Raises `Unavailable` when Kafka does not answer, `PublishRefused` for a source whose topic is not there, that this
        BAL may not write to, or that does not take a record that large.
        """
        # Apart from the event loop: a full batch is some 6 MB of text.
        found = await asyncio.to_thread(lambda: list(records(batch, sources, self._sources())))
        if found:
            await self.send(found)

    async def send(self, found: Sequence[Record]) -> None:
        """Return once Kafka has acknowledged these records, those of a partition in order. Raises as `publish` does."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._answer_seconds):
                    producer = await self._connected()
                    await self._send(producer, found)
            except PublishRefused:
                raise
            except (self._errors.KafkaError, OSError, TimeoutError) as error:
                self._give_up()
                message = "Kafka did not acknowledge what was published"
                remedy = "it is tried again; check that Kafka runs and takes this BAL's certificate"
                raise Unavailable(message, subject=type(error).__name__, remedy=remedy) from error
            except BaseException:
                self._give_up()  # cancelled half way: what is under way must not mix with what comes
                raise

    async def close(self) -> None:
        """Disconnect. What was acknowledged is Kafka's, nothing else was promised."""
        self._give_up()
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _connected(self) -> Any:
        if self._producer is None:
            producer = self._kafka.AIOKafkaProducer(
                bootstrap_servers=list(self._access.servers),
                client_id=f"bal-{self._access.principal}",
                security_protocol="SSL",
                ssl_context=self._access.tls(),
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=_REQUEST_MILLISECONDS,
            )
            try:
                await producer.start()
            except BaseException:
                await asyncio.shield(_end(producer))
                raise
            self._producer = producer
        return self._producer

    async def _send(self, producer: Any, found: Sequence[Record]) -> None:
        """Send records and wait for every answer. A refusal is told once nothing is under way any more."""
        partitions: dict[str, int] = {}
        for topic, source in {record.topic: record.source for record in found}.items():
            partitions[topic] = await self._partitions(producer, topic, source)
        queues: dict[Place, list[Record]] = {}
        for record in found:
            count = partitions[record.topic]
            queues.setdefault((record.topic, self._partition(record.key, count)), []).append(record)
        outcomes = await asyncio.gather(
            *(self._send_queue(producer, place, queue) for place, queue in queues.items()),
            return_exceptions=True,
        )
        failed = [outcome for outcome in outcomes if outcome is not None]
        if failed:
            self._give_up()  # a refused batch leaves a gap in the producer's sequence numbers
            raise next((each for each in failed if isinstance(each, PublishRefused)), failed[0])

    async def _partitions(self, producer: Any, topic: str, source: str) -> int:
        """Return how many partitions a topic has.

        One that was made a moment ago, or the right to it, may not be known to every broker yet: it is asked for again.
        So it is where no broker answers: only one that tells of topics knows which is not there.
        """
        end = asyncio.get_running_loop().time() + self._grace_seconds
        while True:
            try:
                return len(await producer.partitions_for(topic))
            except self._errors.UnknownTopicOrPartitionError as error:
                late = asyncio.get_running_loop().time() >= end
                if late and topic not in (await producer.client.fetch_all_metadata()).topics():
                    raise _refused(error, topic, source) from error
            except (self._errors.TopicAuthorizationFailedError, self._errors.InvalidTopicError) as error:
                if asyncio.get_running_loop().time() >= end:
                    raise _refused(error, topic, source) from error
            await asyncio.sleep(_ASKING_SECONDS)

    def _partition(self, key: bytes, count: int) -> int:
        """Return the partition of a key, the same one that Kafka's own clients choose (murmur2)."""
        known = self._keys.get((key, count))
        if known is None:
            if len(self._keys) >= _KEYS:
                self._keys.clear()
            everywhere = list(range(count))
            known = self._keys[key, count] = self._partition_of(key, everywhere, everywhere)
        return known

    async def _send_queue(self, producer: Any, place: Place, queue: Sequence[Record]) -> None:
        """Send the records of one partition in order. `PublishRefused` when Kafka refuses them for good."""
        topic, partition = place
        # Apart from the event loop: a full batch's records take a while to be put together. The library compresses on it.
        batches = await asyncio.to_thread(_batches, producer, queue)
        answers = [await producer.send_batch(batch, topic, partition=partition) for batch in batches]
        for answer in answers:
            answer.add_done_callback(_seen)
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if not failed:
            return
        refusing = (
            self._errors.TopicAuthorizationFailedError,
            self._errors.InvalidTopicError,
            self._errors.MessageSizeTooLargeError,
            self._errors.RecordListTooLargeError,
            self._errors.PolicyViolationError,
        )
        # What follows a refused batch fails for that reason: the first one counts.
        if isinstance(failed[0], refusing):
            raise _refused(failed[0], topic, queue[0].source)
        raise failed[0]

    def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            task = asyncio.create_task(_end(producer), name="kafka producer ends")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _batches(producer: Any, queue: Sequence[Record]) -> list[Any]:
    made: list[Any] = []
    for record in queue:
        if not made or not _holds(made[-1], record):
            made.append(producer.create_batch())
            _holds(made[-1], record)  # the first record of a batch always fits
    for each in made:
        each.close()
    return made


def _holds(batch: Any, record: Record) -> bool:
    """Put a record into a record batch; tell whether there was room."""
    put = batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
    return put is not None


async def _end(producer: Any) -> None:
    """Close a producer without waiting for what Kafka may never acknowledge.

    Its own `stop` waits for every answer, and an idempotent producer tries for ever: so its sender is ended first.
    """
    producer._closed = True  # noqa: SLF001
    sending = producer._sender.sender_task  # noqa: SLF001
    if sending is not None:
        sending.cancel()
    with suppress(Exception):
        async with asyncio.timeout(_END_SECONDS):
            await producer.client.close()
    if sending is not None:
        await asyncio.wait([sending], timeout=_END_SECONDS)


def _seen(answer: "asyncio.Future[Any]") -> None:
    """Take note of an answer that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()


def _refused(error: BaseException, topic: str, source: str) -> PublishRefused:
    what = {
        "UnknownTopicOrPartitionError": "is not there",
        "TopicAuthorizationFailedError": "is not there, or not this BAL's to write to",
        "MessageSizeTooLargeError": "does not take a record that large",
    }.get(type(error).__name__, "refuses its records")
    remedy = "register the source again with an administrator of Kafka, then `bal republish`"
    return PublishRefused(f"topic {topic} {what}", source=source, remedy=remedy)
