"""The chain at work: transactions are run, wait for their block, and are answered once it is on disk."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bal.anchor.embedded.block import LINE_BYTES, MVCC_READ_CONFLICT, VALID, Block, Transaction
from bal.anchor.embedded.blockfile import BlockFile, BlockReader, Tip, ends_at, sync_directory
from bal.anchor.embedded.execution import apply, conflicts, execute
from bal.anchor.embedded.identity import Identity
from bal.anchor.embedded.replay import replay
from bal.anchor.embedded.state import StateDamaged, WorldState, remove
from bal.core.errors import LedgerAltered, LedgerError, LedgerOutcomeUnknown, LedgerUnavailable
from bal.core.instant import instant_text
from bal.ports import Clock, Random

BLOCKS: Final = "blocks.jsonl"
STATE: Final = "state.sqlite"
BLOCK_TRANSACTIONS: Final = 256
"""Most transactions of one block: its waiters are answered within one write."""
ATTEMPTS: Final = 16
"""How often a transaction overtaken by others is run again; each time at least one other of the block was valid."""
_COMMIT_BLOCKS: Final = 256

T = TypeVar("T")


class Waiting(NamedTuple):
    """A transaction on its way into a block, and the future of its validation code."""

    transaction: Transaction
    code: "asyncio.Future[str]"


class EmbeddedChain:
    """The blocks, the world state over them, and the queue before them. One process at a time may write.

    Transactions that come while a block is being written share the next one. Nothing is visible or answered before its
    block is on disk.
    """

    def __init__(self, blocks: BlockFile, key: Ed25519PrivateKey, clock: Clock, random: Random) -> None:
        self.path = blocks.path
        self._blocks = blocks
        self._key = key
        self._public = key.public_key()
        self._clock = clock
        self._random = random
        self._state, self.tip = load(blocks.path, self._public)
        if blocks.size > self.tip.offset:
            blocks.cut(self.tip.offset)
        self._waiting: deque[Waiting] = deque()
        self._committer: asyncio.Task[None] | None = None
        self._unclear = False
        self._closed = False

    @classmethod
    def open(cls, directory: Path, key: Ed25519PrivateKey, clock: Clock, random: Random) -> Self:
        """Open or begin the ledger in `directory`; blocks the index lacks are replayed.

        Raises `LedgerAltered` for a file that is not as it was written, `HomeLocked` when another process has it open.
        An incomplete last line is cut off: its transactions were never answered.
        """
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.parent)
        blocks = BlockFile(directory / BLOCKS)
        try:
            return cls(blocks, key, clock, random)
        except BaseException:
            blocks.close()
            raise

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that all blocks are signed with."""
        return self._public

    def reading(self, work: Callable[[WorldState], T]) -> T:
        """Return `work` of the committed state; a damaged index is made anew first."""
        if self._closed:
            raise LedgerUnavailable("the ledger is closed", subject="ledger", remedy="open it again")
        try:
            return work(self._state)
        except StateDamaged:
            self._rebuild()
            return work(self._state)

    async def submit(self, identity: Identity, function: str, args: Sequence[str]) -> bytes:
        """Run a function and return its answer once its block is on disk; raise `ContractError` for a refusal.

        A transaction that writes nothing is answered without a block; one overtaken by others is run again.
        """
        for _ in range(ATTEMPTS):
            self._clear()
            transaction, answer = self._run(identity, function, args)
            if not transaction.writes:
                return answer
            waiting = Waiting(transaction, asyncio.get_running_loop().create_future())
            # Whoever waited may have been cancelled: an outcome nobody asks for is no fault.
            waiting.code.add_done_callback(lambda future: future.cancelled() or future.exception())
            self._waiting.append(waiting)
            if self._committer is None:
                self._committer = asyncio.create_task(self._commit_waiting(), name="ledger-blocks")
            if await asyncio.shield(waiting.code) == VALID:
                return answer
        raise LedgerUnavailable(
            f"{function} was overtaken {ATTEMPTS} times by other transactions",
            subject="ledger",
            remedy="let one worker write a log, then try again",
        )

    async def close(self) -> None:
        """Finish the blocks that are waited for and let the files go."""
        if self._committer is not None:
            await asyncio.wait([self._committer])
        if not self._closed:
            self._closed = True
            self._state.close()
            self._blocks.close()

    def _run(self, identity: Identity, function: str, args: Sequence[str]) -> tuple[Transaction, bytes]:
        tx_id, time = self._random.bytes(32).hex(), instant_text(self._clock.now())
        return self.reading(lambda state: execute(state, function, args, identity, tx_id, time))

    async def _commit_waiting(self) -> None:
        taken: list[Waiting] = []
        try:
            while self._waiting:
                taken = self._take()
                await self._commit(taken)
        except BaseException as error:
            self._unclear = True
            outcome = error if isinstance(error, LedgerAltered) else _unknown()
            for waiting in (*taken, *self._waiting):
                if not waiting.code.done():
                    waiting.code.set_exception(outcome)
            self._waiting.clear()
            if not isinstance(error, (OSError, LedgerError)):
                raise
        finally:
            self._committer = None

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        room = LINE_BYTES // 2
        while self._waiting and len(taken) < BLOCK_TRANSACTIONS:
            transaction = self._waiting[0].transaction
            room -= sum(map(len, transaction.args)) + sum(len(write.value) for write in transaction.writes)
            if taken and room < 0:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _commit(self, taken: list[Waiting]) -> None:
        transactions = tuple(self.reading(lambda state: _judged(taken, state)))
        block = Block(self.tip.height, self.tip.hash, instant_text(self._clock.now()), transactions)
        digest, line = block.seal(self._key)
        try:
            await asyncio.to_thread(self._blocks.append, line)
        except OSError as error:
            # Cut back to the last block; if that fails too, the file's end is unknown and so is the outcome.
            await asyncio.to_thread(self._blocks.cut, self.tip.offset)
            for waiting in taken:
                waiting.code.set_exception(_unwritten(error))
            return
        self.tip = Tip(block.number + 1, digest, self.tip.offset + len(line))
        self._apply(block)
        for waiting, transaction in zip(taken, transactions, strict=True):
            waiting.code.set_result(transaction.code)

    def _apply(self, block: Block) -> None:
        try:
            for place, transaction in enumerate(block.transactions):
                if transaction.code == VALID:
                    apply(transaction, self._state, block.number, place)
            self._state.move(self.tip)
            self._state.commit()
        except StateDamaged:
            self._rebuild()

    def _clear(self) -> None:
        """After a write that failed: cut the file back to the last block it is known to hold."""
        if self._unclear:
            try:
                self._blocks.cut(self.tip.offset)
            except OSError as error:
                raise _unwritten(error) from None
            self._unclear = False

    def _rebuild(self) -> None:
        self._state.close()
        remove(self.path.with_name(STATE))
        self._state, _ = load(self.path, self._public, until=self.tip.offset)


