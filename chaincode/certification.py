"""The certification contract: its functions by name, and the door through which a ledger calls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from chaincode import anchoring, canonical, registry
from chaincode.errors import ContractError
from chaincode.stub import Stub

#: Bytes of one argument of Anchor: 64 anchors of 256 sources with the longest names.
MAX_ANCHORS_ARGUMENT: Final = 4 * 1024 * 1024
#: Bytes of any other argument: a path of 16 hashes is the longest.
MAX_ARGUMENT: Final = 4096


class Function(NamedTuple):
    """Describe one function: how many text arguments it takes, how long each may be, whether it writes."""

    call: Callable[..., Awaitable[object]]
    fewest: int
    most: int
    limit: int = MAX_ARGUMENT
    writes: bool = True


FUNCTIONS: Final = {
    "RegisterLog": Function(registry.register_log, 1, 1),
    "RegisterSource": Function(registry.register_source, 1, 2),
    "SetRules": Function(registry.set_rules, 2, 2),
    "SuspendSource": Function(registry.suspend_source, 2, 3),
    "Anchor": Function(anchoring.anchor, 1, 1, MAX_ANCHORS_ARGUMENT),
    "GetAnchor": Function(anchoring.get_anchor, 2, 2, writes=False),
    "GetHead": Function(anchoring.get_head, 1, 1, writes=False),
    "ListAnchors": Function(anchoring.list_anchors, 3, 3, writes=False),
    "GetSource": Function(registry.get_source, 1, 1, writes=False),
    "ListLogs": Function(registry.list_logs, 2, 2, writes=False),
    "ListEnds": Function(anchoring.list_ends, 2, 2, writes=False),
    "ListAllAnchors": Function(anchoring.list_all_anchors, 3, 3, writes=False),
    "ListSources": Function(registry.list_sources, 2, 2, writes=False),
    "VerifyEntry": Function(anchoring.verify_entry, 5, 5, writes=False),
}


async def invoke(stub: Stub, function: str, args: Sequence[bytes | str]) -> bytes:
    """Run a function of the contract and return its answer as canonical JSON; raise ContractError for a refusal."""
    described = FUNCTIONS.get(function)
    if described is None:
        raise ContractError("unknown_function", f"the contract has no function {ascii(function)[:60]}")
    if not described.fewest <= len(args) <= described.most:
        raise ContractError("malformed", f"{function} takes {described.fewest} to {described.most} arguments")
    texts = [_text(argument, described.limit, function) for argument in args]
    return canonical.encode(await described.call(stub, *texts))


def _text(argument: bytes | str, limit: int, function: str) -> str:
    try:
        raw = argument.encode() if isinstance(argument, str) else argument
        text = raw.decode()
    except UnicodeError:
        raise ContractError("malformed", f"an argument of {function} is no UTF-8") from None
    if len(raw) > limit:
        raise ContractError("size", f"an argument of {function} has at most {limit} bytes")
    return text
