import gzip
import hashlib
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.errors import Malformed, TooLarge, Unavailable
from bal.gateway.body import Body, Packing, Receiver, Spool, receive


def content(body: Body) -> bytes:
    return body.content if isinstance(body.content, bytes) else body.content().read()


def fed(parts: list[bytes], packing: Packing = "detect", cap: int | None = None, inline: int = 100) -> Body:
    receiver = Receiver(packing=packing, cap=cap, inline=inline)
    for part in parts:
        receiver.feed(part)
    return receiver.finish()


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(data=st.binary(max_size=400), size=st.integers(1, 50), packed=st.booleans(), members=st.integers(1, 3))
def test_any_parts_give_the_same_body(data: bytes, size: int, packed: bool, members: int) -> None:
    piece = len(data) // members + 1
    sent = b"".join(map(gzip.compress, split(data, piece) or [b""])) if packed else data
    if not data or (not packed and data.startswith(b"\x1f\x8b")):
        return
    body = fed(split(sent, size))
    assert content(body) == data
    assert body.digest == hashlib.sha256(data).digest()
    assert (body.size, body.head) == (len(data), data[:64])
    assert isinstance(body.content, bytes) == (len(data) <= 100)


def test_large_bodies_are_in_no_named_file(tmp_path: Path) -> None:
    receiver = Receiver(packing="plain", cap=None, inline=10, directory=tmp_path)
    receiver.feed(b"secret " * 1000)
    body = receiver.finish()
    assert list(tmp_path.iterdir()) == []
    assert not isinstance(body.content, bytes)
    first, second = body.content(), body.content()
    assert first.read(7) == b"secret "
    assert second.read() == b"secret " * 1000
    assert first.read() == b"secret " * 999
    first.close()
    assert body.content().read(3) == b"sec"


def test_the_file_ends_with_its_last_reader(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write(b"abc")
    descriptor = spool._descriptor
    reader = spool.open()
    del spool
    assert reader.read() == b"abc"
    del reader
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_no_room_for_a_large_body(tmp_path: Path) -> None:
    receiver = Receiver(packing="plain", cap=None, inline=1, directory=tmp_path / "missing")
    with pytest.raises(Unavailable):
        receiver.feed(b"abc")


def test_the_cap_counts_unpacked_bytes() -> None:
    assert fed([b"x" * 50], cap=50).size == 50
    assert fed([gzip.compress(b"x" * 50)], cap=50).size == 50
    for parts in ([b"x" * 51], [b"x" * 50, b"x"], [gzip.compress(b"x" * 51)], [gzip.compress(b"x" * 30)] * 2):
        with pytest.raises(TooLarge):
            fed(parts, cap=50)


def test_a_bomb_is_stopped_at_the_cap() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(100)) + packer.flush()
    assert len(bomb) < 110_000
    receiver = Receiver(packing="gzip", cap=3 * 1024 * 1024, inline=1024)
    with pytest.raises(TooLarge):
        receiver.feed(bomb)
    assert receiver._size < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "sent",
    [
        gzip.compress(b"abc")[:-1],
        gzip.compress(b"abc")[:-9],
        gzip.compress(b"abc")[:12],
        gzip.compress(b"abc") + b"x",
        gzip.compress(b"abc")[:-4] + b"\0\0\0\0",
        gzip.compress(b"abc")[:-8] + b"\0" * 8,
        b"\x1f\x8b",
        b"\x1f\x8b\xff\xff\xff\xff\xff\xff",
    ],
)
def test_gzip_that_is_broken(sent: bytes) -> None:
    for size in (1, 1000):
        with pytest.raises(Malformed):
            fed(split(sent, size))


def test_what_is_said_to_be_gzip_must_be() -> None:
    for sent in (b"", b"<xml/>", b"\x1f"):
        with pytest.raises(Malformed):
            fed([sent], packing="gzip")
    assert content(fed([gzip.compress(b"a")], packing="plain")) == gzip.compress(b"a")
    assert content(fed([b"\x1f"])) == b"\x1f"
    assert content(fed([b""])) == b""


async def test_receiving_a_large_body_beside_the_loop() -> None:
    data = os.urandom(3_000_000)

    async def chunks() -> AsyncIterator[bytes]:
        for part in split(data, 65_536):
            yield part

    body = await receive(chunks(), Receiver(packing="plain", cap=None, inline=1_000_000))
    assert body.digest == hashlib.sha256(data).digest()
    assert not isinstance(body.content, bytes)
    with body.content() as reader:
        assert reader.read() == data
