"""Messages from any MQTT 3.1.1 broker: persistent session, quality of service 1, acknowledged by hand and in order."""

import asyncio
import hmac
import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiomqtt
import structlog
from paho.mqtt.client import MQTT_ERR_SUCCESS

from bal.core.errors import BalError, Misconfigured
from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.message import Message, Receipt
from bal.core.ownership import Ownership, intake_filters
from bal.core.source import Source
from bal.ingest.receipts import receipt_messages, rejection_message

log = structlog.get_logger("bal.ingest.mqtt")

IN_FLIGHT = 65_535
"""Rate <= messages in flight / batch window. Set as large on the broker's side (Mosquitto: max_inflight_messages 0)."""
ANSWER_SECONDS = 30.0
"""How long the broker may take to acknowledge: hundreds of messages of 8 MiB may be on their way."""
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)

# paho writes topics into its debug log, and topics may name meters.
_paho_log = logging.getLogger("bal.ingest.mqtt.paho")
_paho_log.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """A broker and who the BAL is there. `certificate` and `key` or `username` and `password`."""

    host: str
    port: int
    client_id: str
    """Fixed: the session on the broker belongs to it. One lane, one client identifier (`session_name`)."""
    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    username: str | None = None
    password: str | None = None
    keepalive: int = 30

    def tls(self) -> ssl.SSLContext:
        """Return the TLS settings; raise `Misconfigured` when a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            message = "the certificates for the MQTT broker cannot be used"
            raise Misconfigured(message, subject=self.host, remedy="check the paths") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def client(self, *, persistent: bool) -> aiomqtt.Client:
        """Return a client that is not connected yet, of MQTT 3.1.1 when its session is to be kept, else of MQTT 5.

        MQTT 5 is for what publishes: in 3.1.1 a broker acknowledges also what it throws away for want of rights.
        """
        return aiomqtt.Client(
            self.host,
            self.port,
            identifier=self.client_id,
            protocol=aiomqtt.ProtocolVersion.V311 if persistent else aiomqtt.ProtocolVersion.V5,
            clean_session=False if persistent else None,
            username=self.username,
            password=self.password,
            tls_context=self.tls(),
            keepalive=self.keepalive,
            timeout=ANSWER_SECONDS,
            max_inflight_messages=IN_FLIGHT,
            logger=_paho_log,
        )


def session_name(identity: str, part: str, secret: bytes) -> str:
    """Return the client identifier of a lane's session, or of another connection, of a BAL at a broker outside.

    The same for the same arguments. Nobody who lacks `secret` can name it: a broker hands a session, with all that
    waits in it, to whoever logs in with its name (MQTT 3.1.1, 3.1.4), whatever certificate that is.
    """
    digest = hmac.digest(secret, f"mqtt session\0{identity}\0{part}".encode(), "sha256")
    return f"{identity}.{part}.{digest[:12].hex()}"


class _Connected:
    """One connection: what came over it and is not acknowledged yet, in order of receipt."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.alive = True
        self._unsettled: deque[list[int]] = deque()

    @property
    def unsettled(self) -> bool:
        """Whether a message is not settled yet."""
        return bool(self._unsettled)

    def received(self, packet_id: int, qos: int) -> list[int]:
        """Remember a message; the list's last member becomes 1 once it is settled."""
        place = [packet_id, qos, 0]
        self._unsettled.append(place)
        return place

    def settle(self, place: list[int], told: Sequence[tuple[str, bytes]]) -> None:
        """Send receipts, then acknowledge what is settled, in order; nothing when the connection is gone.

        Written to one connection in this order, the broker has the receipt before it drops the message. When the
        connection breaks between, the message comes again and is answered from its receipt.
        """
        if not self.alive:
            return
        paho = self.client._client  # noqa: SLF001 - aiomqtt 2 has no acknowledgement by hand (empicano/aiomqtt#345)
        for topic, payload in told:
            if paho.publish(topic, payload, qos=1).rc != MQTT_ERR_SUCCESS:
                return
        place[2] = 1
        while self._unsettled and self._unsettled[0][2]:
            packet_id, qos, _ = self._unsettled.popleft()
            if qos:
                paho.ack(packet_id, qos)


