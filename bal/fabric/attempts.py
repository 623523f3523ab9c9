"""The calls tried for one phase of a transaction, and the time left for more."""

import time

from bal.fabric.errors import Attempt
from bal.fabric.link import CallFailed, Link

SHORTEST_SECONDS = 0.5
"""Least time a call is given while any is left."""


class Attempts:
    """What failed so far, and how long the next call may take."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._made: list[tuple[Attempt, CallFailed]] = []
        self._decided: CallFailed | None = None

    @property
    def left(self) -> float:
        """Return the seconds left; 0 or less when time is up."""
        return self._until - time.monotonic()

    def seconds(self, *, last: bool) -> float:
        """Return how long the next call may take: half of what is left, so that another can follow, or all for the last."""
        left = self.left
        return left if last else min(left, max(left / 2, SHORTEST_SECONDS))

    def note(self, link: Link, organisations: tuple[str, ...], failure: CallFailed) -> None:
        """Keep a failure."""
        attempt = Attempt(link.endpoint.address, organisations, failure.code, failure.message)
        self._made.append((attempt, failure))

    def decide(self, failure: CallFailed) -> None:
        """Let a failure end the phase: no other call would change what it says."""
        self._decided = failure

    @property
    def all(self) -> tuple[Attempt, ...]:
        """Return what was tried, in order."""
        return tuple(attempt for attempt, _ in self._made)

    @property
    def uncertain(self) -> bool:
        """Tell whether a request may have been carried out although its call failed."""
        return any(failure.sent and not _refused(failure) for _, failure in self._made)

    def telling(self) -> CallFailed:
        """Return the failure that says most: the one that ended the phase; where none did, the first with details of peers.

        Else the first a gateway answered, else the first.
        """
        if self._decided is not None:
            return self._decided
        failures = [failure for _, failure in self._made]
        if not failures:
            return CallFailed("DEADLINE_EXCEEDED", "no time left for a call", answered=False, sent=False)
        detailed = [failure for failure in failures if failure.details]
        answered = [failure for failure in failures if failure.answered]
        return (detailed or answered or failures)[0]


def _refused(failure: CallFailed) -> bool:
    """Tell whether the gateway said no before it passed anything on to an orderer (Fabric's gateway, submit.go)."""
    return failure.answered and failure.code in {
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "UNIMPLEMENTED",
    }
