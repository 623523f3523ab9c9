"""The promises, held against whole lives of a BAL: faults, crashes, clocks that go back, senders that go away."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from itertools import pairwise
from typing import Any

import pytest
import structlog

from bal.core.address import Address
from bal.core.entry import Erasure, leaf
from bal.core.message import Message, Receipt
from bal.core.reading import Reading
from chaincode.merkle import Tree
from tests.counts import counts
from tests.sim.loop import Deadlock, simulate
from tests.sim.world import BARRED_AT, World
from tests.unit.lane.world import message


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), cache_logger_on_first_use=False
    )
    yield
    structlog.reset_defaults()


def documents(chance: random.Random) -> list[Message]:
    """Return messages of all kinds; no two alike."""
    made = []
    for number in range(chance.randint(1, 14)):
        size = chance.choice([1, 1, 3, 8, 9, 40, 130])
        words = [f"{number}{place:03d}@{place % 11}" for place in range(1, size + 1)]
        for place in range(size):
            roll = chance.random()
            if roll < 0.1:
                words[place] = f"bad{number}-{place}"
            elif roll < 0.15:
                words[place] = "same"
            elif roll < 0.2:
                words[place] = f"9{number}{place:03d}@{BARRED_AT}"
        if chance.random() < 0.1:
            words = ["unreadable", str(number)]
        source = chance.choice(["dso-a", "dso-b", "pmu-1"])
        made.append(message(" ".join(words), streamed=chance.random() < 0.4, source=source))
    return made


def words_of(one: Message) -> list[str]:
    data = one.body if isinstance(one.body, bytes) else one.body().read()
    return data.decode().split()


def is_reading(word: str) -> bool:
    return not word.startswith(("bad", "same"))


class Story:
    """One seed: a world, its senders, several lives."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        chance = self.world.chance
        self.messages = documents(chance)
        self.readable = [each for each in self.messages if words_of(each)[0] != "unreadable"]
        self.receipts: dict[bytes, list[Receipt]] = {}
        self.noted: list[str] = []
        self.tried: list[str] = []
        self.notes = chance.choice([0, 0, 3])

    def run(self) -> None:
        world, chance = self.world, self.world.chance
        for _ in range(chance.choice([0, 1, 5])):
            if world.live(*self._senders(), crash_after=chance.expovariate(1 / (40 * world.slow))):
                break
        world.faults, world.ledger.refusable, world.refuses = min(world.faults, 0.1), 0.0, world.refuses / 3
        for _ in range(60):
            if world.live(*self._senders(), crash_after=None):
                break
        else:
            pytest.fail(f"never done: {world.injected}")
        # Starts without faults finish what a stop has left: outputs that were away, a log closed at the last moment.
        world.faults = world.refuses = 0.0
        for _ in range(4):
            assert world.live(crash_after=None)
        assert world.live(self._hand_on(), crash_after=None)

    def _senders(self) -> list[Coroutine[Any, Any, None]]:
        half = len(self.messages) // 2
        groups = [self.messages[:half], self.messages[half:], self.messages[::3]]
        sending = [self.world.send(some, self.receipts) for some in groups if some]
        handing = self.world.republish(self.world.chance.choice([0, 3]))
        return [*sending, handing, self.world.note(self.notes, self.noted, self.tried)]

    async def _hand_on(self) -> None:
        await self.world.started.wait()
        await self.world.hand_on()


async def _collect(story: Story) -> dict[Address, tuple[object, bytes]]:
    """Check every log against the ledger; return every entry."""
    store, ledger = story.world.store, story.world.ledger
    entries: dict[Address, tuple[object, bytes]] = {}
    received = 0
    closed = {each.log for each in await store.closed_logs()}
    for log in await store.logs():
        assert await store.unanchored(log) == []
        assert await store.unpublished(log) == []
        standing = [each.anchor async for each in ledger.anchors(log)]
        records = [each async for each in store.batches(log)]
        kept = [each for each in records if each.moved_to is None]
        assert [each.anchor for each in kept] == standing, "every batch is anchored once, nothing else is"
        assert [each.anchor.seq for each in records] == list(range(len(records)))
        assert log in closed or kept == records
        for before, after in pairwise(standing):
            assert after.previous == before.hash
        for record in records:
            rows = await store.entries(log, record.anchor.seq)
            if record.moved_to is not None:
                assert rows == []
                continue
            leaves = [leaf(row.entry, row.salt) for row in rows]
            assert Tree(leaves).root.hex() == record.anchor.root
            for row in rows:
                assert row.address not in entries
                entries[row.address] = (row.entry, row.salt)
                if isinstance(row.entry, Reading):
                    assert row.entry.received_at >= received, "received_at never goes back within a lane"
                    received = row.entry.received_at
    assert await store.strays() == []
    salts = [salt for _, salt in entries.values()]
    assert len(set(salts)) == len(salts)
    return entries


