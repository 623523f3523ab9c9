"""Room: how much work a lane takes before its senders must wait. Back-pressure has numbers."""

import asyncio
from collections import deque

from bal.core.errors import BalError, Overloaded
from bal.lane.settings import LaneSettings
from bal.ports import Clock

CERTIFICATE_BYTES = 2048
"""Estimated size of a certificate in a batch of 4,096: entry, twelve hashes of a path and the anchor."""
_HOUR = 3600.0


class Room:
    """Counts messages and bytes in intake, batches unanchored, and bytes and hours unpublished."""

    def __init__(self, settings: LaneSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._waiting: list[asyncio.Future[None]] = []
        self._error: BalError | None = None
        self.messages = 0
        self.bytes = 0
        self.unanchored = 0
        self.unpublished_bytes = 0
        self._unpublished: deque[tuple[float, int]] = deque()

    @property
    def unpublished(self) -> int:
        """Batches anchored and not published."""
        return len(self._unpublished)

    def unpublished_hours(self) -> float:
        """Return how long the oldest unpublished batch has waited, hours."""
        return (self._clock.monotonic() - self._unpublished[0][0]) / _HOUR if self._unpublished else 0.0

    @property
    def full(self) -> bool:
        """Whether intake is full: no message can come that would fill the open batch."""
        return self.messages >= self._settings.intake_messages or self.bytes >= self._settings.intake_bytes

    @property
    def piled_up(self) -> str:
        """What has passed its limit behind intake; empty while nothing has."""
        settings = self._settings
        if self.unanchored >= settings.unanchored_batches:
            return "unanchored-batches"
        if self.unpublished_bytes >= settings.unpublished_bytes:
            return "unpublished-bytes"
        if self.unpublished_hours() >= settings.unpublished_hours:
            return "unpublished-hours"
        return ""

    async def enter(self, size: int, *, wait: bool) -> None:
        """Take room for a message of `size` bytes. `Overloaded` without `wait` when there is none."""
        while self._error is None and (self.full or self.piled_up):
            if not wait:
                message = f"too much work is waiting ({self.piled_up or 'intake'})"
                raise Overloaded(message, remedy="keep the message and send it again later")
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        if self._error is not None:
            raise self._error
        self.messages += 1
        self.bytes += size

    def leave(self, size: int) -> None:
        """Give back the room of a message that has its answer."""
        self.messages -= 1
        self.bytes -= size
        self._notify()

    def stored(self) -> None:
        """Count a batch that is stored and not anchored."""
        self.unanchored += 1

    def anchored(self, size: int) -> None:
        """Count a batch of `size` leaves that is anchored and not published."""
        self.unanchored -= 1
        self.to_publish(size)

    def to_publish(self, size: int) -> None:
        """Count a batch of `size` leaves that waits to be published."""
        self.unpublished_bytes += size * CERTIFICATE_BYTES
        self._unpublished.append((self._clock.monotonic(), size))
        self._notify()

    def published(self) -> None:
        """Take the oldest batch off what waits to be published."""
        _, size = self._unpublished.popleft()
        self.unpublished_bytes -= size * CERTIFICATE_BYTES
        self._notify()

    def close(self, error: BalError) -> None:
        """Raise `error` in all who wait and all who come."""
        self._error = error
        self._notify()

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