class MqttDelivery:
    """A message the broker keeps until it is acknowledged."""

    def __init__(self, connected: _Connected, place: list[int], message: Message) -> None:
        self._connected = connected
        self._place = place
        self.message = message

    async def accept(self, receipt: Receipt) -> None:
        """Publish the receipt and acknowledge: it is stored."""
        self._connected.settle(self._place, receipt_messages(receipt))

    async def reject(self, receipt: Receipt) -> None:
        """Publish what was wrong and acknowledge: it is in quarantine."""
        told = rejection_message(receipt.source, receipt.digest, list(receipt.rejections))
        self._connected.settle(self._place, [told])


class MqttInbox:
    """The topics of one lane's sources on a broker outside. The broker has checked who published what.

    `sources` gives the lane's sources; call `refresh` when it gives others than before.
    """

    def __init__(
        self,
        settings: MqttSettings,
        sources: Callable[[], Sequence[Source]],
        *,
        message_bytes: int = MQTT_MESSAGE_BYTES,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._limit = message_bytes
        self._connected: _Connected | None = None
        self._ownership = Ownership(sources())
        self._filters: set[str] = set()
        self.subscribed = asyncio.Event()
        """Set once the broker keeps for this lane what its sources send, at first or again."""

    async def refresh(self) -> None:
        """Subscribe to the topics of new sources and leave those of sources that are gone."""
        sources = list(self._sources())
        self._ownership = Ownership(sources)
        if self._connected is not None and self._connected.alive:
            await self._subscribe(self._connected.client, sources)

    def holds(self, source: str) -> bool:  # noqa: ARG002 - of any source: when in doubt it does
        """Tell whether anything received is not settled; what the broker still keeps is not known here."""
        return self._connected is not None and self._connected.unsettled

    @asynccontextmanager
    async def deliveries(self) -> AsyncIterator[AsyncIterator[MqttDelivery]]:
        """Connect, and connect again whenever the connection breaks, for as long as the context lasts."""
        messages = self._messages()
        try:
            yield messages
        finally:
            await messages.aclose()

    async def _messages(self) -> AsyncGenerator[MqttDelivery, None]:
        failures = 0
        while True:
            client = self._settings.client(persistent=True)
            # Before connecting: set later, the first message of the session is acknowledged behind our back.
            client._client.manual_ack_set(True)  # noqa: SLF001
            try:
                async with client:
                    connected = self._connected = _Connected(client)
                    try:
                        self._filters = set()
                        await self._subscribe(client, self._sources())
                        self.subscribed.set()
                        failures = 0
                        async for arrived in client.messages:
                            delivery = self._delivery(connected, arrived)
                            if delivery is not None:
                                yield delivery
                    finally:
                        connected.alive = False
                        self._connected = None
            except aiomqtt.MqttError:
                delay = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
                failures += 1
                log.warning("mqtt disconnected", broker=self._settings.host, again_in=delay)
                await asyncio.sleep(delay)

    def _delivery(self, connected: _Connected, arrived: aiomqtt.Message) -> MqttDelivery | None:
        """Return a message for the lane, also one to be refused: its sender is told and its bytes are quarantined there."""
        place = connected.received(arrived.mid, arrived.qos)
        try:
            message = self._ownership.message(None, str(arrived.topic), arrived.payload)
        except BalError as error:  # of a source that is no longer this lane's: nobody to tell
            log.warning("mqtt message not taken", reason=error.what)
            connected.settle(place, [])
            return None
        if arrived.retain:
            message = replace(
                message, refusal="retained messages are not taken: send it without the retain flag"
            )
        elif len(arrived.payload) > self._limit:
            message = replace(message, refusal=f"the message is larger than {self._limit} bytes")
        return MqttDelivery(connected, place, message)

    async def _subscribe(self, client: aiomqtt.Client, sources: Sequence[Source]) -> None:
        wanted = {topic_filter for source in sources for topic_filter in intake_filters(source)}
        added, gone = sorted(wanted - self._filters), sorted(self._filters - wanted)
        for start in range(0, len(added), 100):
            codes = await client.subscribe([(topic_filter, 1) for topic_filter in added[start : start + 100]])
            if any((code if isinstance(code, int) else code.value) >= 0x80 for code in codes):
                message = "the MQTT broker does not let the BAL subscribe to its sources' topics"
                raise Misconfigured(
                    message, subject=self._settings.host, remedy="grant them in the broker's ACL"
                )
        if gone:
            await client.unsubscribe(gone)
        self._filters = wanted
