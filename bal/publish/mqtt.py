"""MQTT out: certificates, and flat readings for databuses that read no nested JSON. Not retained, quality of service 1."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiomqtt
from paho.mqtt.client import Client
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bal.core.certified import CertifiedBatch
from bal.core.entry import Entry
from bal.core.errors import PublishRefused, Unavailable
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
_IDENTIFIERS: Final = 65_535
_RIGHTS_SECONDS: Final = (0.2, 1.0, 3.0)
"""How long to wait for rights that are on their way, again and again."""


def send_each(send: Callable[[str, bytes], Awaitable[None]]) -> Send:
    """Return a `Send` that hands over one message after the other, as fits the embedded broker."""

    async def sequence(messages: Sequence[Outgoing]) -> None:
        for topic, payload in messages:
            await send(topic, payload)

    return sequence


class BrokerSend:
    """A `Send` through any MQTT broker. Connects when first used and anew after the connection broke.

    With a client of MQTT 5 it notices what the broker throws away; one of 3.1.1 is not told. One connection serves every
    output and lane, in turns: what the broker refuses of one window must not be taken for an answer to another.
    """

    def __init__(self, client: Callable[[], aiomqtt.Client]) -> None:
        self._make = client
        self._client: aiomqtt.Client | None = None
        self._turn = asyncio.Lock()
        self._refused: dict[int, str] = {}
        """Packet identifiers of what the broker threw away, with its reason."""

    async def __call__(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order.

        Raises `Unavailable` when the broker did not acknowledge all, `PublishRefused` when it lets nobody publish so
        for a source, also after a while: its rights may be on their way.
        """
        for pause in (*_RIGHTS_SECONDS, None):
            async with self._turn:  # and not while waiting: others go on meanwhile
                refused = await self._send_all(messages)
            if refused is None:
                return
            if pause is None:
                topic, reason = refused
                message = f"the MQTT broker takes nothing of what is certified of this source ({reason})"
                raise PublishRefused(
                    message, source=topic.split("/")[1], remedy="grant it in the broker's rights"
                )
            await asyncio.sleep(pause)

    async def _send_all(self, messages: Sequence[Outgoing]) -> tuple[str, str] | None:
        """Return topic and reason of the first message that was refused; what comes after its window was not sent."""
        try:
            client = await self._connected()
            for start in range(0, len(messages), IN_FLIGHT):
                window = messages[start : start + IN_FLIGHT]
                refused = await self._send_window(client, window)
                if refused is not None:
                    await self._disconnect()  # Mosquitto 2.0 does so itself after it said what it refuses
                    return refused
        except aiomqtt.MqttError as error:
            await self._disconnect()
            message = "the MQTT broker did not acknowledge what was published"
            raise Unavailable(message, remedy="it is tried again; check the broker") from error
        return None

    async def _send_window(
        self, client: aiomqtt.Client, window: Sequence[Outgoing]
    ) -> tuple[str, str] | None:
        self._refused.clear()
        last = client._client._last_mid  # noqa: SLF001 - aiomqtt 2 does not tell packet identifiers
        # Tasks start in order and hand over before they wait: the order on the wire is that of `window`.
        sent: asyncio.Future[Any] = asyncio.gather(
            *(client.publish(topic, payload, qos=1) for topic, payload in window)
        )
        ended: asyncio.Future[Any] = client._disconnected  # noqa: SLF001 - aiomqtt waits for acknowledgements until its time is over
        try:
            await asyncio.wait([sent, ended], return_when=asyncio.FIRST_COMPLETED)
            for place, (topic, _) in enumerate(window):
                reason = self._refused.get((last + place) % _IDENTIFIERS + 1)
                if reason is not None:
                    return topic, reason
            if not sent.done():
                message = "the connection ended"
                raise aiomqtt.MqttError(message)
            sent.result()
        finally:
            sent.cancel()
            await asyncio.wait({sent})
            if not sent.cancelled():
                sent.exception()
        return None

    async def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            client = self._make()
            client.pending_calls_threshold = IN_FLIGHT
            self._listen(client._client)  # noqa: SLF001 - nor why something was refused
            await client.__aenter__()
            self._client = client
        return self._client

    def _listen(self, paho: Client) -> None:
        """Keep the reasons of what the broker acknowledges and throws away (MQTT 5, 3.4.2.1)."""
        acknowledged: Any = paho.on_publish

        def noting(
            client: Client, userdata: Any, identifier: int, reason: ReasonCode, properties: Properties
        ) -> None:
            if reason.is_failure:
                self._refused[identifier] = reason.getName().lower()
            acknowledged(client, userdata, identifier, reason, properties)

        paho.on_publish = noting

    async def close(self) -> None:
        """Disconnect, once nothing is being sent."""
        async with self._turn:
            await self._disconnect()

    async def _disconnect(self) -> None:
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
