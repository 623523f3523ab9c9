"""The anchor: what the ledger keeps of a batch, and the hash by which anchors of a log form a chain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

from chaincode import canonical
from chaincode.errors import ContractError
from chaincode.names import check_name

VERSION: Final = 1
#: `previous` of the first anchor of a log.
GENESIS: Final = "0" * 64
#: Leaves of one batch: 16 bits, so a path has at most 16 hashes and the bitmap an audit keeps per batch 8 KiB.
MAX_SIZE: Final = 65536
#: Sources named in one anchor: keeps the 64 anchors of a transaction under 3 MiB. A batch is sealed before it is passed.
MAX_SOURCES: Final = 256
#: JSON integers stay exact up to here; at one batch a millisecond it lasts 285,000 years.
MAX_SEQ: Final = canonical.MAX_INTEGER

_MEMBERS: Final = frozenset(
    ("version", "log", "seq", "root", "size", "previous", "first", "last", "counts", "rules")
)
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Stand for one batch: its place in the log, the Merkle root of its leaves, and what they cover.

    `root` and `previous` are 64 lower-case hex digits; `first` and `last` the earliest and latest timestamp of its
    readings ("YYYY-MM-DDTHH:MM:SS.ffffffZ"); `counts` leaves per source, `rules` the digest of the quality rules in
    force per source. Building one checks nothing: `check` does.
    """

    log: str
    seq: int
    root: str
    size: int
    previous: str
    first: str
    last: str
    counts: Mapping[str, int]
    rules: Mapping[str, str]
    version: int = VERSION

    def to_json(self) -> dict[str, object]:
        """Return the anchor as a JSON object, counts and rules copied."""
        return {
            "version": self.version,
            "log": self.log,
            "seq": self.seq,
            "root": self.root,
            "size": self.size,
            "previous": self.previous,
            "first": self.first,
            "last": self.last,
            "counts": dict(self.counts),
            "rules": dict(self.rules),
        }

    @classmethod
    def from_json(cls, value: object) -> Anchor:
        """Return the checked anchor of a JSON object with exactly its members, else raise ContractError."""
        if type(value) is not dict or value.keys() != _MEMBERS:
            raise ContractError(
                "malformed", f"an anchor has exactly the members {', '.join(sorted(_MEMBERS))}"
            )
        anchor = cls(**value)
        anchor.check()
        return anchor

    def check(self) -> None:
        """Raise ContractError (malformed or size) unless every member has its form and they fit each other."""
        if type(self.version) is not int or self.version != VERSION:
            raise ContractError("malformed", f"an anchor has version {VERSION}")
        check_name(self.log, "log")
        if type(self.seq) is not int or not 0 <= self.seq <= MAX_SEQ:
            raise ContractError("malformed", "seq of an anchor is an integer from 0 to 2**53 - 1")
        check_hash(self.root, "root")
        check_hash(self.previous, "previous")
        if (self.seq == 0) != (self.previous == GENESIS):
            raise ContractError("wrong_previous", "previous is 64 zeros in the first anchor and only there")
        check_time(self.first, "first")
        check_time(self.last, "last")
        if self.first > self.last:
            raise ContractError("malformed", "first of an anchor lies after its last")
        self._check_counts()

    def _check_counts(self) -> None:
        if type(self.size) is not int:
            raise ContractError("malformed", "size of an anchor is an integer")
        if not 1 <= self.size <= MAX_SIZE:
            raise ContractError("size", f"an anchor stands for 1 to {MAX_SIZE} leaves, not {self.size}")
        members: tuple[object, object] = (self.counts, self.rules)
        if not all(isinstance(member, Mapping) for member in members):
            raise ContractError("malformed", "counts and rules of an anchor are objects by source")
        if len(self.counts) > MAX_SOURCES:
            raise ContractError("size", f"an anchor names at most {MAX_SOURCES} sources")
        for source, count in self.counts.items():
            check_name(source, "source")
            if type(count) is not int or count < 1:
                raise ContractError("malformed", f"count of {source} is an integer from 1")
        if sum(self.counts.values()) != self.size:
            raise ContractError("size", "counts of an anchor do not add up to its size")
        if self.rules.keys() != self.counts.keys():
            raise ContractError("malformed", "rules and counts of an anchor name the same sources")
        for source, digest in self.rules.items():
            check_hash(digest, f"rules of {source}")

    @property
    def hash(self) -> str:
        """Return hex SHA-256(0x02 || RFC 8785 form of exactly the anchor's members); 0x02 parts it from the tree."""
        return sha256(b"\x02" + canonical.encode(self.to_json())).hexdigest()


def check_hash(value: object, what: str) -> str:
    """Return `value` if it is 64 lower-case hex digits, else raise ContractError (malformed)."""
    if type(value) is not str or _HASH.fullmatch(value) is None:
        raise ContractError("malformed", f"{what} is 64 lower-case hex digits")
    return value


def check_time(value: object, what: str) -> str:
    """Return `value` if it is a UTC time "YYYY-MM-DDTHH:MM:SS.ffffffZ" of the calendar, else raise ContractError."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    try:
        if match is not None:
            date(int(match[1]), int(match[2]), int(match[3]))
            return match[0]
    except ValueError:
        pass
    raise ContractError("malformed", f"{what} is a time of the form YYYY-MM-DDTHH:MM:SS.ffffffZ")
