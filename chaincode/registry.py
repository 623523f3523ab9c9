"""Registration: who owns a log or a source, which quality rules are in force, which sources are suspended."""

from __future__ import annotations

from typing import Final

from chaincode.anchor import GENESIS, check_hash
from chaincode.chain import Head
from chaincode.errors import ContractError
from chaincode.names import check_name
from chaincode.state import head_key, log_key, read, read_page, read_source, source_key, write
from chaincode.stub import Stub

#: Organisations that may suspend any source. Part of the contract's text: changing it takes a new definition,
#: which the organisations approve, and no transaction of anybody's.
REGULATORS: Final = ("RegulatorMSP",)
#: Rules of a source before SetRules.
NO_RULES: Final = GENESIS
#: Characters of the reason of a suspension: a sentence, no document.
MAX_REASON: Final = 256


async def register_log(stub: Stub, log: str) -> dict[str, object]:
    """Register `log` for the caller's organisation; again by the same one changes nothing."""
    check_name(log, "log")
    _require_admin(stub)
    found = await read(stub, log_key(log))
    if found is not None:
        require_owner(stub, found, f"log {log}")
        return found
    registration: dict[str, object] = {"log": log, **_stamp(stub)}
    await write(stub, log_key(log), registration)
    await write(stub, head_key(log), Head(log).to_json())
    return registration


async def register_source(stub: Stub, source: str, rules: str = NO_RULES) -> dict[str, object]:
    """Register `source` for the caller's organisation; again by the same one changes nothing."""
    check_name(source, "source")
    check_hash(rules, "rules")
    _require_admin(stub)
    found = await read(stub, source_key(source))
    if found is not None:
        require_owner(stub, found, f"source {source}")
        if rules not in (NO_RULES, found["rules"]):
            raise ContractError("exists", f"source {source} is registered with other rules: use SetRules")
        return found
    registration: dict[str, object] = {"source": source, "rules": rules, "suspended_by": {}, **_stamp(stub)}
    await write(stub, source_key(source), registration)
    return registration


async def set_rules(stub: Stub, source: str, rules: str) -> dict[str, object]:
    """Record the digest of the quality rules in force for a source of the caller's organisation."""
    check_name(source, "source")
    check_hash(rules, "rules")
    _require_admin(stub)
    found = await read_source(stub, source)
    require_owner(stub, found, f"source {source}")
    if found["rules"] == rules:
        return found
    return await _changed(stub, found, "rules", rules)


async def suspend_source(stub: Stub, source: str, action: str, why: str = "") -> dict[str, object]:
    """Suspend or resume a source, as its owner or as a regulator; `why` stands on the ledger for all to read.

    A suspension is lifted only by the organisation that made it: an owner can't undo the regulator's.
    """
    check_name(source, "source")
    if action not in ("suspend", "resume"):
        raise ContractError("malformed", "the action is suspend or resume")
    if len(why) > MAX_REASON or not why.isprintable():
        raise ContractError(
            "malformed", f"the reason is one printable line of at most {MAX_REASON} characters"
        )
    _require_admin(stub)
    found = await read_source(stub, source)
    caller = stub.creator_organisation
    if caller not in REGULATORS:
        require_owner(stub, found, f"source {source}")
    by = suspended_by(found)
    if (caller in by) == (action == "suspend"):
        return found
    others = {organisation: reason for organisation, reason in by.items() if organisation != caller}
    return await _changed(
        stub, found, "suspended_by", {**others, caller: why} if action == "suspend" else others
    )


async def get_source(stub: Stub, source: str) -> dict[str, object]:
    """Return the registration of a source: owner, rules, and who suspends it and why."""
    check_name(source, "source")
    return await read_source(stub, source)


async def list_logs(stub: Stub, after: str, limit: str) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) registrations of logs, by name, those after `after` (empty: from the first)."""
    return await read_page(stub, log_key, "log", after, limit)


async def list_sources(stub: Stub, after: str, limit: str) -> list[dict[str, object]]:
    """Return at most `limit` (1 to 256) registrations of sources, as `list_logs` does those of logs."""
    return await read_page(stub, source_key, "source", after, limit)


def suspended_by(registration: dict[str, object]) -> dict[str, object]:
    """Return the organisations that suspend a registered source, with their reasons; none: it is not suspended."""
    by = registration["suspended_by"]
    if not isinstance(by, dict):
        raise ContractError("malformed", "suspended_by of a source is an object by organisation")
    return by


def require_owner(stub: Stub, registration: dict[str, object], what: str) -> None:
    """Raise ContractError (wrong_organisation) unless the caller's organisation registered `what`."""
    if registration["organisation"] != stub.creator_organisation:
        raise ContractError(
            "wrong_organisation", f"{what} belongs to another organisation than {stub.creator_organisation}"
        )


def _require_admin(stub: Stub) -> None:
    if "admin" not in stub.creator_roles:
        raise ContractError("not_admin", f"only an admin of {stub.creator_organisation} may do this")


def _stamp(stub: Stub) -> dict[str, object]:
    return {"organisation": stub.creator_organisation, "tx_id": stub.tx_id, "time": stub.tx_time}


async def _changed(stub: Stub, found: dict[str, object], member: str, value: object) -> dict[str, object]:
    registration = {**found, member: value, "tx_id": stub.tx_id, "time": stub.tx_time}
    await write(stub, source_key(str(found["source"])), registration)
    return registration
