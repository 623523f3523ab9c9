"""From the driver's thread to the event loop: many answers for one waking."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

Settle = Callable[[], None]


class Completions:
    """Answers that came in on the driver's thread and are handed to their waiters on the loop's.

    Waking a loop from another thread writes to a socket; under load one waking brings a hundred answers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Settle) -> None:
        self._loop = loop
        self._done = done
        """Called on the loop's thread once for each answer."""
        self._arrived: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._waking = False

    def put(
        self, waiter: "asyncio.Future[Any]", answer: Any = None, error: BaseException | None = None
    ) -> None:
        """Take an answer in; called on any thread."""
        self._arrived.append((waiter, answer, error))
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        self._waking = False  # before taking: what arrives from here on is taken below, or wakes anew
        while self._arrived:
            waiter, answer, error = self._arrived.popleft()
            self._done()
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(answer)
            else:
                waiter.set_exception(error)
