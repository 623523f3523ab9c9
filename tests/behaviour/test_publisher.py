"""What every output must do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bal.core.certified import CertifiedBatch
from bal.core.reading import Reading
from bal.core.source import Source
from bal.core.topics import ALL_RIGHTS
from bal.ports import Publisher
from bal.publish import BrokerSend, CertifiedTopics, EventStream, FlatTopics, JsonLines, send_each
from bal.publish.kafka import KafkaPublisher, KafkaTopics, certified_topic
from tests.brokers import running
from tests.certified import certified, erasure, readings_of
from tests.mosquitto_field import MosquittoField, done
from tests.patience import PATIENCE
from tests.real import Real
from tests.streams import Topics, access

BOTH = frozenset({"dso-a", "dso-b"})


@dataclass
class Output:
    publisher: Publisher
    seen: Callable[[], Awaitable[list[tuple[str, str]]]]
    """(address, canonical text of what identifies it) of everything handed out, in order."""
    restart: Callable[[], Publisher]
    holds_erasures: bool = True
    exactly_once: bool = False


def addresses(batch: CertifiedBatch, sources: frozenset[str] = BOTH) -> list[str]:
    return [str(batch.address(index)) for index, _, _ in batch.certificates(sources)]


class Collected:
    """A broker that keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.messages.extend(messages)

    def found(self) -> list[tuple[str, str]]:
        found = []
        for topic, payload in self.messages:
            told = json.loads(payload)
            found += [(one["address"], topic) for one in (told if isinstance(told, list) else [told])]
        return found


def jsonl(tmp_path: Path) -> Output:
    async def seen() -> list[tuple[str, str]]:
        lines = []
        for path in sorted(tmp_path.glob("out/*/*.jsonl")):
            lines += [
                (json.loads(line)["address"], path.parent.name) for line in path.read_text().splitlines()
            ]
        return lines

    return Output(JsonLines(tmp_path / "out"), seen, lambda: JsonLines(tmp_path / "out"), exactly_once=True)


def topics(kind: type[CertifiedTopics] | type[FlatTopics]) -> Output:
    broker = Collected()

    async def seen() -> list[tuple[str, str]]:
        return broker.found()

    return Output(kind(broker.send), seen, lambda: kind(broker.send), holds_erasures=False)


def stream() -> Output:
    hub = EventStream()
    subscription = hub.subscribe(BOTH)
    found: list[tuple[str, str]] = []

    async def seen() -> list[tuple[str, str]]:
        while subscription._events:
            event = await anext(subscription)
            found.append((event.id, event.source))
        return found

    return Output(hub, seen, lambda: hub)


@asynccontextmanager
async def kafka(real: Real) -> AsyncIterator[Output]:
    reached = access(real)
    await KafkaTopics(reached).grant(
        [Source(name=name, lane="bal-1", outputs=("kafka",)) for name in sorted(BOTH)]
    )
    topics = await asyncio.to_thread(Topics, reached, [certified_topic(name) for name in sorted(BOTH)])
    opened: list[KafkaPublisher] = []

    async def seen() -> list[tuple[str, str]]:
        found = await asyncio.to_thread(topics.read)
        return [(json.loads(each.value)["address"], each.topic) for each in found]

    def restart() -> Publisher:
        opened.append(KafkaPublisher(reached))
        return opened[-1]

    yield Output(restart(), seen, restart)
    for publisher in opened:
        await publisher.close()


@pytest.fixture(scope="module")
def field(real: Real) -> Iterator[MosquittoField]:
    """Put rights in force by which a reader reads both sources, once for all tests."""
    sources = [Source(name=name, lane="bal-1", readers=("out-reader",)) for name in sorted(BOTH)]
    found = MosquittoField(real, "out-bal", sources)
    done(found.rights.grant(sources))
    with found.folder.writing():
        found.folder.put(
            "out-end", "user out-end\ntopic write bal-tests/end\nuser out-reader\ntopic read bal-tests/end\n"
        )
        assert found.folder.tell()
    yield found
    done(found.take_back())


@asynccontextmanager
async def mosquitto(
    field: MosquittoField, kind: type[CertifiedTopics] | type[FlatTopics]
) -> AsyncIterator[Output]:
    """Publish to the real broker; what is seen is what a reader was sent."""
    opened: list[BrokerSend] = []
    kept = Collected()

    def restart() -> Publisher:
        opened.append(BrokerSend(lambda: field.access(f"out-{len(opened)}").client(persistent=False)))
        return kind(opened[-1])

    async with field.client("out-reader") as reader:
        await reader.subscribe([("bal/+/certified/+", 1), ("bal/+/readings/+", 1), ("bal-tests/end", 1)])

        async def seen() -> list[tuple[str, str]]:
            async with field.client("out-end") as last:
                await last.publish("bal-tests/end", b"", qos=1)
            async with asyncio.timeout(PATIENCE):
                async for message in reader.messages:
                    if str(message.topic) == "bal-tests/end":
                        return kept.found()
                    assert isinstance(message.payload, bytes)
                    kept.messages.append((str(message.topic), message.payload))
            raise AssertionError

        yield Output(restart(), seen, restart, holds_erasures=False)
    for send in opened:
        await send.close()


