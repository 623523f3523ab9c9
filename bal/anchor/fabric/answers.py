"""What a peer may answer. Another organisation's peer can answer anything: what the contract never says is no answer."""

import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, TypeVar

from bal.anchor.records import of_record
from bal.core.errors import LedgerUnavailable
from chaincode.chain import Head
from chaincode.errors import ContractError
from chaincode.names import check_name

_TEXTS: Final = ("tx_id", "time", "organisation")

ENDS: Final = 64
"""Logs of a page of ListEnds: 80 kB with anchors of one source, 5 MB with anchors of 256."""

T = TypeVar("T")


def read_head(raw: bytes) -> Head:
    """Return what GetHead answered. `LedgerUnavailable`, as all here, where it is nothing of the kind."""
    return _read(raw, Head.from_json)


def read_record(raw: bytes) -> dict[str, Any]:
    """Return what GetAnchor answered: the record of an anchor."""
    return _read(raw, _record)


def read_records(raw: bytes) -> list[dict[str, Any]]:
    """Return what ListAnchors or Anchor answered: records of anchors."""
    return _read(raw, lambda found: [_record(each) for each in _list(found)])


def read_run(raw: bytes, first: int, count: int) -> list[dict[str, Any]] | None:
    """Return what ListAnchors answered: the records of `count` anchors from number `first` on; None for fewer."""
    records = read_records(raw)
    return records if [each["seq"] for each in records] == list(range(first, first + count)) else None


def read_source(raw: bytes) -> dict[str, Any]:
    """Return what GetSource answered: `organisation`, `rules` and `suspended_by` of a registration are there."""
    return _read(raw, _source)


def read_logs(raw: bytes, after: str) -> list[tuple[str, str]]:
    """Return what ListLogs answered: names, each further than the one before and than `after`, and whose logs they are."""
    return _read(raw, lambda found: _logs(_list(found), after))


class LogEnds(NamedTuple):
    """What a peer says of both ends of a log."""

    head: Head
    shown: bool
    """The peer has the anchor too that its head names."""
    sources: tuple[AbstractSet[str], ...]
    """What the first and the newest anchor count."""


def read_ends(raw: bytes, after: str) -> list[LogEnds]:
    """Return what ListEnds answered, by name of the log, each further than the one before and than `after`."""
    return _read(raw, lambda found: _ends(_list(found), after))


def read_objects(raw: bytes) -> list[dict[str, Any]]:
    """Return records of the contract, whichever."""
    return _read(raw, lambda found: [_object(each) for each in _list(found)])


def _read(raw: bytes, of: Callable[[Any], T]) -> T:
    try:
        return of(json.loads(raw))
    except (ContractError, KeyError, TypeError, ValueError, RecursionError):
        message = "a peer answered what the contract never does"
        raise LedgerUnavailable(
            message, subject="certification", remedy="compare the peers with `bal audit`"
        ) from None


def _record(found: Any) -> dict[str, Any]:
    members: dict[str, Any] = _object(found)
    of_record(members, "", "", 0)
    if not all(type(each) is str for each in (*(members[name] for name in _TEXTS), *members["suspended"])):
        raise TypeError
    return members


def _source(found: Any) -> dict[str, Any]:
    members = _object(found)
    if type(members["organisation"]) is not str or type(members["rules"]) is not str:
        raise TypeError
    _object(members["suspended_by"])
    return members


def _logs(found: list[Any], after: str) -> list[tuple[str, str]]:
    logs = []
    for each in found:
        name, owner = check_name(each["log"], "log"), each["organisation"]
        if type(owner) is not str or name <= after:
            raise ValueError
        logs.append((name, owner))
        after = name
    return logs


def _ends(found: list[Any], after: str) -> list[LogEnds]:
    ends: list[LogEnds] = []
    if len(found) > ENDS:
        raise ValueError
    for each in found:
        members = dict(_object(each))
        anchors = {
            name: of_record(_record(members.pop(name)), "", "", 0).anchor
            for name in ("first", "last")
            if name in members
        }
        head, last = Head.from_json(members), anchors.get("last")
        if head.log <= after or any(anchor.log != head.log for anchor in anchors.values()):
            raise ValueError
        shown = (
            (last.seq + 1, last.hash) == (head.next, head.hash)
            if last is not None
            else head == Head(head.log)
        )
        ends.append(LogEnds(head, shown, tuple(anchor.counts.keys() for anchor in anchors.values())))
        after = head.log
    return ends


def _object(found: Any) -> dict[str, Any]:
    if type(found) is not dict:
        raise TypeError
    return found


def _list(found: Any) -> list[Any]:
    if type(found) is not list:
        raise TypeError
    return found
