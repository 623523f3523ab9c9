"""Backlog: the batches that hold entries of one source, in the order they were published."""

import heapq
from collections.abc import AsyncIterator, Callable

from bal.ports import BatchPlace, BatchRecord, Store


async def backlog(
    store: Store, source: str, start: BatchPlace, decided: Callable[[BatchRecord], bool]
) -> AsyncIterator[BatchPlace]:
    """Yield the batches with entries of `source`, from `start` on, up to the first that is not `decided` on yet.

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
        if record.commitment is None or not decided(record):
            return
        yield BatchPlace(anchor.log, anchor.seq)
        await push(records)
