"""Keys of the world state and reading and writing of its records, which are canonical JSON objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from chaincode import canonical
from chaincode.errors import ContractError
from chaincode.names import check_name
from chaincode.numbers import MAX_LIST, decimal
from chaincode.stub import Stub

#: Beginning of every anchor's key.
ANCHORS: Final = "anchor/"
#: The first key behind all of them: "0" follows "/" in ASCII.
BEHIND_ANCHORS: Final = "anchor0"


def log_key(log: str) -> str:
    """Return the key of a log's registration."""
    return f"log/{log}"


def source_key(source: str) -> str:
    """Return the key of a source's registration."""
    return f"source/{source}"


def head_key(log: str) -> str:
    """Return the key of a log's head."""
    return f"head/{log}"


def anchor_key(log: str, seq: int) -> str:
    """Return the key of an anchor; 20 digits, so that keys sort as sequence numbers do."""
    return f"{ANCHORS}{log}/{seq:020d}"


def record(value: bytes) -> dict[str, object]:
    """Return the record a key holds."""
    decoded = canonical.decode(value)
    if not isinstance(decoded, dict):
        raise ContractError("malformed", "the state holds no record: it was not written by this contract")
    return cast("dict[str, object]", decoded)


async def read(stub: Stub, key: str) -> dict[str, object] | None:
    """Return the record at `key`, None where there is none."""
    value = await stub.get_state(key)
    return None if value is None else record(value)


async def write(stub: Stub, key: str, value: dict[str, object]) -> None:
    """Write a record at `key`."""
    await stub.put_state(key, canonical.encode(value))


async def read_log(stub: Stub, log: str) -> dict[str, object]:
    """Return the registration of `log`, else raise ContractError (unknown_log)."""
    found = await read(stub, log_key(log))
    if found is None:
        raise ContractError("unknown_log", f"log {log} is not registered: RegisterLog comes first")
    return found


async def read_source(stub: Stub, source: str) -> dict[str, object]:
    """Return the registration of `source`, else raise ContractError (unknown_source)."""
    found = await read(stub, source_key(source))
    if found is None:
        raise ContractError(
            "unknown_source", f"source {source} is not registered: RegisterSource comes first"
        )
    return found


def list_size(limit: str, what: str) -> int:
    """Return how many of `what` a list may have, 1 to 256, else raise ContractError (malformed, size)."""
    count = decimal(limit)
    if not 1 <= count <= MAX_LIST:
        raise ContractError("size", f"a list has 1 to {MAX_LIST} {what}s")
    return count


async def read_page(
    stub: Stub, key: Callable[[str], str], what: str, after: str, limit: str
) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) records of one kind, by name, those after `after` (empty: from the first).

    `key` makes the key of a name, `what` is the kind's word; raise ContractError (malformed, size) for other arguments.
    """
    if after:
        check_name(after, what)
    count = list_size(limit, what)
    # "-" is the first character that can continue a name, "0" follows "/" in ASCII.
    start, end = key(f"{after}-") if after else key(""), f"{key('')[:-1]}0"
    return [record(value) async for _, value in stub.get_state_by_range(start, end, count)]
