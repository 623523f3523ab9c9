"""Publishing: anchored batches to every output, in order, at least once."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from bal.core.certified import CertifiedBatch
from bal.core.errors import PublishRefused, Unavailable
from bal.core.source import Source
from bal.lane.settings import LaneSettings
from bal.ports import Clock, Publisher

_log = structlog.get_logger()
_FIRST_PAUSE = 0.05


class Publishing:
    """Hands each batch to each output. A source an output refuses is parked there and the others go on."""

    def __init__(
        self,
        publishers: Sequence[Publisher],
        sources: Callable[[], Mapping[str, Source]],
        clock: Clock,
        settings: LaneSettings,
        alarm: Callable[[str], None],
    ) -> None:
        self._publishers = publishers
        self._sources = sources
        self._clock = clock
        self._settings = settings
        self._alarm = alarm
        self.parked: set[tuple[str, str]] = set()
        """(output, source) pairs that were refused."""
        self.stalled = asyncio.Event()
        """Set while an output does not answer."""

    async def publish(self, batch: CertifiedBatch) -> None:
        """Return once every output has acknowledged every source of the batch that it is set to and takes."""
        registered = self._sources()
        for publisher in self._publishers:
            wanted = {
                name
                for name in batch.commitment.anchor.counts
                if (source := registered.get(name)) is not None
                and (publisher.name in source.outputs or publisher.name == "events")
                and (publisher.name, name) not in self.parked
            }
            if wanted:
                await self._hand_over(publisher, batch, wanted)

    async def _hand_over(self, publisher: Publisher, batch: CertifiedBatch, wanted: set[str]) -> None:
        pause = _FIRST_PAUSE
        while wanted:
            try:
                await publisher.publish(batch, frozenset(wanted))
            except PublishRefused as error:
                if error.source not in wanted:
                    raise
                wanted.discard(error.source)
                self.parked.add((publisher.name, error.source))
                self._alarm("output-parked")
                _log.error("output parked", output=publisher.name, source=error.source, error=error.what)
            except Unavailable as error:
                self.stalled.set()
                _log.warning("output unavailable", output=publisher.name, error=error.what)
                await self._clock.sleep(pause)
                pause = min(2 * pause, self._settings.retry_seconds)
            else:
                self.stalled.clear()
                return
