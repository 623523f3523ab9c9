"""Heads: how far a log has come by the store and by the ledger, compared before anything is written."""

from collections.abc import Sequence

from bal.core.errors import LaneLost, LedgerAltered
from bal.ports import BatchRecord, Ledger, Store
from chaincode.anchor import Anchor


async def compare(
    store: Store, ledger: Ledger, log: str, last: BatchRecord | None, waiting: Sequence[Anchor]
) -> None:
    """Hold the newest batch of the store, of which `waiting` are not marked anchored, against the ledger's head.

    Raises `LedgerAltered` when the ledger lacks what it had confirmed or holds something else, `LaneLost` when it is ahead.
    """
    newest = -1 if last is None else last.anchor.seq
    head = await ledger.head(log)
    standing = -1 if head is None else head.anchor.seq
    if standing < newest - len(waiting):
        message = "the ledger lacks anchors it had confirmed"
        raise LedgerAltered(message, block=-1, subject=log, remedy="run `bal audit`; restore the ledger")
    if standing > newest:
        message = (
            "the ledger is ahead of this database: it is an older copy, or another worker writes this log"
        )
        raise LaneLost(message, subject=log, remedy="restore the newest copy of the database")
    if head is not None and (await store.batch(log, standing)).anchor.hash != head.anchor.hash:
        message = "the ledger holds another anchor than this database"
        raise LedgerAltered(message, block=head.block, subject=f"{log}:{standing}", remedy="run `bal audit`")
