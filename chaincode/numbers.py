"""Numbers in the arguments of a contract, which are texts."""

from __future__ import annotations

import re
from typing import Final

from chaincode.canonical import MAX_INTEGER
from chaincode.errors import ContractError

#: Records a list answers at most: 256 anchors of 256 sources stay under 12 MiB, usual ones under 256 KiB.
MAX_LIST: Final = 256
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,15}")


def decimal(text: str) -> int:
    """Return the number `text` writes: 0 to 2**53 - 1 without leading zeros, else raise ContractError (malformed)."""
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_INTEGER:
        raise ContractError(
            "malformed", "a number is written in decimal, 0 to 2**53 - 1, without leading zeros"
        )
    return int(text)
