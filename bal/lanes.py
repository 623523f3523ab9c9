"""All lanes of this worker: started, followed when one can go on, stopped together."""

import asyncio
from collections.abc import Sequence

import structlog

from bal.core.errors import LedgerOutcomeUnknown, LedgerUnavailable, StoreUnavailable, Unavailable
from bal.core.source import Source
from bal.pipeline import LaneWorker

_log = structlog.get_logger()
_FIRST_PAUSE = 0.05


class Pipeline:
    """All lanes of this worker. Every source belongs to one lane, whatever door its data comes through."""

    def __init__(self, workers: Sequence[LaneWorker]) -> None:
        self.lanes = {worker.lane.name: worker for worker in workers}
        self.followed = asyncio.Event()
        """Set when a lane goes on in a new log: what was cut off with the old one can be taken up."""

    async def start(self) -> None:
        """Start every lane."""
        for worker in self.lanes.values():
            await worker.start()

    def lane_of(self, source: Source) -> LaneWorker:
        """Return the lane of a source. `Unavailable` when another worker runs it."""
        worker = self.lanes.get(source.lane)
        if worker is None:
            message = "the lane of this source does not run here"
            raise Unavailable(message, subject=source.name, remedy="send to the worker that runs the lane")
        return worker

    def lane_writing(self, log: str) -> LaneWorker | None:
        """Return the lane that writes `log` now."""
        return next((worker for worker in self.lanes.values() if worker.lane.log == log), None)

    async def failure(self) -> None:
        """Raise the error of the first lane that stops for good; never return otherwise.

        A lane goes on once a store that did not answer does again. One that closed its log goes on in a new one, unless
        the contract takes nothing of it at all: a log that was closed before anything was anchored in it is for the
        operator to look at.
        """
        while True:
            await asyncio.wait(
                [worker.failed for worker in self.lanes.values()], return_when=asyncio.FIRST_COMPLETED
            )
            for worker in [each for each in self.lanes.values() if each.failed.done()]:
                goes_on = isinstance(worker.failed.exception(), StoreUnavailable)
                if not goes_on and (not worker.closed_log or worker.anchored.value < 0):
                    worker.failed.result()
                await self._follow(worker)

    async def _follow(self, worker: LaneWorker) -> None:
        await worker.ended()
        pause = _FIRST_PAUSE
        while True:
            successor = worker.successor()
            try:
                await successor.start()
            except (Unavailable, LedgerUnavailable, LedgerOutcomeUnknown) as error:
                _log.warning("lane cannot go on yet", lane=worker.lane.name, error=error.what)
                await worker.rest(pause)
                pause = min(2 * pause, worker.settings.retry_seconds)
            else:
                self.lanes[worker.lane.name] = successor
                self.followed.set()
                return

    async def stop(self, *, drain: bool = True) -> None:
        """Stop every lane, finishing what was taken."""
        await asyncio.gather(*(worker.stop(drain=drain) for worker in self.lanes.values()))
