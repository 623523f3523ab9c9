"""Records of the contract as the domain's values."""

from typing import Any, Final

from bal.core.commitment import Commitment
from chaincode.anchor import Anchor
from chaincode.state import record

KIND: Final = "embedded"
CHANNEL: Final = "certification"


def commitment(value: bytes, block: int, channel: str) -> Commitment:
    """Return the commitment that an anchor's record in `block` states."""
    members: dict[str, Any] = record(value)
    own = {name: members.pop(name) for name in ("tx_id", "time", "organisation")}
    suspended = tuple(members.pop("suspended"))
    return Commitment(Anchor.from_json(members), KIND, channel, block=block, suspended=suspended, **own)
