"""Watermarks: how far a stage of a log has come."""

import asyncio
import heapq
from itertools import count


class Watermark:
    """A sequence number that only grows, and that can be waited for."""

    def __init__(self, value: int = -1) -> None:
        self.value = value
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self._error: BaseException | None = None

    def advance(self, value: int) -> None:
        """Raise the mark to `value`; a lower value changes nothing."""
        self.value = max(self.value, value)
        while self._waiting and self._waiting[0][0] <= self.value:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Raise `error` in all who wait now or later for more than was reached."""
        self._error = error
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_exception(error)

    async def reached(self, value: int) -> None:
        """Return once the mark is at `value` or above."""
        if self.value >= value:
            return
        if self._error is not None:
            raise self._error
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (value, next(self._order), future))
        await future