@pytest.fixture(
    params=[
        "jsonl",
        "mqtt",
        "mqtt-flat",
        "events",
        *(pytest.param(name, marks=pytest.mark.real) for name in ("kafka", "mosquitto", "mosquitto-flat")),
    ]
)
async def output(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Output]:
    match request.param:
        case "kafka":
            async with kafka(request.getfixturevalue("real")) as found:
                yield found
        case "mosquitto" | "mosquitto-flat":
            kind = CertifiedTopics if request.param == "mosquitto" else FlatTopics
            async with mosquitto(request.getfixturevalue("field"), kind) as found:
                yield found
        case "jsonl":
            yield jsonl(tmp_path)
        case "mqtt":
            yield topics(CertifiedTopics)
        case "mqtt-flat":
            yield topics(FlatTopics)
        case _:
            yield stream()


async def test_every_reading_of_the_asked_sources_goes_out_and_no_other(output: Output) -> None:
    batch = readings_of(0)
    await output.publisher.publish(batch, frozenset({"dso-a"}))
    assert sorted(address for address, _ in await output.seen()) == addresses(batch, frozenset({"dso-a"}))
    assert all("dso-a" in place for _, place in await output.seen())


async def test_order_per_measuring_point_holds_over_batches(output: Output) -> None:
    batches = [readings_of(seq) for seq in range(3)]
    for batch in batches:
        await output.publisher.publish(batch, BOTH)
    found = [address for address, _ in await output.seen()]
    expected: dict[tuple[str, str], list[str]] = {}
    for batch in batches:
        for index, entry, _ in batch.certificates():
            assert isinstance(entry, Reading)
            expected.setdefault((entry.source, entry.point), []).append(str(batch.address(index)))
    assert sorted(found) == sorted(address for some in expected.values() for address in some)
    for some in expected.values():
        assert [address for address in found if address in some] == some


async def test_a_batch_again_after_a_crash_goes_out_at_least_once(output: Output) -> None:
    first, second = readings_of(0), readings_of(1)
    await output.publisher.publish(first, BOTH)
    await output.publisher.publish(second, BOTH)
    again = output.restart()
    await again.publish(second, BOTH)
    await again.publish(readings_of(2), BOTH)
    found = [address for address, _ in await output.seen()]
    assert set(found) == {*addresses(first), *addresses(second), *addresses(readings_of(2))}
    if output.exactly_once:
        assert len(found) == len(set(found))


async def test_erased_entries_do_not_go_out(output: Output) -> None:
    whole = readings_of(0)
    entries = [None if index == 2 else entry for index, entry in enumerate(whole.entries)]
    batch = CertifiedBatch(whole.commitment, entries, whole.salts, whole.leaves)
    await output.publisher.publish(batch, BOTH)
    found = [address for address, _ in await output.seen()]
    assert sorted(found) == [address for address in addresses(whole) if address != "log-1:0:2"]


async def test_notes_of_erasures(output: Output) -> None:
    batch = certified([erasure("log-1:0:2"), *readings_of(0).entries[:1]], 1)  # type: ignore[list-item]
    await output.publisher.publish(batch, BOTH)
    found = [address for address, _ in await output.seen()]
    assert found == (["log-1:1:0", "log-1:1:1"] if output.holds_erasures else ["log-1:1:1"])


async def test_nothing_to_do_is_done(output: Output) -> None:
    await output.publisher.publish(readings_of(0), frozenset())
    await output.publisher.publish(readings_of(0), frozenset({"dso-c"}))
    assert await output.seen() == []


async def test_what_was_parked_is_handed_out_beside_what_is_new(output: Output) -> None:
    old, new = readings_of(0), readings_of(1)
    await asyncio.gather(
        output.publisher.publish(old, frozenset({"dso-a"})),
        output.publisher.publish(new, frozenset({"dso-b"})),
    )
    found = {address for address, _ in await output.seen()}
    assert found == {*addresses(old, frozenset({"dso-a"})), *addresses(new, frozenset({"dso-b"}))}


async def test_a_full_batch_goes_out_whole(output: Output) -> None:
    batch = readings_of(0, count=4096)
    await output.publisher.publish(batch, BOTH)
    assert sorted(address for address, _ in await output.seen()) == sorted(addresses(batch))


async def test_topics_reach_subscribers_of_the_embedded_broker(tmp_path: Path) -> None:
    """In process and through a client, in order, certificates as they stand elsewhere."""
    async with running(tmp_path) as field:
        field.grants["bal-service"] = ALL_RIGHTS
        batch = readings_of(0, count=600)
        through = BrokerSend(lambda: field.client("bal-service", identifier="out"))
        async with field.client("bal-service", identifier="in") as client:
            await client.subscribe("bal/+/certified/+", 1)
            await client.subscribe("bal/+/readings/+", 1)
            for send in (send_each(field.broker.send), through):
                await CertifiedTopics(send).publish(batch, BOTH)
                await FlatTopics(send).publish(batch, BOTH)
                async with asyncio.timeout(PATIENCE):
                    arrays = [await anext(client.messages) for _ in range(4)]
                    flat = [await anext(client.messages) for _ in range(600)]
                certificates = [text for message in arrays for text in json.loads(message.payload)]
                assert {c["address"]: c for c in certificates} == {
                    c["address"]: c for c in (json.loads(text) for _, _, text in batch.certificates())
                }
                assert not any(message.retain for message in [*arrays, *flat])
                assert [json.loads(message.payload)["address"] for message in flat] == addresses(batch)
        await through.close()
