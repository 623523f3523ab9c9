"""MQTT said byte by byte, and what an attack test checks at its end."""

import asyncio
import contextlib
import ssl
import struct

import aiomqtt
import pytest

from tests.brokers import Arrivals, Field
from tests.patience import PATIENCE

BAD, GOOD = b"from an attacker", b"<MeterReadings/>"
TOPIC = "bal/dso-a/cim"


async def good_still_arrives(field: Field, arrivals: Arrivals, expected: int = 0) -> None:
    """Send a good message; besides it only `expected` others may have arrived."""
    async with field.client("dso-a") as client:
        await client.publish(TOPIC, GOOD, qos=1)
    await arrivals.until(GOOD)
    assert [body for _, _, body in arrivals.taken].count(BAD) == expected
    assert arrivals.taken[-1] == ("dso-a", TOPIC, GOOD)
    assert len(arrivals.taken) == expected + 1


async def refused(client: aiomqtt.Client) -> None:
    client.timeout = 1  # paho does not notice that TLS 1.3 refused it after the handshake
    with pytest.raises(aiomqtt.MqttError):
        async with client:
            await client.publish(TOPIC, BAD, qos=1)


class Raw:
    """A TLS socket that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, field: Field, name: str | None = "dso-a", *, connect: bool = True) -> "Raw":
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", field.broker.port, ssl=field.tls(name), server_hostname="localhost"
        )
        raw = cls(reader, writer)
        if connect:
            await raw.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw")
            assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        return raw

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except (ConnectionError, ssl.SSLError):
                pass
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


def packet(first: int, body: bytes, length: int | None = None) -> bytes:
    remaining, out = len(body) if length is None else length, bytearray([first])
    while True:
        out.append(remaining % 128 | (128 if remaining > 127 else 0))
        remaining //= 128
        if not remaining:
            return bytes(out) + body


def text(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


async def denied(client: aiomqtt.Client, topic_filter: str) -> None:
    codes = await client.subscribe(topic_filter, 1)
    assert [getattr(code, "value", code) for code in codes] == [0x80], topic_filter
