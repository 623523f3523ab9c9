"""The chain of a log's anchors: its head, and the checks every next anchor passes before it is sealed or anchored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chaincode.anchor import GENESIS, MAX_SEQ, Anchor, check_hash
from chaincode.errors import ContractError
from chaincode.names import check_name

#: Anchors of one transaction: 64 of 256 sources each stay under 4 MiB, and a writer that fell behind catches up.
MAX_ANCHORS: Final = 64


@dataclass(frozen=True, slots=True)
class Head:
    """Stand for the end of a log: the sequence number its next anchor has, and the hash of the last one."""

    log: str
    next: int = 0
    hash: str = GENESIS

    def to_json(self) -> dict[str, object]:
        """Return the head as a JSON object."""
        return {"log": self.log, "next": self.next, "hash": self.hash}

    @classmethod
    def from_json(cls, value: object) -> Head:
        """Return the head of a JSON object with exactly its members, else raise ContractError (malformed)."""
        if type(value) is not dict or value.keys() != {"log", "next", "hash"}:
            raise ContractError("malformed", "a head has exactly the members log, next and hash")
        head = cls(**value)
        check_name(head.log, "log")
        if type(head.next) is not int or not 0 <= head.next <= MAX_SEQ + 1:
            raise ContractError("malformed", "next of a head is a sequence number")
        check_hash(head.hash, "hash")
        return head

    def after(self, anchor: Anchor) -> Head:
        """Return the head once `anchor` is added; nothing is checked."""
        return Head(self.log, anchor.seq + 1, anchor.hash)


def check_anchor(anchor: Anchor, head: Head) -> Head:
    """Return the head after `anchor`, which must be well-formed and the next of `head`'s log.

    Raise ContractError: malformed, size, wrong_sequence or wrong_previous.
    """
    anchor.check()
    return _follow(anchor, head)


def check_anchors(anchors: Sequence[Anchor], head: Head) -> Head:
    """Return the head after `anchors`: 1 to 64, well-formed, of one log, consecutive, beginning at `head`.

    Raise ContractError: malformed, size, wrong_sequence or wrong_previous.
    """
    check_run(anchors)
    _follow(anchors[0], head)
    return head.after(anchors[-1])


def check_run(anchors: Sequence[Anchor]) -> None:
    """Raise ContractError unless `anchors` are 1 to 64, each well-formed, of one log, each following on the one before."""
    if not 1 <= len(anchors) <= MAX_ANCHORS:
        raise ContractError("size", f"a transaction carries 1 to {MAX_ANCHORS} anchors, not {len(anchors)}")
    for anchor in anchors:
        anchor.check()
    head = Head(anchors[0].log, anchors[0].seq, anchors[0].previous)
    for anchor in anchors:
        head = _follow(anchor, head)


def _follow(anchor: Anchor, head: Head) -> Head:
    if anchor.log != head.log:
        raise ContractError(
            "malformed", f"anchors of logs {head.log} and {anchor.log} are not carried together"
        )
    if anchor.seq != head.next:
        raise ContractError(
            "wrong_sequence",
            f"log {head.log} goes on at {head.next}, not at {anchor.seq}: anchors leave no gap",
        )
    if anchor.previous != head.hash:
        raise ContractError(
            "wrong_previous",
            f"anchor {anchor.seq} of log {head.log} does not follow on the hash of the one before",
        )
    return head.after(anchor)
