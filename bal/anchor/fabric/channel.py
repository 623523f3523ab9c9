"""What the ledger asks of a Fabric channel: calls of the contract, on all peers or on one, and the blocks."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol


class Stale(Exception):
    """Endorsers had other states, or the state moved on before the commit: nothing was written; read and try again."""


class Committed(NamedTuple):
    """A valid transaction."""

    answer: bytes
    """What the contract returned."""
    tx_id: str
    block: int
    told_by: str
    """Address of the peer whose gateway told of the commit."""


class Channel(Protocol):
    """A channel with the contract on it, reached through one or more peers.

    Every call raises `LedgerUnavailable` where no answer came, and `ContractError` where the contract refuses.
    """

    @property
    def name(self) -> str:
        """The channel's."""

    @property
    def chaincode(self) -> str:
        """Name of the contract on the channel: the namespace of its keys."""

    @property
    def organisation(self) -> str:
        """MSP id of the identity that calls."""

    @property
    def peers(self) -> Sequence[str]:
        """Addresses of the peers, one's own organisation's first."""

    @property
    def members(self) -> Mapping[str, str]:
        """Organisation (MSP id) of each of these peers, in the same order."""

    async def evaluate(
        self, function: str, args: Sequence[str], peer: str | None = None, *, admin: bool = False
    ) -> bytes:
        """Return what the contract answers on one peer, which may lag a block or two; by default on whichever answers."""
        ...

    async def submit(
        self, function: str, args: Sequence[str], *, admin: bool = False, organisations: Sequence[str] = ()
    ) -> Committed:
        """Have a transaction endorsed, by peers of `organisations` where some are named, ordered and committed.

        `Stale`, `LedgerOutcomeUnknown`.
        """
        ...

    async def block_of(self, tx_id: str, peer: str) -> int | None:
        """Return the number of the block that holds a transaction, None where that peer has none."""
        ...

    async def height(self) -> int:
        """Return how many blocks the first peer has."""
        ...

    def blocks(self, first: int, end: int) -> AsyncIterator[bytes]:
        """Yield the blocks from number `first` up to but without `end` as the first peer has them (`common.Block`)."""
        ...

    async def close(self) -> None:
        """Let all connections go."""
        ...
