"""Records of the contract as the embedded ledger states them."""

from typing import Final

from bal.anchor import records
from bal.core.commitment import Commitment

KIND: Final = "embedded"
CHANNEL: Final = "certification"


def commitment(value: bytes, block: int, channel: str) -> Commitment:
    """Return the commitment that an anchor's record in `block` states."""
    return records.commitment(value, KIND, channel, block)
