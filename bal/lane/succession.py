"""Succession: the log that follows one the contract has refused a batch of, and the batches carried over into it."""

from dataclasses import replace
from itertools import count

import structlog

from bal.core.batch import seal
from bal.core.entry import SALT_BYTES, leaves
from bal.core.errors import Invalid, LaneLost, LedgerRefused
from bal.core.message import Receipt
from bal.core.source import Lane
from bal.ports import BatchPlace, BatchRecord, ClosedLog, Ledger, Random, Store
from chaincode.anchor import GENESIS, Anchor
from chaincode.merkle import root

_log = structlog.get_logger()
_TAKEN = frozenset(("exists", "wrong_organisation"))
"""The contract's codes for a log that somebody else has registered."""
_NAME_CHARACTERS = 48


def numbered(lane: str, number: int) -> str:
    """Return the name of a lane's `number`-th log, within the grammar of names."""
    end = f"-{number}"
    return lane[: _NAME_CHARACTERS - len(end)] + end


def is_of(lane: str, log: str) -> bool:
    """Tell whether a log is named as those of a lane are: its first one, or one that followed."""
    number = log.rpartition("-")[2]
    return log == lane or (number.isdecimal() and int(number) > 1 and log == numbered(lane, int(number)))


class Succession:
    """Opens the log of a lane; carries what a closed one has left into it."""

    def __init__(self, store: Store, ledger: Ledger, random: Random) -> None:
        self._store = store
        self._ledger = ledger
        self._random = random

    async def open_log(self, lane: Lane, now: int) -> Lane:
        """Return the lane with a log that is open and registered: the one on record, or a new one when that is closed."""
        lane = next((each for each in await self._store.lanes() if each.name == lane.name), lane)
        closed = {each.log for each in await self._store.closed_logs()}
        if lane.log not in closed:
            await self._ledger.register_log(lane.log)
            return lane
        known = set(await self._store.logs())
        for number in count(2):
            name = numbered(lane.name, number)
            if name in known:
                continue
            try:
                await self._ledger.register_log(name)
            except LedgerRefused as error:
                if error.code not in _TAKEN:
                    raise
                continue
            opened = Lane(lane.name, name, now)
            await self._store.record_lane(opened)
            _log.warning("log opened after a closed one", lane=lane.name, closed=lane.log, log=name)
            return opened
        raise AssertionError

    async def closed(self, lane: Lane) -> list[ClosedLog]:
        """Return the closed logs of a lane in order."""
        return [each for each in await self._store.closed_logs() if each.lane == lane.name]

    async def carry_over(self, lane: Lane, now: int) -> None:
        """Seal the unanchored batches of the lane's closed logs anew in its open log, in order.

        Raises `LaneLost` when the ledger holds another anchor in the place of one, `Invalid` when the stored rows are not
        what was sealed: what was altered must not be anchored as if it had been received so.
        """
        for closed in await self.closed(lane):
            for anchor in await self._store.unanchored(closed.log):
                standing = await self._ledger.find(anchor.log, anchor.seq)
                if standing is None:
                    await self._carry(anchor, lane.log, now)
                elif standing.anchor.hash == anchor.hash:
                    await self._store.mark_anchored([standing])
                else:
                    message = "the ledger holds another anchor at this sequence number"
                    raise LaneLost(message, subject=f"{anchor.log}:{anchor.seq}", remedy="run `bal audit`")

    async def left_to_publish(self, lane: Lane) -> list[BatchPlace]:
        """Return the anchored batches of closed logs that no output has acknowledged yet, in order."""
        return [
            BatchPlace(closed.log, seq)
            for closed in await self.closed(lane)
            for seq in await self._store.unpublished(closed.log)
        ]

    async def readdressed(self, receipt: Receipt, log: str) -> Receipt:
        """Return `receipt` with the addresses its readings have now, where some stand outside the open `log`."""
        if all(part.log == log for part in receipt.ranges):
            return receipt
        known = await self._store.receipt(receipt.source, receipt.digest)
        return receipt if known is None else replace(receipt, ranges=known.ranges)

    async def last_sealed(self, lane: Lane) -> int:
        """Return when the newest batch of any of the lane's logs was sealed, 0 for none."""
        logs = [*(closed.log for closed in await self.closed(lane)), lane.log]
        found = [await self._store.last_batch(log) for log in logs]
        return max((record.sealed_at for record in found if record is not None), default=0)

    async def _carry(self, anchor: Anchor, log: str, now: int) -> None:
        rows = await self._store.entries(anchor.log, anchor.seq)
        entries = [row.entry for row in rows]
        whole = [row.address.index for row in rows] == list(range(anchor.size))
        if not whole or root(leaves(entries, [row.salt for row in rows])).hex() != anchor.root:
            message = "the stored rows of a batch are not what was sealed"
            raise Invalid(message, subject=f"{anchor.log}:{anchor.seq}", remedy="run `bal audit`")
        old = await self._store.batch(
            anchor.log, anchor.seq
        )  # sealed after all before it, and after it was received
        last: BatchRecord | None = await self._store.last_batch(log)
        drawn = self._random.bytes(SALT_BYTES * len(rows))
        salts = [drawn[start : start + SALT_BYTES] for start in range(0, len(drawn), SALT_BYTES)]
        batch = seal(
            log=log,
            seq=0 if last is None else last.anchor.seq + 1,
            previous=GENESIS if last is None else last.anchor.hash,
            entries=entries,
            salts=salts,
            leaves=leaves(entries, salts),
            rules=dict(anchor.rules),
            receipts=(),
            sealed_at=max(now, 0 if last is None else last.sealed_at, old.sealed_at),
        )
        await self._store.carry_over(anchor.log, anchor.seq, batch)
