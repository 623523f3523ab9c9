"""MQTT out: certificates, and flat readings for databuses that read no nested JSON. Not retained, quality of service 1."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import aiomqtt

from bal.core.certified import CertifiedBatch
from bal.core.entry import Entry
from bal.core.errors import Unavailable
from bal.core.instant import instant_text
from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.reading import Reading
from bal.core.topics import certified_topic, readings_topic

Outgoing = tuple[str, bytes]
"""(topic, payload)."""
Send = Callable[[Sequence[Outgoing]], Awaitable[None]]
"""Publishes messages in order, with quality of service 1, and returns once all are acknowledged. `Unavailable`."""
IN_FLIGHT = 512
"""Messages handed to a broker outside before the first of them must be acknowledged."""


def send_each(send: Callable[[str, bytes], Awaitable[None]]) -> Send:
    """Return a `Send` that hands over one message after the other, as fits the embedded broker."""

    async def sequence(messages: Sequence[Outgoing]) -> None:
        for topic, payload in messages:
            await send(topic, payload)

    return sequence


class BrokerSend:
    """A `Send` through any MQTT broker. Connects when first used and anew after the connection broke."""

    def __init__(self, client: Callable[[], aiomqtt.Client]) -> None:
        self._make = client
        self._client: aiomqtt.Client | None = None

    async def __call__(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order; raise `Unavailable` when the broker did not acknowledge all."""
        try:
            client = await self._connected()
            for start in range(0, len(messages), IN_FLIGHT):
                # Tasks start in order and hand over before they wait: the order on the wire is that of `messages`.
                async with asyncio.TaskGroup() as group:
                    for topic, payload in messages[start : start + IN_FLIGHT]:
                        group.create_task(client.publish(topic, payload, qos=1))
        except (aiomqtt.MqttError, ExceptionGroup) as error:
            await self.close()
            if isinstance(error, ExceptionGroup) and error.split(aiomqtt.MqttError)[1] is not None:
                raise
            message = "the MQTT broker did not acknowledge what was published"
            raise Unavailable(message, remedy="it is tried again; check the broker") from error

    async def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            client = self._make()
            client.pending_calls_threshold = IN_FLIGHT
            await client.__aenter__()
            self._client = client
        return self._client

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.__aexit__(None, None, None)
            except aiomqtt.MqttError:
                return


class CertifiedTopics:
    """`bal/{source}/certified/{point}`: one message per measuring point and batch, a JSON array of its certificates.

    An array larger than an MQTT message may be is sent in several. Erasures have no measuring point and go elsewhere.
    """

    name = "mqtt"

    def __init__(self, send: Send, message_bytes: int = MQTT_MESSAGE_BYTES) -> None:
        self._send = send
        self._message_bytes = message_bytes

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Publish the certificates of `sources`; raise `Unavailable`."""
        points: dict[tuple[str, str], list[str]] = {}
        for _, entry, certificate in batch.certificates(sources):
            if isinstance(entry, Reading):
                points.setdefault((entry.source, entry.point), []).append(certificate)
        messages = [
            (certified_topic(source, point), payload)
            for (source, point), certificates in points.items()
            for payload in _arrays(certificates, self._message_bytes)
        ]
        if messages:
            await self._send(messages)


class FlatTopics:
    """`bal/{source}/readings/{point}`: one message per reading, a JSON object whose members are all scalars.

    `value` and `interval` are JSON numbers written exactly as certified (all digits, no exponent); `quality` is the
    codes joined by one space; `address` leads to the certificate; `tx_id` and `anchored_at` are the ledger's.
    """

    name = "mqtt-flat"

    def __init__(self, send: Send) -> None:
        self._send = send

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        """Publish the readings of `sources` in order; raise `Unavailable`."""
        commitment = batch.commitment
        ledger = f'"tx_id":{json.dumps(commitment.tx_id)},"anchored_at":{json.dumps(commitment.time)}'
        messages = [
            (readings_topic(entry.source, entry.point), _flat(str(batch.address(index)), entry, ledger))
            for index, entry in _readings(batch, sources)
        ]
        if messages:
            await self._send(messages)


def _readings(batch: CertifiedBatch, sources: frozenset[str]) -> list[tuple[int, Reading]]:
    entries: Sequence[Entry | None] = batch.entries
    return [
        (index, entry)
        for index, entry in enumerate(entries)
        if isinstance(entry, Reading) and entry.source in sources
    ]


def _flat(address: str, reading: Reading, ledger: str) -> bytes:
    # A reading's texts need no escaping (`Reading`), and a canonical value is a JSON number (RFC 8259, section 6).
    return (
        f'{{"address":"{address}","source":"{reading.source}","point":"{reading.point}",'
        f'"component":"{reading.component}","quantity":"{reading.quantity}","reading_type":"{reading.reading_type}",'
        f'"phase":"{reading.phase}","value":{reading.value},"unit":"{reading.unit}",'
        f'"timestamp":"{instant_text(reading.timestamp)}","interval":{reading.interval},"quality":"{reading.quality}",'
        f'"received_at":"{instant_text(reading.received_at)}",{ledger}}}'
    ).encode()


def _arrays(certificates: Sequence[str], limit: int) -> list[bytes]:
    payloads, some, size = [], list[str](), 2
    for certificate in certificates:
        if some and size + len(certificate) + 1 > limit:
            payloads.append(f"[{','.join(some)}]".encode())
            some, size = [], 2
        some.append(certificate)
        size += len(certificate) + 1
    payloads.append(f"[{','.join(some)}]".encode())
    return payloads
