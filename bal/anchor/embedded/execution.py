"""Running the contract on a world state: what a transaction reads, writes and answers."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from bal.anchor.embedded.block import Read, Transaction, Version, Write
from bal.anchor.embedded.identity import Identity
from bal.anchor.embedded.state import WorldState
from chaincode.certification import invoke


@dataclass(slots=True)
class EmbeddedStub:
    """The contract's view of one transaction; remembers what it reads and writes."""

    state: WorldState
    tx_id: str
    tx_time: str
    creator_organisation: str
    creator_roles: frozenset[str]
    reads: dict[str, Version | None] = field(default_factory=dict)
    writes: dict[str, bytes] = field(default_factory=dict)

    async def get_state(self, key: str) -> bytes | None:
        """Return the committed value of `key`."""
        found = self.state.get(key)
        self.reads[key] = found and found.version
        return found and found.value

    async def put_state(self, key: str, value: bytes) -> None:
        """Keep a write for the commit."""
        self.writes[key] = value

    async def get_state_by_range(self, start: str, end: str, limit: int) -> AsyncIterator[tuple[str, bytes]]:
        """Yield committed values in order of their keys."""
        for key, found in self.state.range(start, end, limit):
            yield key, found.value

    def set_event(self, name: str, payload: bytes) -> None:
        """Drop the event: whoever waits here waits for the transaction itself."""


def execute(
    state: WorldState, function: str, args: Sequence[str], identity: Identity, tx_id: str, time: str
) -> tuple[Transaction, bytes]:
    """Run a function on `state`, writing nothing; return the transaction and its answer, raise `ContractError`."""
    stub = EmbeddedStub(state, tx_id, time, identity.organisation, identity.roles)
    answer = _finished(invoke(stub, function, args))
    transaction = Transaction(
        tx_id=tx_id,
        time=time,
        function=function,
        args=tuple(args),
        organisation=identity.organisation,
        roles=tuple(sorted(identity.roles)),
        reads=tuple(Read(key, version) for key, version in sorted(stub.reads.items())),
        writes=tuple(Write(key, value.decode()) for key, value in sorted(stub.writes.items())),
        result=sha256(answer).hexdigest(),
    )
    return transaction, answer


def conflicts(transaction: Transaction, state: WorldState) -> bool:
    """Tell whether a key changed since the transaction read it (Fabric's MVCC rule)."""
    for read in transaction.reads:
        found = state.get(read.key)
        if (found and found.version) != read.version:
            return True
    return False


def apply(transaction: Transaction, state: WorldState, block: int, place: int) -> None:
    """Make the writes of a valid transaction."""
    for write in transaction.writes:
        state.write(write.key, write.value.encode(), (block, place))


def _finished(work: Coroutine[Any, Any, bytes]) -> bytes:
    """Run a coroutine that never waits: this stub's answers are there at once."""
    try:
        work.send(None)
    except StopIteration as done:
        answer: bytes = done.value
        return answer
    work.close()
    message = "the contract waited for something that is not the ledger"
    raise RuntimeError(message)
