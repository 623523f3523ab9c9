"""MQTT 3.1.1 control packets (OASIS standard, section 2 and 3) from and to bytes.

CONNECT, SUBSCRIBE, UNSUBSCRIBE and every acknowledgement are amqtt's. PUBLISH is read here: amqtt copies a body three
times and lets a topic pass that is no UTF-8. Lengths are checked before a body is read, which amqtt does not do.
"""

import asyncio
from typing import Any, NamedTuple

from amqtt.adapters import BufferReader
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.pubcomp import PubcompPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.pubrec import PubrecPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from bal.core.errors import Malformed, TooLarge
from bal.core.topics import TOPIC_CHARACTERS

CONNECT, PUBLISH, PUBACK, PUBREL, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 6, 8, 10, 12, 14
CONTROL_BYTES = 64 * 1024
"""Largest packet that is no PUBLISH: a CONNECT with its strings, a SUBSCRIBE with a few hundred filters."""
PUBLISH_OVERHEAD = 2 + 4 * TOPIC_CHARACTERS + 2
"""Topic length, topic in UTF-8, packet identifier."""
SUBSCRIPTIONS_PER_PACKET = 256
PINGRESP = b"\xd0\x00"
CONNACK_OF_MQTT5 = b"\x20\x03\x00\x84\x00"
"""Unsupported Protocol Version, in the form an MQTT 5 client reads."""
ACCEPTED, BAD_PROTOCOL, BAD_IDENTIFIER, UNAVAILABLE, BAD_CREDENTIALS, NOT_AUTHORISED = range(6)
FAILURE = 0x80


class Header(NamedTuple):
    """A fixed header: packet type, flags, remaining length in bytes."""

    kind: int
    flags: int
    length: int


class Publish(NamedTuple):
    """An application message on its way in."""

    topic: str
    body: bytes
    qos: int
    retain: bool
    packet_id: int


class Connect(NamedTuple):
    """What a client says of itself."""

    client_id: str
    clean: bool
    keepalive: int
    username: str | None
    password: str | None
    will: bool
    level: int


async def read_header(reader: asyncio.StreamReader) -> Header:
    """Read a fixed header; raise `Malformed`, or `asyncio.IncompleteReadError` at the end of the stream."""
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return Header(first >> 4, first & 0x0F, length)
        shift += 7
        if shift > 21:
            raise _malformed()


def check_length(header: Header, limit: int) -> None:
    """Raise `TooLarge` when a packet, not read yet, is larger than its kind may be; `limit` is for message bodies."""
    allowed = limit + PUBLISH_OVERHEAD if header.kind == PUBLISH else CONTROL_BYTES
    if header.length > allowed:
        message = "an MQTT packet is larger than allowed"
        raise TooLarge(message, remedy=f"send at most {limit} bytes in one message, larger documents by HTTP")


def read_publish(flags: int, packet: bytes, limit: int) -> Publish:
    """Return the message of a PUBLISH; raise `Malformed`, `TooLarge`."""
    qos = flags >> 1 & 3
    end = 2 + int.from_bytes(packet[:2])
    start = end + 2 if qos else end
    if qos == 3 or len(packet) < start or end == 2:
        raise _malformed()
    try:
        topic = packet[2:end].decode()
    except UnicodeDecodeError:
        raise _malformed() from None
    packet_id = int.from_bytes(packet[end:start])
    if (qos and not packet_id) or "\0" in topic or "+" in topic or "#" in topic:
        raise _malformed()
    if len(packet) - start > limit:
        message = "an MQTT message is larger than allowed"
        raise TooLarge(message, remedy=f"send at most {limit} bytes in one message, larger documents by HTTP")
    return Publish(topic, packet[start:], qos, bool(flags & 1), packet_id)


