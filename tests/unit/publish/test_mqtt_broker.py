"""The output to a broker that, as Mosquitto 2.0 does, ends the connection after it said what it refuses."""

import asyncio
from types import SimpleNamespace
from typing import Any, Self

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bal.core.errors import PublishRefused, Unavailable
from bal.publish import BrokerSend
from bal.publish import mqtt as room

NOT_AUTHORISED = ReasonCode(PacketTypes.PUBACK, "Not authorized")
TURNS = 20
"""Of the event loop, until this broker acknowledges."""


class Broker:
    """Keeps what it acknowledged; refuses the topics of `dso-b`."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.connections = 0
        self.cut_after: int | None = None
        """How many it acknowledges before the connection ends by itself."""

    def client(self) -> Any:
        return Connection(self)


class Connection:
    """As much of an aiomqtt client as the output uses."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = SimpleNamespace(_last_mid=0, on_publish=lambda *_: None)
        self._disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        self._broker.connections += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if not self._disconnected.done():
            self._disconnected.set_result(None)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        del payload, qos
        if self._disconnected.done():
            raise aiomqtt.MqttError("not connected")
        self._client._last_mid += 1
        identifier = self._client._last_mid
        if "/dso-b/" in topic:
            self._client.on_publish(None, None, identifier, NOT_AUTHORISED, None)
            self._end()
            return
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if len(self._broker.kept) == self._broker.cut_after:
            self._end()
        if self._disconnected.done():
            await asyncio.Event().wait()  # an acknowledgement that never comes
        self._broker.kept.append(topic)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_RIGHTS_SECONDS", (0.0,))


async def test_what_is_refused_of_one_is_no_answer_to_another() -> None:
    """Several lanes and both outputs share a connection, and one of them is refused while others wait."""
    broker = Broker()
    send = BrokerSend(broker.client)
    granted = [[f"bal/dso-a/certified/{number}", f"bal/dso-c/certified/{number}"] for number in range(5)]
    sending = [
        asyncio.create_task(send([(topic, b"") for topic in topics]))
        for topics in [*granted[:2], ["bal/dso-b/certified/x"], *granted[2:]]
    ]
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    (refused,) = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(refused, PublishRefused)
    assert refused.source == "dso-b"
    assert sorted(broker.kept) == sorted(topic for topics in granted for topic in topics)


async def test_a_connection_that_ends_before_all_is_acknowledged_published_nothing() -> None:
    broker = Broker()
    broker.cut_after = 1
    send = BrokerSend(broker.client)
    messages = [("bal/dso-a/certified/1", b""), ("bal/dso-a/certified/2", b"")]
    with pytest.raises(Unavailable):
        await send(messages)
    broker.cut_after = None
    await send(messages)
    assert broker.connections == 2
    await send.close()
