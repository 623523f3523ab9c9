"""Anchoring: adding anchors to a log, reading them back, checking an entry against one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaincode import canonical
from chaincode.anchor import MAX_SIZE, Anchor, check_hash
from chaincode.chain import MAX_ANCHORS, Head, check_run
from chaincode.errors import ContractError
from chaincode.merkle import verify_inclusion
from chaincode.names import check_name
from chaincode.numbers import decimal
from chaincode.registry import require_owner, suspended_by
from chaincode.state import (
    ANCHORS,
    BEHIND_ANCHORS,
    anchor_key,
    head_key,
    list_size,
    read,
    read_log,
    read_page,
    read_source,
    record,
    write,
)
from chaincode.stub import Stub

#: What the ledger adds to the members of an anchor.
LEDGER_MEMBERS: Final = ("tx_id", "time", "organisation", "suspended")


async def anchor(stub: Stub, anchors: str) -> list[dict[str, object]]:
    """Add 1 to 64 consecutive anchors (a JSON list) to their log; return their records.

    Anchors that stand there already are answered without a write, others in their place are refused as a fork.
    A suspended source does not stop an anchor: the record names it.
    """
    run = _run(anchors)
    log = run[0].log
    require_owner(stub, await read_log(stub, log), f"log {log}")
    head = await _head(stub, log)
    if run[0].seq > head.next:
        raise ContractError(
            "wrong_sequence", f"log {log} goes on at {head.next}, not at {run[0].seq}: no gaps"
        )
    records = [await _standing(stub, known) for known in run if known.seq < head.next]
    added = run[len(records) :]
    if not added:
        return records
    if added[0].previous != head.hash:
        raise ContractError("wrong_previous", f"anchor {head.next} of log {log} does not follow on its head")
    sources = {source for new in added for source in new.counts}
    suspended = await _suspended(stub, sorted(sources))
    for new in added:
        entry = new.to_json() | {
            "tx_id": stub.tx_id,
            "time": stub.tx_time,
            "organisation": stub.creator_organisation,
            "suspended": sorted(suspended & new.counts.keys()),
        }
        await write(stub, anchor_key(log, new.seq), entry)
        records.append(entry)
    head = head.after(added[-1])
    await write(stub, head_key(log), head.to_json())
    stub.set_event("anchored", canonical.encode({**head.to_json(), "first": added[0].seq}))
    return records


async def get_anchor(stub: Stub, log: str, seq: str) -> dict[str, object]:
    """Return the record of one anchor, else raise ContractError (unknown_log, anchor_unknown)."""
    check_name(log, "log")
    found = await read(stub, anchor_key(log, decimal(seq)))
    if found is None:
        await read_log(stub, log)
        raise ContractError("anchor_unknown", f"log {log} has no anchor {seq} on the ledger")
    return found


async def get_head(stub: Stub, log: str) -> dict[str, object]:
    """Return `{log, next, hash}`: where the log goes on, and on what."""
    check_name(log, "log")
    return (await _head(stub, log)).to_json()


async def list_ends(stub: Stub, after: str, limit: str) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) heads of logs, by name of the log, those after `after` (empty: from the first).

    Beside each head are the records of the `first` and the `last` anchor of its log, as far as they are there: a log
    without anchors has neither.
    """
    heads = await read_page(stub, head_key, "log", after, limit)
    return [await _with_its_ends(stub, head) for head in heads]


async def list_anchors(stub: Stub, log: str, first: str, limit: str) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) records of a log from sequence number `first` on, in order."""
    check_name(log, "log")
    begin, count = decimal(first), list_size(limit, "anchor")
    await read_log(stub, log)
    found = stub.get_state_by_range(anchor_key(log, begin), anchor_key(log, begin + count), count)
    return [record(value) async for _, value in found]


async def list_all_anchors(stub: Stub, log: str, first: str, limit: str) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) records of whatever log, from number `first` of `log` on (empty: from the very first).

    They come by log and number, a log's own in order; logs in the order of their keys, where `a-b` is before `a`.
    """
    if log:
        check_name(log, "log")
    begin, count = decimal(first), list_size(limit, "anchor")
    found = stub.get_state_by_range(anchor_key(log, begin) if log else ANCHORS, BEHIND_ANCHORS, count)
    return [record(value) async for _, value in found]


async def verify_entry(stub: Stub, log: str, seq: str, index: str, leaf: str, path: str) -> dict[str, object]:
    """Return `{"valid": bool}`: whether `leaf` stands at `index` of the batch; the entry itself never comes here."""
    check_hash(leaf, "leaf")
    nodes = canonical.decode(path.encode())
    if not isinstance(nodes, list) or len(nodes) > MAX_SIZE.bit_length() - 1:
        raise ContractError("malformed", "the path is a list of at most 16 hashes")
    raw = [bytes.fromhex(check_hash(node, "a hash of the path")) for node in nodes]
    place = decimal(index)
    found = await get_anchor(stub, log, seq)
    size, root = found["size"], found["root"]
    if type(size) is not int or type(root) is not str:
        raise ContractError("malformed", f"the record of anchor {seq} of log {log} is damaged")
    return {"valid": verify_inclusion(bytes.fromhex(leaf), place, size, raw, bytes.fromhex(root))}


def _run(text: str) -> list[Anchor]:
    values = canonical.decode(text.encode())
    if not isinstance(values, list):
        raise ContractError("malformed", "anchors come as a JSON list")
    if not 1 <= len(values) <= MAX_ANCHORS:
        raise ContractError("size", f"a transaction carries 1 to {MAX_ANCHORS} anchors, not {len(values)}")
    run = [Anchor.from_json(value) for value in values]
    check_run(run)
    return run


async def _head(stub: Stub, log: str) -> Head:
    found = await read(stub, head_key(log))
    if found is None:
        raise ContractError("unknown_log", f"log {log} is not registered: RegisterLog comes first")
    return Head.from_json(found)


async def _with_its_ends(stub: Stub, found: dict[str, object]) -> dict[str, object]:
    head = Head.from_json(found)
    ends = {"first": 0, "last": head.next - 1} if head.next else {}
    records = {name: await read(stub, anchor_key(head.log, seq)) for name, seq in ends.items()}
    return {**found, **{name: each for name, each in records.items() if each is not None}}


async def _standing(stub: Stub, known: Anchor) -> dict[str, object]:
    """Return the record of an anchor that should stand on the ledger, else raise ContractError (fork)."""
    found = await read(stub, anchor_key(known.log, known.seq))
    members = known.to_json()
    if found is None or {name: found.get(name) for name in members} != members:
        raise ContractError("fork", f"another anchor stands at {known.seq} of log {known.log}")
    return found


async def _suspended(stub: Stub, sources: Sequence[str]) -> set[str]:
    """Return which of `sources`, all of them the caller's, are suspended now."""
    suspended = set()
    for source in sources:
        registration = await read_source(stub, source)
        require_owner(stub, registration, f"source {source}")
        if suspended_by(registration):
            suspended.add(source)
    return suspended
