"""Entries: what a leaf holds. `reading` and `erasure` are the types there are."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import rfc8785

from bal.core.address import Address
from bal.core.errors import Malformed
from bal.core.instant import instant_text, parse_instant
from bal.core.reading import Reading

SALT_BYTES = 16


class Erasure(NamedTuple):
    """The anchored note that the entry at `address`, whose leaf was `leaf`, has been erased."""

    source: str
    address: str
    leaf: str
    """64 lower-case hex characters."""
    who: str
    why: str
    received_at: int
    """Microseconds UTC."""

    @property
    def timestamp(self) -> int:
        """The time an anchor's `first` and `last` count it under."""
        return self.received_at


Entry = Reading | Erasure


class StoredEntry(NamedTuple):
    """An entry in its place in the log, with the salt of its leaf."""

    address: Address
    entry: Entry
    salt: bytes


def canonical(entry: Entry) -> bytes:
    """Return the RFC 8785 form of `entry`.

    A reading's texts need no escaping (`Reading`), so its form is written by a template; a property test holds the
    template against a general implementation. What holds a `"` or a control character all the same gives a text that is no
    JSON, hence no leaf that was ever anchored; only among quality codes could one pass, so there it raises `Malformed`.
    """
    if isinstance(entry, Reading):
        (
            source,
            point,
            component,
            quantity,
            reading_type,
            phase,
            value,
            unit,
            timestamp,
            interval,
            quality,
            received,
        ) = entry
        codes = "[]"
        if quality:
            if '"' in quality:  # would read as two codes where one is stored
                message = "a quality code holds a quotation mark"
                raise Malformed(message)
            codes = '["' + quality.replace(" ", '","') + '"]'
        return (
            f'{{"component":"{component}","interval":"{interval}","phase":"{phase}","point":"{point}","quality":{codes},'
            f'"quantity":"{quantity}","reading_type":"{reading_type}","received_at":"{instant_text(received)}",'
            f'"source":"{source}","timestamp":"{instant_text(timestamp)}","type":"reading","unit":"{unit}","value":"{value}"}}'
        ).encode()
    return rfc8785.dumps(to_json(entry))  # type: ignore[arg-type]


def to_json(entry: Entry) -> dict[str, object]:
    """Return `entry` as the JSON object that certificates and queries show."""
    if isinstance(entry, Reading):
        return {
            "type": "reading",
            "source": entry.source,
            "point": entry.point,
            "component": entry.component,
            "quantity": entry.quantity,
            "reading_type": entry.reading_type,
            "phase": entry.phase,
            "value": entry.value,
            "unit": entry.unit,
            "timestamp": instant_text(entry.timestamp),
            "interval": str(entry.interval),
            "quality": entry.quality.split(" ") if entry.quality else [],
            "received_at": instant_text(entry.received_at),
        }
    return {
        "type": "erasure",
        "source": entry.source,
        "address": entry.address,
        "leaf": entry.leaf,
        "who": entry.who,
        "why": entry.why,
        "received_at": instant_text(entry.received_at),
    }


def from_json(members: Mapping[str, object]) -> Entry:
    """Return the entry of a JSON object whose form `bal.core.certificate` has checked."""
    values = {name: value for name, value in members.items() if name != "type"}
    values["received_at"] = parse_instant(str(values["received_at"]))
    if members["type"] == "erasure":
        return Erasure(**values)  # type: ignore[arg-type]
    values["timestamp"] = parse_instant(str(values["timestamp"]))
    values["interval"] = int(str(values["interval"]))
    values["quality"] = " ".join(values["quality"])  # type: ignore[arg-type]
    return Reading(**values)  # type: ignore[arg-type]


def leaf(entry: Entry, salt: bytes) -> bytes:
    """Return SHA-256(0x00 || salt || canonical form), the leaf of RFC 9162 over salted data."""
    return hashlib.sha256(b"\0" + salt + canonical(entry)).digest()


def leaves(entries: Sequence[Entry], salts: Sequence[bytes]) -> list[bytes]:
    """Return the leaves of `entries` in order, each with its own salt."""
    sha256 = hashlib.sha256
    return [
        sha256(b"\0" + salt + canonical(entry)).digest() for entry, salt in zip(entries, salts, strict=True)
    ]


def expand_salts(seed: bytes, count: int) -> list[bytes]:
    """Return `count` salts of 16 bytes drawn from the 32 random bytes of `seed` by SHAKE-256 (FIPS 202).

    One draw of randomness serves a whole message, wherever its leaves are computed. The seed must be forgotten with
    the message: who has it can recompute the salts.
    """
    stream = hashlib.shake_256(seed).digest(SALT_BYTES * count)
    return [stream[start : start + SALT_BYTES] for start in range(0, SALT_BYTES * count, SALT_BYTES)]
