"""The real world's time, chance and tasks."""

import asyncio
import os
import time
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger()


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        """Return the time of day, microseconds UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """The machine's random source, fit for keys."""

    def bytes(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return os.urandom(count)


class SystemTasks:
    """asyncio's tasks, kept from being collected, their errors told."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), error=type(error).__name__)
