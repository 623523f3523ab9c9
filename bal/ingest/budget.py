"""A budget of bytes: what waits for memory waits in line, and nothing is lost or grows without bound."""

import asyncio
from collections import deque


class Budget:
    """At most `limit` bytes are out at a time. Who asks for more than the whole gets the whole, alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes out now."""
        return self._limit - self._free

    @property
    def waiting(self) -> int:
        """How many wait in line."""
        return len(self._waiting)

    async def take(self, amount: int) -> int:
        """Return once `amount` bytes are free, in order of asking; give back what it returns."""
        amount = min(amount, self._limit)
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return amount
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (amount, future)
        self._waiting.append(place)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give(amount)
            else:
                self._waiting.remove(place)
                self._admit()
            raise
        return amount

    def give(self, amount: int) -> None:
        """Give back what `take` returned."""
        self._free += amount
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, future = self._waiting.popleft()
            if not future.done():
                self._free -= amount
                future.set_result(None)
            else:  # cancelled, and its owner not run yet: it must still find its place to leave
                self._waiting.appendleft((amount, future))
                return
