"""Backlog: the batches that hold entries of one source, in the order they were published."""

import heapq
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from bal.core.address import Address
from bal.core.errors import NotFound
from bal.core.instant import instant_text
from bal.ports import BatchPlace, BatchRecord, Store

Bound = Address | int
"""Where a stretch of batches begins or ends: at the batch of an address, or at a time of sealing, microseconds UTC."""


async def first_place(store: Store, source: str, bound: Bound) -> BatchPlace:
    """Return the batch `bound` names: an address's, or the first with entries of `source` sealed then or later."""
    if isinstance(bound, Address):
        return BatchPlace(bound.log, bound.seq)
    found: tuple[int, BatchPlace] | None = None
    for log in await store.logs():
        async for record in store.batches(log):
            if record.sealed_at < bound or record.moved_to is not None or source not in record.anchor.counts:
                continue
            if found is None or record.sealed_at < found[0]:
                found = record.sealed_at, BatchPlace(log, record.anchor.seq)
            break
    if found is None:
        message = "nothing of this source was sealed from that time on"
        raise NotFound(message, subject=f"{source}, {instant_text(bound)}", remedy="say an earlier time")
    return found[1]


class End(NamedTuple):
    """Where a stretch of batches ends."""

    sealed_at: int
    """When its last batch was sealed at the latest."""
    place: BatchPlace | None = None
    """Its last batch; None: whatever was sealed at that moment is within."""

    def includes(self, sealed_at: int, place: BatchPlace, order: Mapping[str, int]) -> bool:
        """Tell whether a batch is within; `order` numbers the logs as they were opened."""
        if self.place is None:
            return sealed_at <= self.sealed_at
        last = self.sealed_at, order[self.place.log], self.place.seq
        return (sealed_at, order[place.log], place.seq) <= last


async def end_of(store: Store, bound: Bound) -> End:
    """Return where a stretch ends that ends at `bound`. `NotFound`."""
    if isinstance(bound, Address):
        return End((await store.batch(bound.log, bound.seq)).sealed_at, BatchPlace(bound.log, bound.seq))
    return End(bound)


async def backlog(
    store: Store,
    source: str,
    start: BatchPlace,
    decided: Callable[[BatchRecord], bool],
    end: End | None = None,
) -> AsyncIterator[BatchPlace]:
    """Yield the batches with entries of `source`, from `start` on, up to the first that is not `decided` on yet.

    None is yielded that comes after `end`.

    Over all logs of the lanes the source has ever belonged to, in order of `sealed_at`: it grows within a lane, and a
    source changes lane only to one whose next batch is sealed later (`Service.register_source`).
    """
    since = (await store.batch(*start)).sealed_at
    order = {log: position for position, log in enumerate(await store.logs())}
    heads: list[tuple[int, int, int, BatchRecord, AsyncIterator[BatchRecord]]] = []

    async def push(records: AsyncIterator[BatchRecord]) -> None:
        async for record in records:
            anchor = record.anchor
            if record.moved_to is not None or source not in anchor.counts or record.sealed_at < since:
                continue
            heapq.heappush(heads, (record.sealed_at, order[anchor.log], anchor.seq, record, records))
            return

    for log in order:
        await push(store.batches(log, start.seq if log == start.log else 0))
    while heads:
        _, _, _, record, records = heapq.heappop(heads)
        anchor = record.anchor
        if record.sealed_at == since and order[anchor.log] < order[start.log]:
            await push(records)
            continue
        place = BatchPlace(anchor.log, anchor.seq)
        if record.commitment is None or not decided(record):
            return
        if end is not None and not end.includes(record.sealed_at, place, order):
            return
        yield place
        await push(records)
