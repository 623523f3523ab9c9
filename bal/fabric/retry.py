"""Proposing anew after a conflict."""

import asyncio
import random
from dataclasses import dataclass

from bal.fabric import wire
from bal.fabric.errors import CommitError, FabricError, MismatchError


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a whole new proposal may be made, under a new transaction id.

    `mvcc`: after a commit refused because something it read had changed (MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT). `mismatch`: after peers endorsed different results.
    Both are safe, as nothing of the first try took effect; whether the call still makes sense on the changed state is for the caller to know, hence never by default.
    `pause`: seconds before the second try, doubled each time, of which a random half to whole is waited.
    """

    mvcc: int = 0
    mismatch: int = 0
    pause: float = 0.05


class Retries:
    """What is left of a Retry during one submit."""

    def __init__(self, allowed: Retry) -> None:
        self._mvcc = allowed.mvcc
        self._mismatch = allowed.mismatch
        self._pause = allowed.pause

    async def again(self, error: FabricError) -> bool:
        """Tell whether to propose anew after this error, having waited a little."""
        if isinstance(error, CommitError) and error.code in wire.MVCC_CONFLICTS and self._mvcc > 0:
            self._mvcc -= 1
        elif isinstance(error, MismatchError) and self._mismatch > 0:
            self._mismatch -= 1
        else:
            return False
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - parts those that collided
        self._pause *= 2
        return True
