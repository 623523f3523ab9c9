"""Replaying blocks: every transaction is run again and must read, write and answer what its block says."""

from bal.anchor.embedded.block import MVCC_READ_CONFLICT, Block, Transaction, altered
from bal.anchor.embedded.execution import apply, conflicts, execute
from bal.anchor.embedded.identity import Identity
from bal.anchor.embedded.state import WorldState
from chaincode.errors import ContractError


def replay(block: Block, state: WorldState) -> None:
    """Apply a block to the state before it; `LedgerAltered` when it says other than the contract does."""
    for place, transaction in enumerate(block.transactions):
        refused = transaction.code == MVCC_READ_CONFLICT
        if conflicts(transaction, state) != refused:
            raise altered(
                block.number, f"the validation code of transaction {place} is not what the chain gives"
            )
        if refused:
            continue
        if not _same(transaction, state):
            raise altered(block.number, f"transaction {place} does not do what the contract does")
        apply(transaction, state, block.number, place)


def _same(transaction: Transaction, state: WorldState) -> bool:
    identity = Identity(transaction.organisation, frozenset(transaction.roles))
    try:
        again, _ = execute(
            state, transaction.function, transaction.args, identity, transaction.tx_id, transaction.time
        )
    except ContractError:
        return False
    return again == transaction
