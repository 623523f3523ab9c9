from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import AddressRange
from bal.core.entry import Entry, Erasure
from bal.core.errors import Invalid
from bal.core.limits import TILE_LEAVES
from bal.store.cassandra.encoding import (
    Numbered,
    decode_payload,
    decode_tile,
    encode_payload,
    encode_tile,
    encode_tiles,
)
from tests.unit.store.rows import point, reading, receipt

ERASURE = Erasure("dso-a", "bal-1:0:7", "ab" * 32, "operator", 'asked — "für" 7\n', 5)
_entries: st.SearchStrategy[Entry] = st.one_of(
    st.just(ERASURE),
    st.builds(
        reading,
        st.decimals(allow_nan=False, allow_infinity=False).map(str),
        st.integers(0, 9),
        point=st.integers(0, 9).map(point),
        quality=st.sampled_from(["", "1.4.6 3.0.1"]),
    ),
)


@given(st.lists(_entries, max_size=20))
def test_a_tile_comes_back_as_it_was(entries: list[Entry]) -> None:
    rows = [Numbered(3 * number, entry, bytes([number]) * 16) for number, entry in enumerate(entries)]
    found = decode_tile(encode_tile(rows), "x")
    assert found == rows
    assert [type(row.entry) for row in found] == [type(row.entry) for row in rows]


def test_a_payload_holds_tiles_and_receipts() -> None:
    entries = [reading(str(number), number) for number in range(TILE_LEAVES + 1)]
    tiles = encode_tiles(entries, [bytes([number % 256]) * 16 for number in range(len(entries))])
    done = receipt(b"d" * 32, [AddressRange("bal-1", 0, 0, 9)], known=True, rejections=(("bad", "value"),))
    begun = receipt(b"e" * 32, complete=False, ahead=3)
    found, receipts = decode_payload(encode_payload(tiles, [done, begun]), "x")
    assert found == tiles
    assert receipts == [done, begun]
    assert [row.index for tile in found for row in decode_tile(tile, "x")] == list(range(len(entries)))


@given(st.data())
def test_altered_bytes_are_invalid_or_say_something_else(data: st.DataObject) -> None:
    rows = [Numbered(number, reading(str(number)), bytes(16)) for number in range(3)]
    blob = bytearray(encode_tile(rows))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_tile(bytes(blob), "x")
    except Invalid:
        return
    assert found != rows


@pytest.mark.parametrize("blob", [b"", b"\0\0\0\x09abc", b"\0\0\0\0junk"])
def test_bytes_of_another_kind_are_invalid(blob: bytes) -> None:
    with pytest.raises(Invalid):
        decode_tile(blob, "x")


@pytest.mark.parametrize("blob", [b"", b"\0\0\0\x09abc", b"\0\0"])
def test_a_payload_of_another_kind_is_invalid(blob: bytes) -> None:
    with pytest.raises(Invalid):
        decode_payload(blob, "x")
