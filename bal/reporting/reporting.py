"""Reporting: from the quarantine to the operator's output, in order, at least once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Protocol

import structlog

from bal.core.errors import BalError
from bal.core.stored import Report
from bal.lane.watermark import Watermark
from bal.ports import Clock

_log = structlog.get_logger()
PAGE: Final = 1000
"""Reports handed over at a time, some 500 bytes each: what waits costs no more memory than that."""
_FIRST_PAUSE: Final = 0.5


class Refusals(Protocol):
    """The quarantine, and how far its operator was told of it. Raises `StoreFailed` when it cannot."""

    async def reports(self, after: int, limit: int) -> list[Report]:
        """Return what was refused, oldest first, from id `after` on (not included)."""
        ...

    async def newest(self) -> int:
        """Return the id of what was refused last, 0 when nothing was; ids grow by one."""
        ...

    async def beyond(self, id: int) -> None:  # noqa: A002 - the column's name
        """Return once something was refused after `id`."""

    async def reported(self) -> int:
        """Return the id up to which the output has everything."""
        ...

    async def mark_reported(self, id: int) -> None:  # noqa: A002 - the column's name
        """Make durable that the output has everything up to `id`."""
        ...


class ReportOutput(Protocol):
    """Where an operator is told what was refused."""

    async def report(self, reports: Sequence[Report]) -> None:
        """Return once these reports are acknowledged; again is no harm. `Unavailable`, `PublishRefused`."""
        ...


class ReportMetrics(Protocol):
    """What is counted of reports."""

    def reported(self, count: int) -> None:
        """Count reports the output acknowledged."""
        ...

    def unreported(self, count: int) -> None:
        """Say how many wait now."""
        ...


class Reporting:
    """Hands what comes into quarantine to one output, beside everything else.

    The mark in the quarantine is moved behind an acknowledgement, so that a process killed in between hands the page out
    once more. An output that does not answer, or refuses, is tried for ever and holds up nothing.
    """

    def __init__(
        self,
        refusals: Refusals,
        output: ReportOutput,
        clock: Clock,
        metrics: ReportMetrics,
        *,
        longest_pause: float,
    ) -> None:
        """Pause up to `longest_pause` seconds between attempts."""
        self._refusals = refusals
        self._output = output
        self._clock = clock
        self._metrics = metrics
        self._longest_pause = longest_pause
        self._done = Watermark(0)
        self._stalled = asyncio.Event()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Report for as long as this lasts; leave with everything reported where the output answers."""
        work = asyncio.create_task(self._run(), name="reporting")
        try:
            yield
        finally:
            with suppress(BalError):
                await self._finish(work)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._catch_up()
                pause = _FIRST_PAUSE
                await self._refusals.beyond(self._done.value)
            except Exception as error:  # noqa: BLE001 - a row altered by hand, too, must be told of and end nothing
                what = error.what if isinstance(error, BalError) else type(error).__name__
                _log.warning("what was refused is not told to the operator yet", error=what)
                self._stalled.set()
                await self._clock.sleep(pause)
                pause = min(2 * pause, self._longest_pause)

    async def _catch_up(self) -> None:
        done = await self._refusals.reported()
        await self._advance(done)
        while page := await self._refusals.reports(done, PAGE):
            await self._output.report(page)
            self._stalled.clear()
            done = page[-1].refused.id
            await self._refusals.mark_reported(done)
            self._metrics.reported(len(page))
            await self._advance(done)

    async def _advance(self, done: int) -> None:
        self._metrics.unreported(await self._refusals.newest() - done)
        self._done.advance(done)

    async def _finish(self, work: "asyncio.Task[None]") -> None:
        """Return once the output has what there is now, or did not take it."""
        newest = await self._refusals.newest()
        ways = [asyncio.ensure_future(way) for way in (self._done.reached(newest), self._stalled.wait())]
        try:
            await asyncio.wait([*ways, work], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
