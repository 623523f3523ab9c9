"""Topics and rights follow from the registrations: who writes, who reads what, and nobody else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from bal.core.errors import Conflict, Unavailable
from bal.core.source import Source
from bal.publish.kafka.access import KafkaAccess
from bal.publish.kafka.rights import KafkaAdministrator, Right, groups_of, may_read, may_write
from bal.publish.kafka.topics import (
    CERTIFIED,
    GRANTED,
    certified_topic,
    granted_topic,
    read_families,
    rejected_topic,
)

_log = structlog.get_logger()
_EFFECT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


async def _nobody() -> Sequence[str]:
    return ()


class KafkaTopics:
    """Makes the topics that registrations and reports need and gives and takes the rights to them.

    Without an administrator's certificate it does nothing: somebody else makes topics and rights then, and a source whose
    topic is missing is parked.
    """

    where = "kafka"

    def __init__(
        self, access: KafkaAccess, report_readers: Callable[[], Awaitable[Sequence[str]]] = _nobody
    ) -> None:
        """`report_readers` tells who may read what was refused, beside this BAL itself."""
        self._access = access
        self._report_readers = report_readers
        self._families = read_families(access.topics)
        self._compared: set[str] = set()
        self._turn = asyncio.Lock()

    async def grant(self, sources: Sequence[Source]) -> None:
        """Let Kafka be as these registrations, all there are, want it; again is no harm.

        Raises `Unavailable`, `Refused`, and `Conflict` when another BAL writes to a topic of theirs: the others are done
        all the same.
        """
        async with self._turn:
            await asyncio.to_thread(self._grant, sources, await self._report_readers())

    def _grant(self, sources: Sequence[Source], report_readers: Sequence[str]) -> None:
        settings = self._access.administrator()
        if settings is None:
            return
        administrator, me = KafkaAdministrator(settings), self._access.principal
        standing, there = administrator.rights(), administrator.topics()
        taken = written_by_others(me, standing)
        mine = [
            source
            for source in sources
            if ("kafka" in source.outputs or certified_topic(source.name) in there)
            and certified_topic(source.name) not in taken
        ]
        topics = {**_topics(mine), rejected_topic(me): "rejected"}
        for topic, family in topics.items():
            if topic not in self._compared:
                for difference in administrator.ensure_topic(topic, self._families[family]):
                    _log.warning("topic is not as in the topics file", topic=topic, difference=difference)
                self._compared.add(topic)
        change = changes(me, mine, standing, report_readers)
        administrator.allow(change.given)
        administrator.deny(change.taken)
        _wait_until(administrator, topics, change)
        for source in sources:
            topic = certified_topic(source.name)
            if "kafka" in source.outputs and topic in taken:
                message = f"another BAL, {taken[topic]}, writes to the topic of this source"
                raise Conflict(message, subject=source.name, remedy="give the source another name")


class Changes(NamedTuple):
    """What to change about rights."""

    given: Sequence[Right]
    taken: Sequence[Right]


def written_by_others(me: str, standing: Iterable[Right]) -> Mapping[str, str]:
    """Return the topics of sources that others than `me` write to, with one who does."""
    return {
        right.name: right.principal
        for right in standing
        if right.name.startswith(CERTIFIED) and right.operation == "WRITE" and right.principal != me
    }


def changes(
    me: str, sources: Iterable[Source], standing: Iterable[Right], report_readers: Iterable[str] = ()
) -> Changes:
    """Return what has to change about the rights that stand, so that they are those of the registrations `sources`.

    On the topic of a source: this BAL writes, its readers read, nobody else. On that of what was refused: this BAL writes
    and reads, `report_readers` read. On topics of grants: whoever has none any more reads no longer, unless another BAL
    grants it something. Who reads no topic needs no consumer group.
    """
    rejected = rejected_topic(me)
    wanted = {may_write(me, rejected), *(may_read(reader, rejected) for reader in (me, *report_readers))}
    standing, mine, granted = set(standing), {rejected}, set[str]()
    for source in sources:
        topic = certified_topic(source.name)
        mine.add(topic)
        wanted |= {may_write(me, topic), *(may_read(reader, topic) for reader in source.readers)}
        for grant in source.grants:
            own = granted_topic(grant.subscriber)
            granted.add(own)
            wanted |= {may_write(me, own), may_read(grant.subscriber, own)}
    taken = {right for right in standing if right.kind == "TOPIC" and right.name in mine} - wanted
    for right in standing:
        if (
            right.name.startswith(GRANTED)
            and right == may_write(me, right.name)
            and right.name not in granted
        ):
            writers = {each.principal for each in standing if each == may_write(each.principal, right.name)}
            subscriber = right.name.removeprefix(GRANTED)
            taken |= {right} if writers - {me} else {right, may_read(subscriber, right.name)} & standing
    readers = {right.principal for right in wanted if _reads(right)}
    left = {right.principal for right in (standing | wanted) - taken if _reads(right)}
    for reader in {right.principal for right in taken if _reads(right)} - left:
        taken |= set(groups_of(reader)) & standing
    wanted |= {right for reader in readers for right in groups_of(reader)}
    return Changes(sorted(wanted - standing), sorted(taken))


def _wait_until(administrator: KafkaAdministrator, topics: Iterable[str], change: Changes) -> None:
    """Return once the broker itself goes by the changes. `Unavailable`.

    What its controller has taken, a broker follows a moment later: a source would be refused meanwhile and parked.
    """
    end = time.monotonic() + _EFFECT_SECONDS
    while True:
        standing = set(administrator.rights()) if change.given or change.taken else set()
        if not set(change.given) - standing and not set(change.taken) & standing:
            missing = set(topics) - administrator.topics()
            if not missing:
                return
        if time.monotonic() > end:
            message = "topics and rights were made and have no effect yet"
            raise Unavailable(message, remedy="look at Kafka; it is tried again")
        time.sleep(_POLL_SECONDS)


def _topics(sources: Iterable[Source]) -> dict[str, str]:
    """Return the topics that sources need, each with its family."""
    found = {certified_topic(source.name): "certified" for source in sources}
    return found | {
        granted_topic(grant.subscriber): "granted" for source in sources for grant in source.grants
    }


def _reads(right: Right) -> bool:
    return right.kind == "TOPIC" and right.operation == "READ"
