"""What an output refuses is parked on record, and handed on in order once the operator says so."""

from __future__ import annotations

import asyncio

import pytest

from bal.core.address import Address
from bal.core.certified import CertifiedBatch
from bal.core.errors import Conflict, NotFound, NotYetAnchored, PublishRefused, StoreFailed, Unavailable
from bal.core.source import Lane, Source
from bal.core.stored import BatchPlace
from bal.lane.backlog import End, end_of, first_place
from bal.lane.publishing import Publishing
from bal.pipeline import LaneWorker
from tests.unit.lane.bench import Bench
from tests.unit.lane.world import SOURCE, ListedOutput, message, turns
from tests.unit.store.rows import batch, committed, reading

OTHER = Source(name="dso-b", lane="bal-1")


class PickyOutput(ListedOutput):
    """Refuses the sources named, and may be made to stop before it takes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        await self.open.wait()
        for name in sorted(sources & self.refuses):
            raise PublishRefused("not this one", source=name)
        await super().publish(batch, sources)

    def of(self, source: str) -> list[tuple[str, int]]:
        return [(log, seq) for log, seq, sources in self.given if source in sources]


@pytest.fixture
def bench() -> Bench:
    made = Bench(batch_leaves=1)
    made.output = PickyOutput()
    made.sources["dso-b"] = OTHER
    return made


def output(bench: Bench) -> PickyOutput:
    assert isinstance(bench.output, PickyOutput)
    return bench.output


async def send(worker: LaneWorker, *values: str) -> None:
    """Let each source have a batch of every value, published as far as outputs take it."""
    for value in values:
        for source in (SOURCE, OTHER):
            ticket = await worker.take(message(value, source=source.name), source, wait=True)
            await ticket.stored
    last = await worker._world.store.last_batch(worker.lane.log)
    assert last is not None
    await worker.published.reached(last.anchor.seq)


async def republish(publishing: Publishing, start: BatchPlace | None = None, source: Source = SOURCE) -> int:
    return await publishing.republish("jsonl", source, asyncio.Lock(), start)


def batches(*numbers: int, log: str = "bal-1") -> list[tuple[str, int]]:
    return [(log, number) for number in numbers]


async def test_what_is_parked_outlives_a_restart_and_is_handed_on_in_order(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1")
        output(bench).refuses.add("dso-a")
        await send(worker, "2", "3")
    assert [each[:4] for each in await bench.store.parked()] == [("jsonl", "dso-a", "bal-1", 2)]
    output(bench).refuses.clear()
    async with bench.running() as worker:
        await send(worker, "4")
        assert output(bench).of("dso-a") == batches(0)
        assert await republish(worker.publishing) == 3
        assert await bench.store.parked() == []
        await send(worker, "5")
    assert output(bench).of("dso-a") == batches(0, 2, 4, 6, 8)
    assert output(bench).of("dso-b") == batches(1, 3, 5, 7, 9)
    async with bench.running() as worker:
        with pytest.raises(NotFound):
            await republish(worker.publishing)


async def test_a_parking_is_on_record_before_the_batch_is_marked_published(bench: Bench) -> None:
    output(bench).refuses.add("dso-a")

    async def broken(kind: str) -> None:
        if kind == "mark_published":
            assert [each.seq for each in await bench.store.parked()] == [0]
            raise StoreFailed("the disk is full")

    async with bench.running() as worker:
        bench.store.before = broken
        with pytest.raises(Unavailable):
            await send(worker, "1")
    assert await bench.store.unpublished("bal-1") != []


async def test_a_parking_that_cannot_be_recorded_stops_the_lane(bench: Bench) -> None:
    output(bench).refuses.add("dso-a")

    async def broken(kind: str) -> None:
        if kind == "park":
            raise StoreFailed("the disk is full")

    async with bench.running() as worker:
        bench.store.before = broken
        with pytest.raises(Unavailable):
            await send(worker, "1")
        with pytest.raises(StoreFailed):
            await worker.failed
    bench.store.before = at_once
    output(bench).refuses.clear()
    async with bench.running() as worker:
        await worker.published.reached(0)
        assert output(bench).of("dso-a")[:1] == batches(0)


async def at_once(_kind: str) -> None:
    return None


async def test_batches_that_come_meanwhile_are_handed_on_last_and_once(bench: Bench) -> None:
    async with bench.running() as worker:
        output(bench).refuses.add("dso-a")
        await send(worker, "1", "2")
        output(bench).refuses.clear()
        output(bench).open.clear()
        handing = asyncio.create_task(republish(worker.publishing))
        await turns()
        for number in range(3, 9):
            ticket = await worker.take(message(str(number)), SOURCE, wait=True)
            await ticket.stored
            if number == 5:
                output(bench).open.set()
        await handing
        await send(worker, "9")
        assert output(bench).of("dso-a") == sorted(output(bench).of("dso-a"))
        assert len(set(output(bench).of("dso-a"))) == 9
        assert len(output(bench).of("dso-a")) == 9


async def test_refused_again_it_stays_parked_from_there(bench: Bench) -> None:
    async with bench.running() as worker:
        output(bench).refuses.add("dso-a")
        await send(worker, "1", "2", "3")
        output(bench).refuses.clear()
        output(bench).script = [None, PublishRefused("not this one", source="dso-a")]
        with pytest.raises(PublishRefused):
            await republish(worker.publishing)
        assert [each.seq for each in await bench.store.parked()] == [2]
        output(bench).script = [Unavailable("the disk is full")]
        with pytest.raises(Unavailable):
            await republish(worker.publishing)
        assert await republish(worker.publishing) == 2
    assert output(bench).of("dso-a") == batches(0, 2, 4)


async def test_from_an_address_on_everything_comes_again(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1", "2", "3")
        assert await republish(worker.publishing, BatchPlace("bal-1", 1)) == 2
        assert await bench.store.parked() == []
        await send(worker, "4")
    assert output(bench).of("dso-a") == batches(0, 2, 4, 2, 4, 6)


async def test_from_reaches_further_back_than_a_parking_and_not_past_it(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1", "2")
        output(bench).refuses.add("dso-a")
        await send(worker, "3", "4")
        output(bench).refuses.clear()
        with pytest.raises(Conflict, match="bal-1:4"):
            await republish(worker.publishing, BatchPlace("bal-1", 6))
        with pytest.raises(NotFound):
            await republish(worker.publishing, BatchPlace("bal-1", 99))
        assert [each.seq for each in await bench.store.parked()] == [4]
        assert await republish(worker.publishing, BatchPlace("bal-1", 2)) == 3
    assert output(bench).of("dso-a") == batches(0, 2, 2, 4, 6)


async def test_what_is_set_to_the_output_no_more_is_only_lifted(bench: Bench) -> None:
    async with bench.running() as worker:
        output(bench).refuses.add("dso-a")
        await send(worker, "1")
        assert await republish(worker.publishing, source=SOURCE.model_copy(update={"outputs": ()})) == 0
        assert await bench.store.parked() == []
    assert output(bench).of("dso-a") == []


async def test_an_unknown_output_and_a_batch_without_an_anchor(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1")
        with pytest.raises(NotFound):
            await worker.publishing.republish("pigeon", SOURCE, asyncio.Lock(), BatchPlace("bal-1", 0))
        last = await bench.store.batch("bal-1", 1)
        await bench.store.append_batch(batch([reading("7")], last.anchor))
        with pytest.raises(Conflict):
            await republish(worker.publishing, BatchPlace("bal-1", 2))
        with pytest.raises(NotYetAnchored):
            await bench.store.certified_batch("bal-1", 2)


async def test_no_batch_is_read_while_an_erasure_has_its_turn(bench: Bench) -> None:
    async with bench.running() as worker:
        output(bench).refuses.add("dso-a")
        await send(worker, "1")
        output(bench).refuses.clear()
        turn = asyncio.Lock()
        async with turn:
            handing = asyncio.create_task(worker.publishing.republish("jsonl", SOURCE, turn, None))
            await turns(50)
            assert output(bench).of("dso-a") == []
            bench.store.db.execute("DELETE FROM readings WHERE log = 'bal-1' AND seq = 0")
        handed: list[object] = []
        original = bench.output.publish

        async def watch(certified: CertifiedBatch, sources: frozenset[str]) -> None:
            handed.extend(certified.entries)
            await original(certified, sources)

        bench.output.publish = watch  # type: ignore[assignment, method-assign]
        await handing
        assert handed == [None]


@pytest.mark.parametrize("start", [None, BatchPlace("bal-1", 0)])
async def test_over_a_closed_log_into_the_one_that_follows(bench: Bench, start: BatchPlace | None) -> None:
    """Two batches in the closed log, one carried over from it, one new: each once, in order."""
    store = bench.store
    await store.record_lane(Lane("bal-1", "bal-1"))
    previous = None
    for number in range(3):
        sealed = batch([reading(str(number), number)], previous)
        previous = sealed.anchor
        await store.append_batch(sealed)
        if number < 2:
            await bench.ledger.anchor([sealed.anchor])
            await store.mark_anchored([committed(sealed.anchor)])
    await store.close_log("bal-1", "malformed", 1)
    bench.clock.time = 0  # set back: what follows is not sealed before what it follows
    if start is None:
        output(bench).refuses.add("dso-a")
    async with bench.running() as worker:
        await worker.published.reached(0)
        await send(worker, "5")
        output(bench).refuses.clear()
        output(bench).given.clear()
        assert await republish(worker.publishing, start) == 4
    assert output(bench).of("dso-a") == [*batches(0, 1), *batches(0, 1, log="bal-1-2")]


async def repeat(publishing: Publishing, start: BatchPlace, end: End) -> int:
    return await publishing.repeat("jsonl", SOURCE, asyncio.Lock(), start, end)


async def test_a_stretch_goes_out_once_more_and_parks_nothing(bench: Bench) -> None:
    async with bench.running() as worker:
        for value in "1234":
            bench.clock.time += 1_000_000
            await send(worker, value)
        sealed = [(await bench.store.batch("bal-1", number)).sealed_at for number in range(8)]
        output(bench).given.clear()
        start = await first_place(bench.store, "dso-a", sealed[1] + 1)
        assert start == BatchPlace("bal-1", 2)
        end = await end_of(bench.store, Address("bal-1", 5, 0))
        assert await repeat(worker.publishing, start, end) == 2
        assert output(bench).of("dso-a") == batches(2, 4)
        assert output(bench).of("dso-b") == []
        assert await repeat(worker.publishing, BatchPlace("bal-1", 0), End(sealed[-1])) == 4
        assert await bench.store.parked() == []
        await send(worker, "5")
        assert output(bench).of("dso-a") == batches(2, 4, 0, 2, 4, 6, 8)
        with pytest.raises(NotFound):
            await first_place(bench.store, "dso-a", sealed[-1] + 10**12)


async def test_a_stretch_of_what_was_never_handed_out_is_no_repetition(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1")
        output(bench).refuses.add("dso-a")
        await send(worker, "2", "3")
        output(bench).refuses.clear()
        output(bench).given.clear()
        before, last = [await end_of(bench.store, Address("bal-1", seq, 0)) for seq in (1, 5)]
        with pytest.raises(Conflict, match="refused the source from bal-1:2 on"):
            await repeat(worker.publishing, BatchPlace("bal-1", 0), last)
        assert await repeat(worker.publishing, BatchPlace("bal-1", 0), before) == 1
        assert output(bench).of("dso-a") == batches(0)
        assert await republish(worker.publishing) == 2
        assert output(bench).of("dso-a") == batches(0, 2, 4)


async def test_a_repetition_that_is_refused_is_told_and_leaves_all_as_it_was(bench: Bench) -> None:
    async with bench.running() as worker:
        await send(worker, "1", "2")
        output(bench).refuses.add("dso-a")
        end = await end_of(bench.store, Address("bal-1", 3, 0))
        with pytest.raises(PublishRefused):
            await repeat(worker.publishing, BatchPlace("bal-1", 0), end)
        assert await bench.store.parked() == []
        with pytest.raises(NotFound):
            await worker.publishing.repeat("kafka", SOURCE, asyncio.Lock(), BatchPlace("bal-1", 0), end)


async def test_a_worker_that_follows_goes_on_with_the_same_parkings(bench: Bench) -> None:
    async with bench.running() as worker:
        output(bench).refuses.add("dso-a")
        await send(worker, "1")
        worker.fail(Unavailable("the log was closed"))
        await worker.ended()
        follower = worker.successor()
        await follower.start()
        await send(follower, "2")
        output(bench).refuses.clear()
        assert await republish(worker.publishing) == 2
        await send(follower, "3")
        follower.fail(Unavailable("the test is over"))
    assert output(bench).of("dso-a") == batches(0, 2, 4)
