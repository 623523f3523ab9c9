"""Anchors as signed blocks state them: what a verifier trusts instead of an index anybody could have edited."""

import asyncio
import json
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bal.anchor.block import LINE_BYTES, VALID, altered, read_block
from bal.anchor.ledger import EmbeddedLedger
from bal.anchor.records import CHANNEL, commitment
from bal.core.commitment import Commitment
from chaincode.state import anchor_key


class SignedAnchors:
    """Finds an anchor by the ledger's index, then answers what the operator's signature in that block stands for.

    One block is checked, not the chain before it: that a block was cut off, or that two signed chains exist, is what
    audits and exported heads find.
    """

    def __init__(self, ledger: EmbeddedLedger, key: Ed25519PublicKey) -> None:
        self._ledger = ledger
        self._key = key

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return the anchor at `(log, seq)`, None where the ledger holds none; `LedgerAltered` for a block that lies."""
        indexed = await self._ledger.find(log, seq)
        if indexed is None:
            return None
        return await asyncio.to_thread(_signed, self._ledger.path, self._key, log, seq, indexed.block)


def _signed(path: Path, key: Ed25519PublicKey, log: str, seq: int, number: int) -> Commitment | None:
    line = _line(path, number)
    try:
        previous = str(json.loads(line)["previous"])
    except (ValueError, KeyError, TypeError):
        raise altered(number, "its line is not a block") from None
    block, _ = read_block(line, number, previous, key)
    wanted = anchor_key(log, seq)
    for transaction in block.transactions:
        if transaction.code == VALID:
            for write in transaction.writes:
                if write.key == wanted:
                    return commitment(write.value.encode(), number, CHANNEL)
    raise altered(number, f"the index says it holds the anchor {log}:{seq}, and it does not")


def _line(path: Path, number: int) -> bytes:
    """Return line `number` of the file of blocks without its newline; lines before it are only counted."""
    with path.open("rb") as file:
        line = next(islice(iter(lambda: file.readline(LINE_BYTES + 1), b""), number, None), b"")
    if not line.endswith(b"\n"):
        raise altered(number, "the file ends before it")
    return line[:-1]
