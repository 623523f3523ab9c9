"""Publishing: anchored batches to every output, in order, at least once; what an output refuses is parked, not lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from bal.core.certified import CertifiedBatch
from bal.core.errors import Conflict, NotFound, PublishRefused, Unavailable
from bal.core.source import Source
from bal.lane.backlog import End, backlog
from bal.lane.settings import LaneSettings
from bal.ports import BatchPlace, BatchRecord, Clock, Parked, Publisher, Store

_log = structlog.get_logger()
_FIRST_PAUSE = 0.05
Pair = tuple[str, str]
"""An output and a source."""


class Publishing:
    """Hands each batch to each output. A source an output refuses is parked there and the others go on.

    One lane's; whoever follows a worker of the lane goes on with it.
    """

    def __init__(
        self,
        store: Store,
        publishers: Sequence[Publisher],
        sources: Callable[[], Mapping[str, Source]],
        clock: Clock,
        settings: LaneSettings,
        alarm: Callable[[str], None],
    ) -> None:
        self._store = store
        self._publishers = publishers
        self._sources = sources
        self._clock = clock
        self._settings = settings
        self._alarm = alarm
        self.parked: dict[Pair, Parked] = {}
        self.stalled = asyncio.Event()
        """Set while an output does not answer."""
        self._recording = asyncio.Lock()
        self._loaded = False
        self._begun: dict[str, int] = {}
        """The newest batch of each log of which it is decided what goes where."""
        self._passed: dict[Pair, BatchPlace] = {}
        """The newest batch that was passed over for what is parked."""

    async def load(self, source: str | None = None) -> None:
        """Take up what is parked on record: once all of it, or that of a source that comes to this lane."""
        if self._loaded and source is None:
            return
        async with self._recording:
            found = [each for each in await self._store.parked() if source in {None, each.source}]
            kept = {} if source is None else {k: each for k, each in self.parked.items() if k[1] != source}
            self.parked = kept | {(each.output, each.source): each for each in found}
            self._loaded = True

    async def publish(self, batch: CertifiedBatch) -> None:
        """Return once every output has acknowledged every source of the batch that it is set to and takes.

        What is parked is passed over; what is refused now is on record as parked before this returns.
        """
        anchor = batch.commitment.anchor
        place = BatchPlace(anchor.log, anchor.seq)
        # Decided at one moment for all outputs, so that `republish` can tell what was passed over.
        chosen = [
            (publisher, self._wanted(publisher, place, anchor.counts)) for publisher in self._publishers
        ]
        self._begun[place.log] = place.seq
        for publisher, wanted in chosen:
            if wanted:
                await self._hand_over(publisher, batch, wanted)

    def _wanted(self, publisher: Publisher, place: BatchPlace, counts: Mapping[str, int]) -> set[str]:
        registered = self._sources()
        wanted = set()
        for name in counts:
            source = registered.get(name)
            if source is None or not (publisher.name in source.outputs or publisher.name == "events"):
                continue
            if (publisher.name, name) in self.parked:
                self._passed[publisher.name, name] = place
            else:
                wanted.add(name)
        return wanted

    async def _hand_over(self, publisher: Publisher, batch: CertifiedBatch, wanted: set[str]) -> None:
        pause = _FIRST_PAUSE
        while wanted:
            try:
                await publisher.publish(batch, frozenset(wanted))
            except PublishRefused as error:
                if error.source not in wanted:
                    raise
                anchor = batch.commitment.anchor
                await self._park(publisher.name, error.source, BatchPlace(anchor.log, anchor.seq))
                wanted.discard(error.source)
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

    async def _park(self, output: str, source: str, place: BatchPlace) -> None:
        async with self._recording:
            parked = Parked(output, source, *place, self._clock.now())
            await self._store.park(parked)
            self.parked[output, source] = parked

    # --- handing on what was parked
    async def republish(
        self, output: str, source: Source, turn: asyncio.Lock, start: BatchPlace | None
    ) -> int:
        """Hand on to an output everything of a source from where it is parked, or from `start` on; lift the parking.

        Return how many batches. New batches are passed over meanwhile and handed on last, in order; a source that is
        not set to the output any more is only lifted. `turn` is held while a batch is read and handed on: no erasure
        happens then. Raises what the output raises; it stays parked then, from the batch that could not be handed on.
        """
        key = output, source.name
        publisher = next((each for each in self._publishers if each.name == output), None)
        await self.load(source.name)
        if start is not None and publisher is not None:
            await self._check(key, start)
            await self._park(*key, start)
        if publisher is None or key not in self.parked:
            message = "nothing of this source is parked at this output"
            raise NotFound(message, subject=f"{source.name}, {output}", remedy="say from where with --from")
        count, done = 0, None
        while True:
            if output in source.outputs:
                async for place in backlog(self._store, source.name, self._place(key), self._is_decided):
                    if place != done:
                        await self._hand_on(publisher, key, place, turn)
                        count, done = count + 1, place
            async with self._recording:
                if output not in source.outputs or self._passed.get(key) in {None, done}:
                    self._passed.pop(key, None)
                    del self.parked[key]
                    await self._store.unpark(*key)
                    return count

    async def repeat(
        self, output: str, source: Source, turn: asyncio.Lock, start: BatchPlace, end: End
    ) -> int:
        """Hand a stretch of what was handed out before to an output once more, in order; return how many batches.

        From the batch `start` on, up to `end`. New batches go out beside. Nothing is parked by it; `Conflict` when some of the stretch is parked: it has never been handed out.
        """
        key = output, source.name
        publisher = next((each for each in self._publishers if each.name == output), None)
        await self.load(source.name)
        if publisher is None:
            message = "there is no such output"
            raise NotFound(message, subject=output, remedy="see the source's outputs with `bal sources list`")
        place = self._place(key) if key in self.parked else None
        if place is not None and await self._is_within(place, end):
            message = f"this output refused the source from {place.log}:{place.seq} on"
            raise Conflict(
                message, subject=source.name, remedy="republish without --to: what waits comes first"
            )
        count = 0
        async for place in backlog(self._store, source.name, start, self._is_decided, end):
            async with turn:
                batch = await self._store.certified_batch(*place)
                await publisher.publish(batch, frozenset((source.name,)))
            count += 1
        return count

    async def _is_within(self, place: BatchPlace, end: End) -> bool:
        order = {log: position for position, log in enumerate(await self._store.logs())}
        return end.includes((await self._store.batch(*place)).sealed_at, place, order)

    async def _check(self, key: Pair, start: BatchPlace) -> None:
        record = await self._store.batch(*start)
        if record.commitment is None:
            message = "this batch is not anchored"
            raise Conflict(
                message, subject=f"{start.log}:{start.seq}", remedy="say an address that is anchored"
            )
        if key in self.parked:
            logs, parked = await self._store.logs(), self._place(key)
            if (logs.index(start.log), start.seq) > (logs.index(parked.log), parked.seq):
                message = f"what comes before is parked from {parked.log}:{parked.seq} on"
                raise Conflict(message, subject=key[1], remedy="say that batch, or one before it")

    def _place(self, key: Pair) -> BatchPlace:
        return BatchPlace(self.parked[key].log, self.parked[key].seq)

    def _is_decided(self, record: BatchRecord) -> bool:
        """Tell whether a batch has been published, or passed over, or is about to be."""
        return record.published or record.anchor.seq <= self._begun.get(record.anchor.log, -1)

    async def _hand_on(self, publisher: Publisher, key: Pair, place: BatchPlace, turn: asyncio.Lock) -> None:
        if place != self._place(key):
            await self._park(*key, place)  # a crash goes on from here
        async with turn:
            batch = await self._store.certified_batch(*place)
            await publisher.publish(batch, frozenset((key[1],)))
