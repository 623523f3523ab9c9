"""Anchoring: stored batches onto the ledger, in sequence, each exactly once whatever the ledger answers."""

from collections.abc import Sequence

import structlog

from bal.core.commitment import Commitment
from bal.core.errors import LaneLost, LedgerOutcomeUnknown, LedgerRefused, LedgerUnavailable
from bal.lane.settings import LaneSettings
from bal.ports import Clock, Ledger
from chaincode.anchor import Anchor

_log = structlog.get_logger()
_FIRST_PAUSE = 0.05


class Anchoring:
    """Submits the anchors of one log and settles unknown outcomes by reading."""

    def __init__(self, ledger: Ledger, clock: Clock, settings: LaneSettings) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings

    async def commit(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        """Return the commitments of the first of consecutive anchors, one at least, once the ledger holds them.

        All of them but where the contract refuses one: then those before it. Goes on for as long as the ledger is
        unavailable. Raises `LaneLost` when another root stands at one of our sequence numbers, `LedgerRefused` when the
        contract refuses the first for good.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._attempt(anchors)
            except LedgerOutcomeUnknown as error:
                _log.warning("outcome unknown", log=anchors[0].log, seq=anchors[0].seq, error=error.what)
                settled = await self._settle(anchors)
                if settled is not None:
                    return settled
            except LedgerUnavailable as error:
                _log.warning("ledger unavailable", log=anchors[0].log, seq=anchors[0].seq, error=error.what)
            except LedgerRefused:
                if len(anchors) == 1:
                    raise
                anchors = anchors[: len(anchors) // 2]
                continue
            await self._clock.sleep(pause)
            pause = min(2 * pause, self._settings.retry_seconds)

    async def _attempt(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        try:
            return await self._ledger.anchor(anchors)
        except LedgerRefused:
            standing = await self._standing(anchors)
            if standing is None:
                raise
            return standing

    async def _settle(self, anchors: Sequence[Anchor]) -> list[Commitment] | None:
        deadline = self._clock.monotonic() + self._settings.settle_seconds
        pause = _FIRST_PAUSE
        while self._clock.monotonic() < deadline:
            try:
                found = await self._standing(anchors)
            except LedgerUnavailable:
                found = None
            if found is not None:
                return found
            await self._clock.sleep(pause)
            pause = min(2 * pause, 1.0)
        return None

    async def _standing(self, anchors: Sequence[Anchor]) -> list[Commitment] | None:
        """Return what the ledger holds of all `anchors`, None while any is missing.

        `LaneLost` when one is another, `LedgerUnavailable` when that can't be read.
        """
        found = []
        for anchor in anchors:
            try:
                commitment = await self._ledger.find(anchor.log, anchor.seq)
            except LedgerRefused as error:  # to read it: that tells nothing of what stands
                raise LedgerUnavailable(error.what, subject=error.subject, remedy=error.remedy) from error
            if commitment is None:
                return None
            if commitment.anchor.hash != anchor.hash:
                message = "the ledger holds another anchor at this sequence number"
                raise LaneLost(
                    message,
                    subject=f"{anchor.log}:{anchor.seq}",
                    remedy="find out who else writes this log; nothing more is written to it from here",
                )
            found.append(commitment)
        return found
