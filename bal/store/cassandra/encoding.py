"""Entries, salts and receipts as bytes: a tile's entries, the payload of a batch's record, a receipt's detail."""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from bal.core.address import AddressRange
from bal.core.entry import SALT_BYTES, Entry, Erasure
from bal.core.errors import Invalid
from bal.core.limits import TILE_LEAVES
from bal.core.message import Receipt
from bal.core.reading import Reading

_LEVEL: Final = 1
"""Of zlib: columns of like values shrink to a tenth at once; higher levels cost three times the time for little."""
_LENGTH: Final = struct.Struct(">I")
_BROKEN: Final = (ValueError, TypeError, KeyError, IndexError, struct.error, zlib.error)


class Numbered(NamedTuple):
    """An entry with its index in the batch and the salt of its leaf."""

    index: int  # type: ignore[assignment]  # a tuple has a method of that name
    entry: Entry
    salt: bytes


def encode_tile(rows: Sequence[Numbered]) -> bytes:
    """Return rows of one tile: salts as they are, then the entries by columns, JSON under zlib (RFC 1950).

    Layout: four bytes with the count, 16 bytes of salt for each row, compressed `[kinds, indexes, readings, erasures]`:
    `kinds` a string with `r` or `e` for each row, `readings` and `erasures` a list for each member of theirs.
    """
    kinds = "".join("r" if type(row.entry) is Reading else "e" for row in rows)
    readings = list(zip(*(row.entry for row in rows if type(row.entry) is Reading), strict=True))
    erasures = list(zip(*(row.entry for row in rows if type(row.entry) is Erasure), strict=True))
    text = json.dumps([kinds, [row.index for row in rows], readings, erasures], separators=(",", ":"))
    salts = b"".join(row.salt for row in rows)
    return _LENGTH.pack(len(rows)) + salts + zlib.compress(text.encode(), _LEVEL)


def decode_tile(blob: bytes, subject: str) -> list[Numbered]:
    """Return the rows of `encode_tile`. `Invalid` when they are no longer that."""
    try:
        (count,) = _LENGTH.unpack_from(blob)
        start = _LENGTH.size
        end = start + SALT_BYTES * count
        if end > len(blob):
            raise ValueError
        salts = [blob[at : at + SALT_BYTES] for at in range(start, end, SALT_BYTES)]
        kinds, indexes, *columns = json.loads(zlib.decompress(blob[end:]))
        readings: Iterator[Entry] = map(Reading._make, zip(*columns[0], strict=True))
        erasures: Iterator[Entry] = map(Erasure._make, zip(*columns[1], strict=True))
        entries: list[Entry] = [next(readings if kind == "r" else erasures) for kind in kinds]
        return [Numbered(*row) for row in zip(indexes, entries, salts, strict=True)]
    except (*_BROKEN, StopIteration, RecursionError):
        message = "the entries of a tile were altered"
        raise Invalid(message, subject=subject, remedy="run `bal audit`") from None


def encode_tiles(entries: Sequence[Entry], salts: Sequence[bytes]) -> list[bytes]:
    """Return the tiles of a batch, 256 rows each."""
    rows = [
        Numbered(index, entry, salt) for index, (entry, salt) in enumerate(zip(entries, salts, strict=True))
    ]
    return [encode_tile(rows[at : at + TILE_LEAVES]) for at in range(0, len(rows), TILE_LEAVES)]


def encode_payload(tiles: Sequence[bytes], receipts: Sequence[Receipt]) -> bytes:
    """Return all that is needed to write the rows of a batch: its tiles and its receipts, each after its length."""
    told = [[r.source, r.digest.hex(), r.received_at, r.complete, receipt_text(r)] for r in receipts]
    text = zlib.compress(json.dumps(told, separators=(",", ":")).encode(), _LEVEL)
    return b"".join(_LENGTH.pack(len(part)) + part for part in (text, *tiles))


def decode_payload(blob: bytes, subject: str) -> tuple[list[bytes], list[Receipt]]:
    """Return tiles and receipts of `encode_payload`. `Invalid` when they are no longer that."""
    try:
        parts, at = [], 0
        while at < len(blob):
            (length,) = _LENGTH.unpack_from(blob, at)
            at += _LENGTH.size + length
            parts.append(blob[at - length : at])
        told = json.loads(zlib.decompress(parts[0]))
        receipts = [
            receipt(source, bytes.fromhex(digest), (received_at, complete, text))
            for source, digest, received_at, complete, text in told
        ]
    except (*_BROKEN, RecursionError):
        message = "the record of this batch was altered"
        raise Invalid(message, subject=subject, remedy="run `bal audit`") from None
    return parts[1:], receipts


def receipt_text(receipt: Receipt) -> str:
    """Return what a receipt says beyond its key, time and state, JSON."""
    return json.dumps(
        {
            "accepted": receipt.accepted,
            "rejected": receipt.rejected,
            "duplicates": receipt.duplicates,
            "outcomes": receipt.outcomes,
            "ahead": receipt.ahead,
            "ranges": receipt.ranges,
            "rejections": receipt.rejections,
        },
        separators=(",", ":"),
    )


def receipt(source: str, digest: bytes, row: tuple[int, bool, str]) -> Receipt:
    """Return the receipt of a row (received_at, complete, detail). `Invalid` when it was altered."""
    try:
        detail: dict[str, Any] = json.loads(row[2])
        return Receipt(
            source=source,
            digest=digest,
            accepted=detail["accepted"],
            rejected=detail["rejected"],
            duplicates=detail["duplicates"],
            outcomes=detail["outcomes"],
            ahead=detail["ahead"],
            ranges=tuple(AddressRange(*part) for part in detail["ranges"]),
            rejections=tuple((reason, where) for reason, where in detail["rejections"]),
            received_at=row[0],
            complete=bool(row[1]),
            known=bool(row[1]),
        )
    except (*_BROKEN, RecursionError):
        message = "the receipt of this message was altered"
        raise Invalid(message, subject=source, remedy="restore the table `receipts` from a backup") from None
