"""Registrations taking effect outside: rights at brokers, topics, subscriptions, kept up with what is in force."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from bal.core.errors import BalError
from bal.core.source import Source
from bal.ports import Clock
from bal.registry import Registry

_log = structlog.get_logger()
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Grants(Protocol):
    """A place outside where registrations take effect."""

    where: str
    """Its name for people, such as `kafka`."""

    async def grant(self, sources: Sequence[Source]) -> None:
        """Make what these registrations need and take back what they need no more; again is no harm. `BalError`."""
        ...


class Granting:
    """Applies the registrations in force everywhere, and again until it is done where that fails."""

    def __init__(self, places: Sequence[Grants], registry: Registry, clock: Clock) -> None:
        self._places = places
        self.registry = registry
        self._clock = clock
        self._again = asyncio.Event()
        self._turn = asyncio.Lock()
        self.behind: Mapping[str, str] = {}
        """Where the registrations in force have no effect yet, and why, as of the last attempt."""

    async def apply(self) -> bool:
        """Apply them once; tell whether all places took them. What failed is tried again by `keep`."""
        async with self._turn:
            sources = list(self.registry.all().values())
            tried = [(place.where, await self._grant(place, sources)) for place in self._places]
            self.behind = {where: why for where, why in tried if why}
            if self.behind:
                self._again.set()
            return not self.behind

    async def keep(self) -> None:
        """Apply what could not be applied, for ever."""
        while True:
            await self._again.wait()
            pause = _FIRST_PAUSE
            self._again.clear()
            while not await self.apply():
                self._again.clear()
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    @staticmethod
    async def _grant(place: Grants, sources: Sequence[Source]) -> str:
        """Return why a place did not take them, empty when it did."""
        try:
            await place.grant(sources)
        except BalError as error:
            _log.warning(
                "registrations have no effect outside yet", place=type(place).__name__, error=error.what
            )
            return error.diagnostics()
        return ""