async def _check_messages(story: Story, entries: dict[Address, tuple[object, bytes]]) -> None:
    world = story.world
    leaves: Counter[tuple[str, str]] = Counter(
        (entry.source, entry.value) for entry, _ in entries.values() if isinstance(entry, Reading)
    )
    wanted: Counter[tuple[str, str]] = Counter()
    moved = bool(await world.store.closed_logs())
    assert world.refused == {each.digest for each in story.messages} - {
        each.digest for each in story.readable
    }
    for one in story.readable:
        words = words_of(one)
        values = [w.partition("@") for w in words if is_reading(w)]
        accepted = [value for value, _, at in values if at != str(BARRED_AT)]
        wanted.update((one.source, value) for value in accepted)
        rejected = sum(w.startswith("bad") for w in words) + len(values) - len(accepted)
        for told in story.receipts[one.digest]:
            assert told.complete
            assert (told.accepted, told.rejected, told.outcomes) == (len(accepted), rejected, len(words))
            assert told.duplicates == words.count("same")
            assert len(told.rejections) == rejected
        known = await world.store.receipt(one.source, one.digest)
        if not accepted:
            assert known is None
            continue
        assert known is not None
        assert known.complete
        if not moved:
            assert all(told.ranges == known.ranges for told in story.receipts[one.digest])
        places = [address for part in known.ranges for address in part.addresses()]
        shown = [entries[place][0] for place in places]
        assert [each.value for each in shown if isinstance(each, Reading)] == accepted
    assert leaves == wanted, "every reading of every receipted message has exactly one leaf"
    kept = Counter((source, digest) for source, digest, _ in world.quarantine.kept)
    for one in story.messages:
        bad = sum(word.startswith("bad") for word in words_of(one))
        assert kept[one.source, one.digest] >= bad
    notes = [entry.why for entry, _ in entries.values() if isinstance(entry, Erasure)]
    assert len(set(notes)) == len(notes)
    assert set(story.noted) <= set(notes) <= set(story.tried)


def _check_outputs(story: Story, entries: dict[Address, tuple[object, bytes]]) -> None:
    whole = story.world.ledger.order
    assert len(set(whole)) == len(whole)
    holds = {(address.log, address.seq, entry.source) for address, (entry, _) in entries.items()}  # type: ignore[attr-defined]
    for output in story.world.outputs:
        assert set(output.entries) == {str(address) for address in entries}, "published at least once"
        for source, given in output.given.items():
            order = [place for place in whole if (*place, source) in holds]
            assert list(dict.fromkeys(given)) == order, "in the ledger's order"
            furthest = -1
            for batch in given:
                place = order.index(batch)
                assert place <= furthest + 1, "no batch before the one before it"
                furthest = max(furthest, place)


async def _check(story: Story) -> None:
    entries = await _collect(story)
    assert await story.world.store.parked() == []
    await _check_messages(story, entries)
    _check_outputs(story, entries)
    for worker in story.world.pipeline.lanes.values():
        room = worker.room
        assert (room.messages, room.bytes, room.unanchored, room.unpublished_bytes) == (0, 0, 0, 0)


def tell(seed: int) -> Story:
    story = Story(seed)
    story.run()
    story.world.dead = False
    simulate(_check(story), story.world.at)
    return story


@pytest.mark.timeout(600)
def test_every_promise_holds_in_every_life() -> None:
    injected: Counter[str] = Counter()
    for seed in range(counts(1000)):
        try:
            world = tell(seed).world
            injected += world.injected + world.metrics.counts
        except BaseException:
            print(f"seed {seed}")
            raise
    wanted = {"ledger unavailable", "output away", "sender gone", "log-closed", "output-parked", "handed on"}
    assert wanted <= set(injected)


def test_the_same_seed_tells_the_same_story() -> None:
    one, other = (tell(7) for _ in range(2))
    assert one.world.at == other.world.at
    assert one.world.injected == other.world.injected
    assert one.world.ledger.order == other.world.ledger.order


def test_time_jumps_and_a_deadlock_is_told() -> None:
    _, ended = simulate(asyncio.sleep(3600), 5.0)
    assert ended == pytest.approx(3605)

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        simulate(stuck(), 0.0)
