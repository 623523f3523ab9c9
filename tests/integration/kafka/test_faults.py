"""What the publisher does when Kafka refuses, goes away, or is killed."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from bal.core.errors import PublishRefused, Unavailable
from bal.publish.kafka import KafkaAccess, KafkaPublisher, KafkaTopics, certified_topic
from bal.publish.kafka.rights import KafkaAdministrator
from bal.publish.kafka.topics import Family
from tests.integration.kafka.conftest import batch_of, publishing, source
from tests.patience import PATIENCE
from tests.real import Real
from tests.streams import Found, Topics

TOPICS = """
[certified]
partitions = 2
[certified.config]
"max.message.bytes" = {bytes}
[granted]
partitions = 1
"""


async def test_a_source_without_a_topic_is_refused_and_the_others_go_on(bal: KafkaAccess) -> None:
    await KafkaTopics(bal).grant([source("f-there")])
    seen = await asyncio.to_thread(Topics, bal, [certified_topic("f-there")])
    both = frozenset({"f-there", "f-missing"})
    async with publishing(bal) as publisher:
        with pytest.raises(PublishRefused, match=r"bal\.certified\.f-missing is not there") as refused:
            await publisher.publish(batch_of(0, "f-there", "f-missing"), both)
        assert refused.value.source == "f-missing"
        await publisher.publish(batch_of(0, "f-there", "f-missing"), both - {refused.value.source})
        found = await asyncio.to_thread(seen.read)
        assert [each.address.index for each in found] == [0, 1, 2, 3]
        await KafkaTopics(bal).grant([source("f-there"), source("f-missing")])
        await publisher.publish(batch_of(0, "f-there", "f-missing"), frozenset({"f-missing"}))


async def test_a_certificate_too_large_for_its_topic_is_refused_and_the_others_go_on(
    bal: KafkaAccess, tmp_path: Path
) -> None:
    (tmp_path / "topics.toml").write_text(TOPICS.format(bytes=300))
    small = dataclasses.replace(bal, topics=tmp_path / "topics.toml")
    await KafkaTopics(small).grant([source("f-small")])
    await KafkaTopics(bal).grant([source("f-usual")])
    both = frozenset({"f-small", "f-usual"})
    async with publishing(bal) as publisher:
        with pytest.raises(PublishRefused, match="does not take a record that large") as refused:
            await publisher.publish(batch_of(0, "f-small", "f-usual"), both)
        assert refused.value.source == "f-small"
        seen = await asyncio.to_thread(Topics, bal, [certified_topic("f-usual")])
        await publisher.publish(batch_of(1, "f-small", "f-usual"), frozenset({"f-usual"}))
    assert [str(each.address) for each in await asyncio.to_thread(seen.read)] == [
        f"log-1:1:{index}" for index in range(4, 8)
    ]


async def test_a_topic_that_is_not_as_in_the_file_is_told_and_left_as_it_is(
    bal: KafkaAccess, tmp_path: Path
) -> None:
    administrator = KafkaAdministrator(bal.administrator() or {})
    topic, first = certified_topic("f-partitions"), Family(partitions=2, config={"retention.ms": 60_000})
    assert await asyncio.to_thread(administrator.ensure_topic, topic, first) == []
    assert await asyncio.to_thread(administrator.ensure_topic, topic, first) == []
    other = Family(partitions=4, config={"retention.ms": 70_000})
    assert await asyncio.to_thread(administrator.ensure_topic, topic, other) == [
        "2 partitions, not 4: they never change",
        "retention.ms is 60000, not 70000",
    ]
    assert await asyncio.to_thread(administrator.partitions, topic) == 2


async def test_while_kafka_is_away_publishing_waits_and_goes_on_by_itself(
    bal: KafkaAccess, real: Real
) -> None:
    (process,) = real.server("kafka").processes(real.layout, real.ports("kafka"))
    await KafkaTopics(bal).grant([source("f-away")])
    async with publishing(bal, answer_seconds=5.0) as connected, publishing(bal) as fresh:
        await hand_over(connected, 0, "f-away")
        await asyncio.to_thread(process.kill)
        for publisher in (connected, fresh):
            with pytest.raises(Unavailable, match="did not acknowledge"):
                await publisher.publish(batch_of(1, "f-away"), frozenset({"f-away"}))
        with pytest.raises(Unavailable):
            await KafkaTopics(bal).grant([source("f-away")])
        await asyncio.to_thread(real, "kafka")
        async with asyncio.timeout(PATIENCE):
            await hand_over(connected, 1, "f-away")
            await hand_over(fresh, 2, "f-away")


async def hand_over(
    publisher: KafkaPublisher, seq: int, *names: str, count: int = 4, away: asyncio.Event | None = None
) -> None:
    """Publish a batch until Kafka has it, as a lane does; say when Kafka is away."""
    while True:
        try:
            await publisher.publish(batch_of(seq, *names, count=count), frozenset(names))
        except Unavailable:
            if away is not None:
                away.set()
            await asyncio.sleep(0.2)
        else:
            return


def first_appearances(found: list[Found]) -> dict[bytes, list[tuple[int, int]]]:
    """Return where each measuring point's certificates appear first, in the order of the topic."""
    points: dict[bytes, dict[tuple[int, int], None]] = {}
    for each in found:
        points.setdefault(each.key, {})[each.address.seq, each.address.index] = None
    return {key: list(places) for key, places in points.items()}


async def test_killed_under_load_kafka_has_every_certificate_in_order(bal: KafkaAccess, real: Real) -> None:
    names, batches, count = ("f-one", "f-two"), 40, 200
    await KafkaTopics(bal).grant([source(name) for name in names])
    (process,) = real.server("kafka").processes(real.layout, real.ports("kafka"))
    seen = {name: await asyncio.to_thread(Topics, bal, [certified_topic(name)]) for name in names}
    reached, away = asyncio.Queue[int](), asyncio.Event()

    async def load(publisher: KafkaPublisher) -> None:
        for seq in range(batches):
            reached.put_nowait(seq)
            await hand_over(publisher, seq, *names, count=count, away=away)

    async with publishing(bal, answer_seconds=5.0) as publisher:
        work = asyncio.create_task(load(publisher))
        for stop in (10, 25):
            while await reached.get() < stop:
                pass
            away.clear()
            await asyncio.to_thread(process.kill)
            async with asyncio.timeout(PATIENCE):
                await away.wait()  # a batch met a Kafka that was away, however fast that comes back
            await asyncio.to_thread(real, "kafka")
        await work
    for place, name in enumerate(names):
        found = first_appearances(await asyncio.to_thread(seen[name].read))
        for number, places in enumerate(found[key] for key in sorted(found)):
            assert places == [
                (seq, place * count + index) for seq in range(batches) for index in range(number, count, 2)
            ]
        assert len(found) == 2
