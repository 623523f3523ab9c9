"""The field broker of a home: its own, or one outside that it is a client of."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bal.bootstrap.broker import broker_access
from bal.bootstrap.identities import accounts, authority, server_certificate
from bal.bootstrap.writing import Opened
from bal.core.errors import Unavailable
from bal.core.source import Source
from bal.ingest import (
    BrokerSettings,
    EmbeddedBroker,
    EmbeddedInbox,
    Intake,
    MqttInbox,
    MqttSettings,
    session_name,
)
from bal.pki import RevocationList
from bal.ports import Inbox, Publisher
from bal.publish import BrokerSend, CertifiedTopics, FlatTopics, send_each


@dataclass(frozen=True, slots=True)
class Field:
    """The field broker, not opened yet."""

    inboxes: Mapping[str, Inbox]
    """By lane."""
    open: Callable[[], Awaitable[str]]
    """Opens it; returns host:port."""
    close: Callable[[], Awaitable[None]]
    subscribed: Sequence[asyncio.Event] = ()
    """Of a broker outside: set once it keeps for the lanes what is sent; before, it would throw that away."""


def field_broker(opened: Opened) -> Field:
    """Make the field broker: its inboxes feed the lanes, the lanes feed its certified topics."""
    return _embedded(opened) if opened.settings.mqtt.broker == "embedded" else _outside(opened)


def _embedded(opened: Opened) -> Field:
    settings, registry = opened.settings.mqtt, opened.registry
    ca = authority(opened.home, opened.settings)
    certificate, key = server_certificate(opened.home, opened.settings)
    where = BrokerSettings(
        ca=ca.certificate_path,
        certificate=certificate,
        key=key,
        host=settings.host,
        port=settings.port,
        connections=settings.max_connections,
    )
    broker = EmbeddedBroker(
        where,
        rights_of=lambda identity: registry.ownership().rights_of(identity),
        is_revoked=RevocationList(ca.certificate_path, ca.crl_path).is_revoked,
        accounts=accounts(opened.home),
    )
    inboxes = {name: EmbeddedInbox(broker.send) for name in opened.service.pipeline.lanes}

    def inbox_of(source: str) -> EmbeddedInbox | None:
        registered = registry.all().get(source)
        if registered is None or registry.is_moving(source):
            return None
        return inboxes.get(registered.lane)

    broker.serve(Intake(registry.ownership, inbox_of, broker.send))
    _put(opened.publishers, CertifiedTopics(send_each(broker.send)), FlatTopics(send_each(broker.send)))

    async def start() -> str:
        await broker.start()
        return f"{settings.host}:{broker.port}"

    return Field(inboxes, start, broker.stop)


class Subscriptions:
    """Keeps what the lanes are subscribed to with the registrations."""

    where = "mqtt"

    def __init__(self, inboxes: Sequence[MqttInbox]) -> None:
        self._inboxes = inboxes

    async def grant(self, sources: Sequence[Source]) -> None:
        """Subscribe to the topics of new sources, leave those of others."""
        del sources  # each inbox asks the registry for those of its lane
        for inbox in self._inboxes:
            await inbox.refresh()


def _outside(opened: Opened) -> Field:
    settings, registry = opened.settings.mqtt, opened.registry

    def client(part: str) -> MqttSettings:
        return broker_access(settings, session_name(settings.identity, part, opened.keys.lookup))

    def of_lane(lane: str) -> Callable[[], list[Source]]:
        return lambda: [source for source in registry.all().values() if source.lane == lane]

    inboxes = {lane: MqttInbox(client(lane), of_lane(lane)) for lane in opened.service.pipeline.lanes}
    send = BrokerSend(lambda: client("out").client(persistent=False))
    _put(opened.publishers, CertifiedTopics(send), FlatTopics(send))
    opened.places.append(Subscriptions(list(inboxes.values())))

    async def start() -> str:
        if opened.rights is not None:  # before anything is subscribed to
            with suppress(
                Unavailable
            ):  # a broker that is away: the inboxes wait for it, and `Granting` tries again
                await opened.rights.grant(list(registry.all().values()))
        return f"{settings.host}:{settings.port}"

    return Field(inboxes, start, send.close, [inbox.subscribed for inbox in inboxes.values()])


def _put(publishers: list[Publisher], *outputs: Publisher) -> None:
    for output in outputs:
        place = next(i for i, publisher in enumerate(publishers) if publisher.name == output.name)
        publishers[place] = output
