"""Anchors as signed blocks state them: what a verifier trusts instead of an index anybody could have edited."""

import asyncio
import json
import threading
from array import array

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bal.anchor.embedded.block import LINE_BYTES, VALID, altered, read_block
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.embedded.records import CHANNEL, commitment
from bal.core.commitment import Commitment
from chaincode.state import anchor_key


class SignedAnchors:
    """Finds an anchor by the ledger's index, then answers what the operator's signature in that block stands for.

    One block is checked, not the chain before it: that a block was cut off, or that two signed chains exist, is what
    audits and exported heads find. Where blocks begin is remembered, 8 bytes a block.
    """

    def __init__(self, ledger: EmbeddedLedger, key: Ed25519PublicKey) -> None:
        self._ledger = ledger
        self._key = key
        self._begins = array("Q", [0])
        self._turn = threading.Lock()

    async def find(self, log: str, seq: int) -> Commitment | None:
        """Return the anchor at `(log, seq)`, None where the ledger holds none; `LedgerAltered` for a block that lies."""
        indexed = await self._ledger.find(log, seq)
        if indexed is None:
            return None
        return await asyncio.to_thread(self._signed, log, seq, indexed.block)

    def _signed(self, log: str, seq: int, number: int) -> Commitment | None:
        line = self._line(number)
        try:
            previous = str(json.loads(line)["previous"])
        except (ValueError, KeyError, TypeError):
            raise altered(number, "its line is not a block") from None
        block, _ = read_block(line, number, previous, self._key)
        wanted = anchor_key(log, seq)
        for transaction in block.transactions:
            if transaction.code == VALID:
                for write in transaction.writes:
                    if write.key == wanted:
                        return commitment(write.value.encode(), number, CHANNEL)
        raise altered(number, f"the index says it holds the anchor {log}:{seq}, and it does not")

    def _line(self, number: int) -> bytes:
        """Return line `number` of the file of blocks without its newline; lines not seen before are counted."""
        with self._turn, self._ledger.path.open("rb") as file:
            known = min(number, len(self._begins) - 1)
            file.seek(self._begins[known])
            for _ in range(known, number):
                if not file.readline(LINE_BYTES + 1).endswith(b"\n"):
                    break
                self._begins.append(file.tell())
            line = file.readline(LINE_BYTES + 1) if len(self._begins) > number else b""
        if not line.endswith(b"\n"):
            raise altered(number, "the file ends before it")
        return line[:-1]
