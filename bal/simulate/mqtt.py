"""The door by MQTT 3.1.1 over TLS: publish with QoS 1, receipts by subscription."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt

from bal.core.errors import Misconfigured, TooLarge, Unavailable
from bal.core.limits import MQTT_MESSAGE_BYTES
from bal.core.topics import accepted_topic, cim_topic, pmu_topic, rejected_topic
from bal.simulate.link import Answer
from bal.simulate.loopback import check_loopback
from bal.simulate.plan import Outgoing

_REFUSED: Final = 0x80
"""Return code of a SUBACK that grants nothing (MQTT 3.1.1, 3.9.3)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the sender is: a client certificate, or a user name and password. `ca` is whom it trusts."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def tls_context(self) -> ssl.SSLContext:
        """Return a context that checks the server. Raises `Misconfigured` for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:
            message = "the certificate or key cannot be read"
            raise Misconfigured(
                message, subject="simulate", remedy="check the files given for TLS"
            ) from error
        return context


class MqttDoor:
    """Opens connections to a broker on this machine, as one source."""

    def __init__(
        self,
        source: str,
        host: str,
        port: int,
        credentials: Credentials,
        *,
        identifier: str,
        window: int = 64,
    ) -> None:
        """Raise `Refused` for a host that is not this machine, `Misconfigured` for unusable TLS files."""
        self._source = source
        self._host = check_loopback(host)
        self._port = port
        self._credentials = credentials
        self._tls = credentials.tls_context()
        self._identifier = identifier
        self._window = window

    @asynccontextmanager
    async def open(self) -> "AsyncIterator[MqttLink]":
        """Connect and subscribe to the receipts. Raises `Unavailable`."""
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._identifier,
            username=self._credentials.username,
            password=self._credentials.password,
            clean_session=True,  # a receipt missed while away is asked for by sending again
            tls_context=self._tls,
            max_inflight_messages=self._window,
            timeout=30,
        )
        client.pending_calls_threshold = 2 * self._window
        try:
            async with client:
                answers = (accepted_topic(self._source), rejected_topic(self._source))
                granted = await client.subscribe([(topic, 1) for topic in answers])
                if any((code if isinstance(code, int) else code.value) >= _REFUSED for code in granted):
                    message = "the broker does not let this source read its receipts"
                    raise Misconfigured(
                        message, subject=self._source, remedy="check who the certificate names"
                    )
                yield MqttLink(client, self._source)
        except (aiomqtt.MqttError, OSError) as error:
            message = "the broker cannot be reached, or the connection broke"
            raise Unavailable(message, subject=self._source) from error


class MqttLink:
    """One connection to the broker."""

    def __init__(self, client: aiomqtt.Client, source: str) -> None:
        self._client = client
        self._source = source

    async def send(self, message: Outgoing) -> None:
        """Publish with QoS 1. The broker's acknowledgement is no receipt: only the BAL's own is.

        Raises `Unavailable` when the connection broke, `TooLarge` for good.
        """
        if len(message.payload) > MQTT_MESSAGE_BYTES:
            text = "the document is larger than an MQTT message may be"
            raise TooLarge(
                text, subject="simulate", remedy="put fewer meters or quarter hours into a document"
            )
        topic = cim_topic(self._source) if message.form == "cim" else pmu_topic(self._source, message.device)
        try:
            await self._client.publish(topic, message.payload, qos=1)
        except (aiomqtt.MqttError, ValueError) as error:
            text = "the broker did not take a message"
            raise Unavailable(text, subject=self._source) from error

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield what arrives on `accepted` and `rejected`; anything that is no receipt is passed over."""
        accepted = accepted_topic(self._source)
        try:
            async for message in self._client.messages:
                try:
                    body = json.loads(message.payload)
                except ValueError:
                    continue
                if isinstance(body, dict) and isinstance(body.get("digest"), str):
                    yield Answer(body["digest"], message.topic.value == accepted, "mqtt", body)
        except aiomqtt.MqttError as error:
            text = "the connection to the broker broke"
            raise Unavailable(text, subject=self._source) from error
