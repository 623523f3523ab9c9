"""Heads: how far each log reached, and the hash of its anchor there. One trusted head proves all anchors before it."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from bal.core.certificate import strict_object
from bal.core.errors import Invalid
from chaincode.anchor import MAX_SEQ, check_hash
from chaincode.errors import ContractError
from chaincode.names import is_name

HEADS_BYTES = 16 * 1024 * 1024
"""Largest file of heads read: 100,000 logs."""


class Head(NamedTuple):
    """The newest anchor of a log as somebody saw it; `hash` is the anchor's, 64 lower-case hex digits."""

    seq: int
    hash: str


Heads = Mapping[str, Head]
"""Heads by log."""


def read_heads(text: bytes | str) -> dict[str, Head]:
    """Return the heads of `{"log": {"seq": 42, "hash": "…"}, …}`; raise `Invalid` for another form."""
    heads = {}
    for log, members in strict_object(text, HEADS_BYTES).items():
        if not is_name(log) or not isinstance(members, dict) or members.keys() != {"seq", "hash"}:
            raise Invalid("heads are an object of {seq, hash} by log", subject="heads")
        seq = members["seq"]
        try:
            if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
                raise Invalid("the seq of a head is an integer from 0", subject="heads")
            heads[log] = Head(seq, check_hash(members["hash"], "the hash of a head"))
        except ContractError as error:
            raise Invalid(error.message, subject="heads") from None
    return heads


def heads_text(heads: Heads) -> str:
    """Return `heads` as `read_heads` takes them, logs in order of name."""
    return json.dumps({log: heads[log]._asdict() for log in sorted(heads)}, indent=2) + "\n"
