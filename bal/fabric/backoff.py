"""How long something that failed is left alone."""

from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0


class Backoff:
    """Doubles with each failure, ends with the first success.

    When the time is over one caller, not all that are in flight, is let through to try.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self._trying = False

    @property
    def resting(self) -> bool:
        """Tell whether it is being left alone, without trying it."""
        return self._failures > 0 and self._clock() < self._until

    def ready(self) -> bool:
        """Tell whether it may be used; after a failure whose time is over, to one caller only."""
        if self._failures == 0:
            return True
        if self.resting:
            return False
        self._trying = True
        self._rest()
        return True

    def failed(self) -> None:
        """Leave it alone for longer than the last time; failures while it rests anyway count as one."""
        if self._trying or not self.resting:
            self._failures += 1
            self._trying = False
            self._rest()

    def worked(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self._until = 0.0
        self._trying = False

    def _rest(self) -> None:
        seconds = FIRST_SECONDS * 2.0 ** min(self._failures - 1, 10)
        self._until = self._clock() + min(seconds, LONGEST_SECONDS)
