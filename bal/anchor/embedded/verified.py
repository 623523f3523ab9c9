"""The verified chain: all anchors of a ledger's file, each proven by replaying the blocks before it."""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bal.anchor.embedded.block import VALID
from bal.anchor.embedded.blockfile import BlockReader, Tip
from bal.anchor.embedded.records import CHANNEL, commitment
from bal.anchor.embedded.replay import replay
from bal.anchor.embedded.state import WorldState
from bal.core.commitment import Commitment
from chaincode.state import ANCHORS

_COMMIT_BLOCKS = 256


class VerifiedChain:
    """Iterating yields every committed anchor in the ledger's order and checks every byte before it.

    Hash, order, signature, canonical form, validation codes, and the contract run again. Raises `LedgerAltered` naming
    the first block that does not fit. Memory is bounded: the state it builds lies in a private file when it grows.
    `tip` says how far it came; `until` (bytes) ends it there, for a file that is being written. A missing file is an
    empty chain: whether a chain is too short only the SCD's own record of anchored batches tells.
    """

    def __init__(
        self, path: Path, key: Ed25519PublicKey, *, channel: str = CHANNEL, until: int | None = None
    ) -> None:
        self._path = path
        self._key = key
        self._channel = channel
        self._until = until
        self.tip = Tip()
        self.others: dict[str, bytes] = {}
        """What the chain says of all that is no anchor (logs, heads, sources), by key, as of `tip`."""

    def __iter__(self) -> Iterator[Commitment]:
        reader = BlockReader(self._path, self._key)
        state = WorldState()
        try:
            for block in reader if self._until is None else reader.until(self._until):
                replay(block, state)
                self.tip = reader.tip
                if block.number % _COMMIT_BLOCKS == 0:
                    state.commit()
                for transaction in block.transactions:
                    if transaction.code != VALID:
                        continue
                    for write in transaction.writes:
                        if write.key.startswith(ANCHORS):
                            yield commitment(write.value.encode(), block.number, self._channel)
                        else:
                            self.others[write.key] = write.value.encode()
        finally:
            state.close()


def verify_chain(path: Path, key: Ed25519PublicKey, *, channel: str = CHANNEL) -> VerifiedChain:
    """Return the chain of the ledger file at `path` for iteration; `key` is the operator's."""
    return VerifiedChain(path, key, channel=channel)