def load(path: Path, key: Ed25519PublicKey, until: int | None = None) -> tuple[WorldState, Tip]:
    """Return the world state of the file's blocks, from the index beside it as far as that fits, and where they end.

    An index that is missing, damaged, of another chain or behind is made anew or brought up. A block that does not
    replay on an index is tried once more from block 0, so that only the blocks' own fault is called one.
    """
    index = path.with_name(STATE)
    try:
        state = WorldState(index)
    except StateDamaged:
        remove(index)
        state = WorldState(index)
    try:
        if state.tip.height == 0 or not ends_at(path, key, state.before, state.tip):
            state = _anew(state, index)
        try:
            tip = _catch_up(path, key, state, until)
        except (LedgerAltered, StateDamaged):
            state = _anew(state, index)
            tip = _catch_up(path, key, state, until)
    except BaseException:
        state.close()
        raise
    return state, tip


def _anew(state: WorldState, index: Path) -> WorldState:
    state.close()
    remove(index)
    return WorldState(index)


def _catch_up(path: Path, key: Ed25519PublicKey, state: WorldState, until: int | None) -> Tip:
    reader = BlockReader(path, key, state.tip)
    blocks = reader if until is None else reader.until(until)
    for count, block in zip(itertools.count(1), blocks, strict=False):
        replay(block, state)
        state.move(reader.tip)
        if count % _COMMIT_BLOCKS == 0:
            state.commit()
    state.commit()
    return reader.tip


def _judged(taken: Sequence[Waiting], state: WorldState) -> list[Transaction]:
    """Return the transactions with their validation codes, each against the state and those valid before it."""
    changed: set[str] = set()
    judged = []
    for transaction, _ in taken:
        if any(read.key in changed for read in transaction.reads) or conflicts(transaction, state):
            judged.append(transaction.coded(MVCC_READ_CONFLICT))
        else:
            changed.update(write.key for write in transaction.writes)
            judged.append(transaction)
    return judged


def _unwritten(error: OSError) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"the ledger's file could not be written: {error.strerror}",
        subject="ledger",
        remedy="make room or repair the disk, then try again",
    )


def _unknown() -> LedgerOutcomeUnknown:
    return LedgerOutcomeUnknown(
        "the block was not finished", subject="ledger", remedy="read the anchor, then submit the same again"
    )
