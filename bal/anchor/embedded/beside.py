"""The chain as another process reads it while one writes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bal.anchor.embedded.blockfile import BlockReader, Tip, ends_at
from bal.anchor.embedded.chain import BLOCKS, STATE
from bal.anchor.embedded.identity import Identity
from bal.anchor.embedded.replay import replay
from bal.anchor.embedded.state import StateDamaged, WorldState
from bal.core.errors import HomeLocked

T = TypeVar("T")


class ChainBeside:
    """Reads the writer's index where it fits the blocks, else one of its own, replayed from them and then standing still.

    Nothing is written, locked or cut off; blocks still on their way into the index are not seen yet.
    """

    def __init__(self, directory: Path, key: Ed25519PublicKey) -> None:
        self.path = directory / BLOCKS
        self.public_key = key
        self._state = _writers_index(self.path, key) or _own_index(self.path, key)

    @property
    def tip(self) -> Tip:
        """Where the chain ends as far as it is seen here."""
        return self.reading(WorldState.tips)[1]

    def reading(self, work: Callable[[WorldState], T]) -> T:
        """Return `work` of the state; a damaged index is left to its writer and one of our own is made."""
        try:
            return work(self._state)
        except StateDamaged:
            self._state.close()
            self._state = _own_index(self.path, self.public_key)
            return work(self._state)

    async def submit(self, identity: Identity, function: str, args: Sequence[str]) -> bytes:
        """Raise `HomeLocked`: who reads beside does not write."""
        raise HomeLocked(
            f"{function} by {identity.organisation} with {len(args)} arguments: the ledger is open for reading only",
            subject="ledger",
            remedy="go through the process that writes it, or open it for writing",
        )

    async def close(self) -> None:
        """Let the files go."""
        self._state.close()


def _writers_index(path: Path, key: Ed25519PublicKey) -> WorldState | None:
    index = path.with_name(STATE)
    if not index.exists():
        return None
    try:
        state = WorldState(index, beside=True)
    except StateDamaged:
        return None
    if ends_at(path, key, state.before, state.tip):
        return state
    state.close()
    return None


def _own_index(path: Path, key: Ed25519PublicKey) -> WorldState:
    state = WorldState()
    reader = BlockReader(path, key)
    for block in reader:
        replay(block, state)
        state.move(reader.tip)
    state.commit()
    return state