async def read_connect(header: Header, packet: bytes) -> Connect:
    """Return what a CONNECT says; raise `Malformed`. Of another protocol level than 4 only the level is read."""
    if header.flags or packet[:6] != b"\x00\x04MQTT" or len(packet) < 10 or packet[7] & 1:
        raise _malformed()
    level = packet[6]
    if level != 4:
        return Connect("", True, 0, None, None, False, level)
    connect = await _decode(ConnectPacket, header, packet)
    variable, payload = connect.variable_header, connect.payload
    if payload.client_id is None or (variable.password_flag and not variable.username_flag):
        raise _malformed()
    if (variable.username_flag and payload.username is None) or (
        variable.password_flag and payload.password is None
    ):
        raise _malformed()
    return Connect(
        "" if payload.client_id_is_random else payload.client_id,
        variable.clean_session_flag,
        variable.keep_alive,
        payload.username,
        payload.password,
        variable.will_flag,
        level,
    )


async def read_subscribe(header: Header, packet: bytes) -> tuple[int, list[tuple[str, int]]]:
    """Return packet identifier and (filter, quality of service) of a SUBSCRIBE; raise `Malformed`."""
    subscribe = await _decode(SubscribePacket, header, packet)
    topics = list(subscribe.payload.topics)
    if (
        header.flags != 2
        or not 0 < len(topics) <= SUBSCRIPTIONS_PER_PACKET
        or any(qos > 2 for _, qos in topics)
    ):
        raise _malformed()
    return subscribe.variable_header.packet_id, topics


async def read_unsubscribe(header: Header, packet: bytes) -> tuple[int, list[str]]:
    """Return packet identifier and filters of an UNSUBSCRIBE; raise `Malformed`."""
    unsubscribe = await _decode(UnsubscribePacket, header, packet)
    topics = list(unsubscribe.payload.topics)
    if header.flags != 2 or not 0 < len(topics) <= SUBSCRIPTIONS_PER_PACKET:
        raise _malformed()
    return unsubscribe.variable_header.packet_id, topics


def read_packet_id(packet: bytes) -> int:
    """Return the packet identifier of an acknowledgement; raise `Malformed`."""
    if len(packet) != 2:
        raise _malformed()
    return int.from_bytes(packet)


def connack(code: int, *, present: bool = False) -> bytes:
    """Return a CONNACK."""
    return bytes(ConnackPacket.build(int(present), code).to_bytes())


def puback(packet_id: int) -> bytes:
    """Return a PUBACK."""
    return bytes(PubackPacket.build(packet_id).to_bytes())


def pubrec(packet_id: int) -> bytes:
    """Return a PUBREC."""
    return bytes(PubrecPacket.build(packet_id).to_bytes())


def pubcomp(packet_id: int) -> bytes:
    """Return a PUBCOMP."""
    return bytes(PubcompPacket.build(packet_id).to_bytes())


def suback(packet_id: int, codes: list[int]) -> bytes:
    """Return a SUBACK."""
    return bytes(SubackPacket.build(packet_id, codes).to_bytes())


def unsuback(packet_id: int) -> bytes:
    """Return an UNSUBACK."""
    return bytes(UnsubackPacket.build(packet_id).to_bytes())


def publish(topic: str, body: bytes, packet_id: int | None, *, again: bool) -> bytes:
    """Return a PUBLISH, never retained, with quality of service 1 when it has a packet identifier, else 0."""
    packet = PublishPacket.build(topic, body, packet_id, again, 0 if packet_id is None else 1, False)
    return bytes(packet.to_bytes())


async def _decode(kind: Any, header: Header, packet: bytes) -> Any:
    fixed = MQTTFixedHeader(header.kind, header.flags, header.length)
    try:
        return await kind.from_stream(BufferReader(packet), fixed_header=fixed)
    except (AMQTTError, MQTTError, CodecError, NoDataError, ValueError) as error:
        raise _malformed() from error


def _malformed() -> Malformed:
    return Malformed("an MQTT packet is not well formed", remedy="use an MQTT 3.1.1 client")
