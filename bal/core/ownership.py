"""Ownership: which identity may send as which source, whose a topic is, and what that allows on the broker."""

import hashlib
from collections.abc import Iterable

from bal.core.errors import Conflict, Refused
from bal.core.message import Message
from bal.core.source import Grant, Source
from bal.core.topics import (
    NO_RIGHTS,
    Destination,
    Rights,
    TopicMapping,
    accepted_topic,
    certified_topic,
    cim_topic,
    parse_topic,
    pmu_topic,
    readings_topic,
    rejected_topic,
)


def message_of(destination: Destination, body: bytes) -> Message:
    """Return the message of a body held in memory, whatever door it came in by."""
    source, form, device, refusal = destination
    return Message(source, form, body, hashlib.sha256(body).digest(), device, refusal)


def intake_filters(source: Source) -> tuple[str, ...]:
    """Return the filters of every topic that carries documents of `source`."""
    own = (cim_topic(source.name), pmu_topic(source.name, "+"))
    return (*own, *(mapping.topic for mapping in source.topics))


def source_rights(source: Source) -> Rights:
    """Return what whoever sends as `source` may do: write its documents, read its receipts and rejections."""
    return Rights(intake_filters(source), (accepted_topic(source.name), rejected_topic(source.name)))


def reader_rights(source: Source) -> Rights:
    """Return what a reader of `source` may do: subscribe to what is certified of it, whole or point by point."""
    return Rights((), (certified_topic(source.name, "+"), readings_topic(source.name, "+")))


def granted_rights(source: Source, grant: Grant) -> Rights:
    """Return what the subscriber of a grant may do: subscribe to its measuring points one by one."""
    return Rights(
        (),
        tuple(
            topic(source.name, point) for point in grant.points for topic in (certified_topic, readings_topic)
        ),
    )


def service_rights(sources: Iterable[Source]) -> Rights:
    """Return what a BAL may do on a broker outside: read what its own sources send, write what is told and certified."""
    rights = NO_RIGHTS
    for source in sources:
        told = accepted_topic(source.name), rejected_topic(source.name)
        rights |= Rights((*told, *reader_rights(source).subscribe), intake_filters(source))
    return rights


def may_publish(source: Source, topic: str) -> bool:
    """Tell whether `source` may publish to `topic`: its own two, and the foreign ones mapped to them."""
    return source_rights(source).may_publish(topic)


def may_subscribe(source: Source, topic_filter: str) -> bool:
    """Tell whether `source` may subscribe to `topic_filter`: its `accepted` and `rejected`, nothing wider."""
    return source_rights(source).may_subscribe(topic_filter)


class Ownership:
    """The registry of sources as the broker asks for it; immutable, made anew when a registration changes.

    Raises `Conflict` when a foreign topic could be of two sources: nobody could tell then whose a message is.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.name: source for source in sources}
        self._mappings = [
            (mapping, source.name) for source in self._sources.values() for mapping in source.topics
        ]
        self._check()
        self._senders = {
            name: frozenset(source.identities or (name,)) for name, source in self._sources.items()
        }
        self._rights: dict[str, Rights] = {}
        for name, source in self._sources.items():
            for identity in self._senders[name]:
                self._rights[identity] = self._rights.get(identity, NO_RIGHTS) | source_rights(source)
            for identity in source.readers:
                self._rights[identity] = self._rights.get(identity, NO_RIGHTS) | reader_rights(source)
            for grant in source.grants:
                rights = granted_rights(source, grant)
                self._rights[grant.subscriber] = self._rights.get(grant.subscriber, NO_RIGHTS) | rights

    def source(self, name: str) -> Source | None:
        """Return a registration, None when there is none of that name."""
        return self._sources.get(name)

    def rights_of(self, identity: str) -> Rights:
        """Return what `identity` may do on the broker; nothing when it sends as no source."""
        return self._rights.get(identity, NO_RIGHTS)

    def granted(self) -> dict[str, Rights]:
        """Return what every identity may do that sends as a source or reads of one."""
        return dict(self._rights)

    def may_send_as(self, identity: str, source: str) -> bool:
        """Tell whether `identity` may send as `source`."""
        return identity in self._senders.get(source, frozenset())

    def destination(self, topic: str) -> Destination | None:
        """Return what `topic` stands for; None when it carries no documents of a registered source."""
        own = parse_topic(topic)
        if own is not None:
            return own if own.source in self._sources else None
        for mapping, source in self._mappings:
            found = mapping.destination(source, topic)
            if found is not None:
                return found
        return None

    def message(self, identity: str | None, topic: str, body: bytes) -> Message:
        """Return the message that `identity` published; raise `Refused` unless the topic is of a source of its own.

        `None` is an identity that a broker outside has checked already.
        """
        destination = self.destination(topic)
        if destination is None or (
            identity is not None and not self.may_send_as(identity, destination.source)
        ):
            message = "this topic is not one of the sender's own"
            raise Refused(message, remedy="publish to bal/{source}/cim or bal/{source}/pmu/{device}")
        return message_of(destination, body)

    def _check(self) -> None:
        seen: list[tuple[TopicMapping, str]] = []
        for mapping, source in self._mappings:
            for other, owner in seen:
                if mapping.overlaps(other) and (owner != source or mapping != other):
                    message = "a foreign topic of this source could be another's, or stand for two things"
                    raise Conflict(
                        message, subject=source, remedy="map topics that cannot be mistaken for each other"
                    )
            seen.append((mapping, source))
