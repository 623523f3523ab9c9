"""The lease of a lane: who lets it run out, or can't be sure of it, writes nothing more."""

import structlog

from bal.core.errors import BalError, LaneLost, StoreUnavailable, Unavailable
from bal.ports import Clock, Leases

_log = structlog.get_logger()
_PAUSE = 0.25
_RENEWALS = 3
"""How often a lease is kept on within its time."""
_MARGIN = 0.2
"""Part of its time at the end in which nothing is begun any more: work under way ends before the lease does."""


class Lease:
    """One worker's hold on one lane.

    Time counts from before a lease was asked for, on a clock that runs on while the process is stopped: one that wakes up
    after its lease finds it gone before it writes. What slips through a pause after that look, the insert of
    (log, seq) stops.
    """

    def __init__(self, leases: Leases, lane: str, holder: str, clock: Clock, seconds: float) -> None:
        self._leases = leases
        self._lane = lane
        self._holder = holder
        self._clock = clock
        self._seconds = seconds
        self._until = float("-inf")

    async def take(self) -> None:
        """Return once the lane is held; waits out the lease of one that died. `LaneLost` when it is kept on.

        One that had the lane, and finds it another's when it comes back, has lost it: it does not wait.
        """
        end = self._clock.monotonic() + 2 * self._seconds
        while not await self._hold():
            if self._until > float("-inf") or self._clock.monotonic() > end:
                message = "another worker runs this lane"
                raise LaneLost(
                    message, subject=self._lane, remedy="stop that one first, or leave it the lane"
                )
            await self._clock.sleep(_PAUSE)

    async def keep(self) -> None:
        """Keep it on for ever. `LaneLost` when it is another's, `StoreUnavailable` when it ran out without an answer."""
        while True:
            await self._clock.sleep(self._seconds / _RENEWALS)
            try:
                held = await self._hold()
            except Unavailable as error:
                _log.warning("lease not kept on", lane=self._lane, error=error.what)
                self.check()
            else:
                if not held:
                    message = "another worker runs this lane now"
                    raise LaneLost(
                        message, subject=self._lane, remedy="nothing more is written to it from here"
                    )

    def check(self) -> None:
        """Raise `StoreUnavailable` unless the lane is surely held for a while longer: it has to be taken anew."""
        if self._clock.monotonic() > self._until - _MARGIN * self._seconds:
            message = "the lease of this lane was not kept on in time"
            raise StoreUnavailable(
                message, subject=self._lane, remedy="wait: it is taken again if it is free"
            )

    async def release(self) -> None:
        """Give the lane back, so that another need not wait."""
        self._until = float("-inf")
        try:
            await self._leases.release(self._lane, self._holder)
        except BalError as error:
            _log.warning("lease not given back", lane=self._lane, error=error.what)

    async def _hold(self) -> bool:
        asked = self._clock.monotonic()
        held = await self._leases.hold(self._lane, self._holder, self._seconds)
        if held:
            self._until = asked + self._seconds
        return held
