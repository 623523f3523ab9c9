"""How far events have been dealt with."""

from typing import Protocol

from bal.fabric.chaincode_event import ChaincodeEvent


class Checkpoint(Protocol):
    """A place to go on from."""

    @property
    def block_number(self) -> int | None:
        """Return the block to start at; None before anything was noted."""

    @property
    def transaction_id(self) -> str:
        """Return the last transaction dealt with in that block; empty if none was."""


class Checkpointer:
    """A checkpoint kept in memory. Note an event after it has been dealt with: a crash in between brings it again."""

    def __init__(self) -> None:
        self._block_number: int | None = None
        self._transaction_id = ""

    @property
    def block_number(self) -> int | None:
        """Return the block to start at; None before anything was noted."""
        return self._block_number

    @property
    def transaction_id(self) -> str:
        """Return the last transaction dealt with in that block; empty if none was."""
        return self._transaction_id

    async def checkpoint_block(self, number: int) -> None:
        """Note that all of a block has been dealt with."""
        await self._note(number + 1, "")

    async def checkpoint_transaction(self, block_number: int, transaction_id: str) -> None:
        """Note that a transaction of a block has been dealt with, and all before it."""
        await self._note(block_number, transaction_id)

    async def checkpoint_chaincode_event(self, event: ChaincodeEvent) -> None:
        """Note that a chaincode event has been dealt with."""
        await self._note(event.block_number, event.transaction_id)

    async def _note(self, block_number: int, transaction_id: str) -> None:
        self._block_number = block_number
        self._transaction_id = transaction_id
