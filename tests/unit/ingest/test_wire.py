import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.errors import Malformed
from bal.ingest import wire


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@given(st.integers(0, 268_435_455))
async def test_remaining_lengths_of_the_standard(length: int) -> None:
    """MQTT 3.1.1, 2.2.3."""
    data, left = bytearray(b"\x32"), length
    while True:
        left, digit = left // 128, left % 128
        data.append(digit | (0x80 if left else 0))
        if not left:
            break
    assert await wire.read_header(stream(bytes(data))) == (3, 2, length)


@given(
    st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=50),
    st.binary(),
)
async def test_a_publish_written_is_read(topic: str, body: bytes) -> None:
    packet = wire.publish(topic, body, 7, again=True)
    header = await wire.read_header(stream(packet))
    assert wire.read_publish(header.flags, packet[-header.length :], 1 << 20) == (topic, body, 1, False, 7)
    assert header.flags & 8


@given(st.integers(0, 15), st.integers(0, 15), st.binary(max_size=60))
async def test_no_bytes_do_worse_than_malformed(kind: int, flags: int, packet: bytes) -> None:
    header = wire.Header(kind, flags, len(packet))
    for read in (wire.read_connect, wire.read_subscribe, wire.read_unsubscribe):
        try:
            await read(
                wire.Header(
                    {"read_connect": 1, "read_subscribe": 8}.get(read.__name__, 10), flags, len(packet)
                ),
                packet,
            )
        except Malformed:
            continue
    try:
        wire.read_publish(header.flags, packet, 100)
    except Malformed:
        return


@pytest.mark.parametrize(
    "tail",
    [b"", b"\x00\x04user", b"\x00\x04user\x00\x04pass", b"\x00\x05topic\x00\x02hi\x00\x04user\x00\x04pass"],
)
async def test_a_connect_cut_anywhere_is_malformed_or_whole(tail: bytes) -> None:
    flags = {0: 2, 6: 0x82, 12: 0xC2, 23: 0xC6}[len(tail)]
    packet = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c\x00\x02id" + tail
    whole = await wire.read_connect(wire.Header(1, 0, len(packet)), packet)
    assert (whole.client_id, whole.clean, whole.keepalive, whole.will) == ("id", True, 60, len(tail) == 23)
    assert whole.username == ("user" if len(tail) > 5 else None)
    assert whole.password == ("pass" if len(tail) > 11 else None)
    for end in range(len(packet) - len(tail), len(packet)):
        with pytest.raises(Malformed):
            await wire.read_connect(wire.Header(1, 0, end), packet[:end])
