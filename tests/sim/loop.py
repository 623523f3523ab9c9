"""An event loop whose time jumps to the next timer: hours pass in milliseconds, and the same seed gives the same run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(AssertionError):
    """Everybody waits and no timer runs."""


class _Selector(selectors.SelectSelector):
    """Never sleeps: what would be waited for is added to the loop's time."""

    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("everybody waits and no timer runs")
        self.loop.at += max(0.0, timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on simulated time, seconds."""

    def __init__(self, at: float) -> None:
        self.at = at
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self
        self.complaints: list[str] = []
        self.set_exception_handler(
            lambda _, context: self.complaints.append(f"{context['message']}: {context.get('exception')!r}")
        )

    def time(self) -> float:
        return self.at


def simulate(work: Coroutine[Any, Any, T], at: float) -> tuple[T, float]:
    """Run `work` to its end on simulated time; return its result and the time it ended. `Deadlock`."""
    loop = SimulatedLoop(at)
    try:
        try:
            result = loop.run_until_complete(work)
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=3600))
            loop.run_until_complete(loop.shutdown_asyncgens())
        assert not loop.complaints, loop.complaints
        return result, loop.at
    finally:
        loop.close()
