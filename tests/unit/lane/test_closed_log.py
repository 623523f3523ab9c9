"""A log that is closed because the contract refused a batch, and the one that follows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bal.core.address import AddressRange
from bal.core.errors import (
    Invalid,
    LedgerRefused,
)
from bal.core.source import Lane
from bal.lane.succession import numbered
from bal.lanes import Pipeline
from bal.pipeline import LaneWorker
from tests.patience import PATIENCE
from tests.unit.lane.bench import Bench, take
from tests.unit.lane.world import (
    answered,
    turns,
)
from tests.unit.store.rows import batch, reading


async def settle(bench: Bench, pipeline: Pipeline, log: str) -> None:
    for _ in range(2000):
        worker = pipeline.lanes["bal-1"]
        if worker.lane.log == log and not worker.failed.done() and not await bench.store.unpublished(log):
            return
        await turns(1)
    pytest.fail(f"{log} was not reached")


async def poisoned(bench: Bench, worker: LaneWorker, text: str) -> AddressRange:
    """Take a message whose batch the contract will never take."""
    bench.ledger.open.clear()
    (done,) = await answered(*await take(worker, text))
    (part,) = done.ranges
    bench.ledger.poison.add((await bench.store.batch(part.log, part.seq)).anchor.root)
    bench.ledger.open.set()
    return part


async def test_a_refused_batch_closes_its_log_and_the_lane_goes_on_in_a_new_one() -> None:
    bench = Bench(retry_seconds=0.1)
    async with bench.running() as worker:
        pipeline = Pipeline([worker])
        watching = asyncio.create_task(pipeline.failure())
        (first,) = await answered(*await take(worker, "1 2@1"))
        await worker.published.reached(0)
        await poisoned(bench, worker, "3@3 bad 4@4")
        await settle(bench, pipeline, "bal-1-2")
        (closed,) = await bench.store.closed_logs()
        assert (closed.lane, closed.log) == ("bal-1", "bal-1")
        assert closed.reason.startswith("malformed")
        assert bench.metrics.counts["log-closed"] == 1
        assert await bench.values() == ["1", "2"]
        assert await bench.values("bal-1-2") == ["3", "4"]
        moved = await bench.store.batch("bal-1", 1)
        assert moved.moved_to == ("bal-1-2", 0)
        assert moved.commitment is None
        fresh = pipeline.lanes["bal-1"]
        again, new = await answered(*await take(fresh, "3@3 bad 4@4", "5@5"))
        assert again.known
        assert again.ranges == (AddressRange("bal-1-2", 0, 0, 1),)
        assert new.ranges == (AddressRange("bal-1-2", 1, 0, 0),)
        assert first.ranges == (AddressRange("bal-1", 0, 0, 1),)
        stale = replace(again, ranges=(AddressRange("bal-1", 1, 0, 1),))
        assert (await fresh.settled(stale)).ranges == again.ranges
        assert await fresh.settled(first) == first
        await fresh.published.reached(1)
        assert [given[:2] for given in bench.output.given] == [("bal-1", 0), ("bal-1-2", 0), ("bal-1-2", 1)]
        assert await bench.store.lanes() == [
            Lane("bal-1", "bal-1-2", (await bench.store.lanes())[0].opened_at)
        ]
        watching.cancel()
        await fresh.stop()


async def test_a_log_refused_from_its_first_batch_on_is_for_the_operator() -> None:
    bench = Bench()
    async with bench.running() as worker:
        await poisoned(bench, worker, "1")
        with pytest.raises(LedgerRefused):
            await asyncio.wait_for(Pipeline([worker]).failure(), PATIENCE)
    assert [each.log for each in await bench.store.closed_logs()] == ["bal-1"]
    async with bench.running() as worker:
        assert worker.lane.log == "bal-1-2"
        await worker.published.reached(0)
        assert await bench.values("bal-1-2") == ["1"]


async def test_a_batch_that_stands_on_the_ledger_after_all_is_not_moved() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    first = batch([reading("1")])
    second = batch([reading("2", 1)], first.anchor)
    for each in (first, second):
        await bench.store.append_batch(each)
    await bench.ledger.anchor([first.anchor])
    await bench.store.close_log("bal-1", "malformed", 1)
    async with bench.running() as worker:
        await worker.published.reached(0)
        assert [given[:2] for given in bench.output.given] == [("bal-1", 0), ("bal-1-2", 0)]
        assert (await bench.store.batch("bal-1", 0)).commitment is not None
        assert await bench.values("bal-1-2") == ["2"]


async def test_rows_that_were_altered_are_not_sealed_anew() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    await bench.store.append_batch(batch([reading("1"), reading("2", 1)]))
    await bench.store.close_log("bal-1", "malformed", 1)
    bench.store.db.execute("UPDATE readings SET value = '3' WHERE idx = 1")
    with pytest.raises(Invalid, match="bal-1:0"):
        await bench.worker().start()
    bench.store.db.execute("DELETE FROM readings WHERE idx = 1")
    with pytest.raises(Invalid, match="bal-1:0"):
        await bench.worker().start()


async def test_a_name_somebody_else_has_registered_is_passed_over() -> None:
    bench = Bench()
    await bench.store.record_lane(Lane("bal-1", "bal-1"))
    await bench.store.close_log("bal-1", "malformed", 1)
    asked: list[str] = []

    async def register(log: str) -> None:
        asked.append(log)
        if log != "bal-1-4":
            raise LedgerRefused("taken", code="wrong_organisation")

    bench.ledger.register_log = register  # type: ignore[method-assign]
    async with bench.running() as worker:
        assert worker.lane.log == "bal-1-4"
        assert asked == ["bal-1-2", "bal-1-3", "bal-1-4"]


def test_numbered_logs_stay_within_the_grammar_of_names() -> None:
    assert numbered("bal-1", 2) == "bal-1-2"
    assert numbered("a" * 48, 10) == "a" * 45 + "-10"
