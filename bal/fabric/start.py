"""Where a stream of events starts."""

from dataclasses import dataclass
from typing import Any

from fabric_protos.orderer import ab_pb2 as orderer

from bal.fabric.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Start:
    """A block, and for chaincode events the transaction in it that was the last one seen; no block: the next commit."""

    block: int | None = None
    transaction_id: str = ""

    @classmethod
    def of(cls, block: int | None, checkpoint: Checkpoint | None) -> "Start":
        """Take the checkpoint if it holds anything, else the block."""
        if checkpoint is None or checkpoint.block_number is None:
            return cls(block)
        return cls(checkpoint.block_number, checkpoint.transaction_id)


def position(block: int | None) -> Any:
    """Return orderer.SeekPosition."""
    if block is None:
        return orderer.SeekPosition(next_commit=orderer.SeekNextCommit())
    return orderer.SeekPosition(specified=orderer.SeekSpecified(number=block))
