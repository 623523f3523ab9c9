"""Records of the contract as the domain's values."""

from typing import Any

from bal.core.commitment import Commitment
from chaincode.anchor import Anchor
from chaincode.state import record


def commitment(value: bytes, kind: str, channel: str, block: int) -> Commitment:
    """Return the commitment that an anchor's record (canonical JSON) in `block` states. `ContractError`, `KeyError`."""
    return of_record(record(value), kind, channel, block)


def of_record(found: dict[str, Any], kind: str, channel: str, block: int) -> Commitment:
    """Return the commitment that an anchor's record, decoded, in `block` states. `ContractError`, `KeyError`."""
    members = dict(found)
    own = {name: members.pop(name) for name in ("tx_id", "time", "organisation")}
    suspended = tuple(members.pop("suspended"))
    return Commitment(Anchor.from_json(members), kind, channel, block=block, suspended=suspended, **own)
