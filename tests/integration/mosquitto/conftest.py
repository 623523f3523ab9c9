"""Two BALs at one broker, somebody who may read everything and somebody who may write everything."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiomqtt
import pytest

from bal.core.source import Source
from bal.core.topics import TopicMapping
from tests.mosquitto_field import MosquittoField
from tests.real import Real

OURS = [
    Source(
        name="dso-x",
        lane="lane-1",
        topics=(TopicMapping(topic="grid/x/+/frames", form="pmu", device_level=2),),
        readers=("reader",),
    ),
    Source(name="dso-y", lane="lane-1", identities=("head-end",)),
]
THEIRS = [Source(name="dso-z", lane="lane-9")]
EVERY_TOPIC = [
    f"bal/{source}/{rest}"
    for source in ("dso-x", "dso-y", "dso-z")
    for rest in ("cim", "pmu/pmu-1", "accepted", "rejected", "certified/point", "readings/point")
] + ["grid/x/pmu-2/frames", "grid/y/pmu-2/frames", "somewhere/else", "dso-x"]


@dataclass(frozen=True)
class Shared:
    """The broker with everybody's rights in force."""

    ours: MosquittoField
    theirs: MosquittoField

    @asynccontextmanager
    async def granting(self, sources: Sequence[Source]) -> AsyncIterator[None]:
        """Put other sources of ours in force, for as long as the context lasts."""
        await self.ours.rights.grant(sources)
        try:
            yield
        finally:
            await self.ours.rights.grant(self.ours.sources)

    async def arriving(self, name: str, topic: str, version: aiomqtt.ProtocolVersion) -> set[str]:
        """Return the topics on which something arrives when `name` publishes to `topic`."""
        async with self.ours.client("watcher") as watcher, self.ours.client("author") as author:
            await watcher.subscribe("#", qos=1)
            async with self.ours.client(name, version=version) as client:
                await client.publish(topic, b"from outside", qos=1)
            await author.publish("end", b"", qos=1)
            return await _until_end(watcher)

    async def received(self, name: str, topic_filter: str) -> set[str]:
        """Return the topics `name` gets something of that subscribes to `topic_filter` while everything is published."""
        async with self.ours.client(name) as client, self.ours.client("author") as author:
            await client.subscribe([(topic_filter, 1), ("end", 1)])
            for topic in EVERY_TOPIC:
                await author.publish(topic, b"for somebody", qos=1)
            await author.publish("end", b"", qos=1)
            return await _until_end(client)


async def _until_end(client: aiomqtt.Client) -> set[str]:
    found: set[str] = set()
    async for message in client.messages:
        if str(message.topic) == "end":
            return found
        found.add(str(message.topic))
    raise AssertionError


@pytest.fixture(scope="module")
def shared(real: Real) -> Iterator[Shared]:
    """Put the rights of both BALs' sources in force, and a part for the tests; take them back at the end.

    Whoever changes rights in a test puts them back: each change costs the broker a reading of its files.
    """
    ours, theirs = MosquittoField(real, "our-bal", OURS), MosquittoField(real, "their-bal", THEIRS)
    everybody = ("dso-x", "dso-z", "head-end", "reader", "stranger", "watcher", "our-bal", "their-bal")
    part = "".join(f"user {name}\ntopic read end\n" for name in everybody)
    part += "user watcher\ntopic read #\nuser author\ntopic write #\n"
    _put(ours, part)
    for field in (ours, theirs):
        asyncio.run(field.prepare())
    yield Shared(ours, theirs)
    real("mosquitto")  # a test may have failed while it was away
    _put(ours, "")
    for field in (ours, theirs):
        asyncio.run(field.take_back())


def _put(field: MosquittoField, part: str) -> None:
    with field.folder.writing():
        field.folder.put("tests", part)
        assert field.folder.tell()
