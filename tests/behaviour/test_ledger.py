"""What every ledger does, whatever runs it. An adapter joins the suite by a world of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from bal.anchor.embedded.chain import EmbeddedChain
from bal.anchor.embedded.identity import REGULATOR, Identity
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused
from bal.ports import Ledger
from chaincode.anchor import Anchor
from tests.unit.anchor.embedded.home import KEY, SeededRandom, SteppingClock, chain


class World(Protocol):
    """A ledger with members of three organisations on it."""

    @property
    def operator(self) -> Ledger:
        """Whoever runs the BAL."""

    @property
    def regulator(self) -> Ledger:
        """Who may suspend."""

    @property
    def other(self) -> Ledger:
        """Who owns nothing here."""

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the outcome of the next submission be unknown to its submitter."""

    async def reopen(self) -> None:
        """Close everything and connect again."""

    async def close(self) -> None:
        """End it."""


class EmbeddedWorld:
    """The embedded ledger in a folder."""

    operator: EmbeddedLedger
    regulator: EmbeddedLedger
    other: EmbeddedLedger

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def open(self) -> None:
        self.operator = await EmbeddedLedger.open(self.directory, KEY, SteppingClock(), SeededRandom())
        self.regulator = self.operator.as_identity(REGULATOR)
        self.other = self.operator.as_identity(Identity("MarketMSP", frozenset({"admin"})))

    def lose_outcome(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def lost(*_: object) -> bytes:
            await submit(*_)  # type: ignore[arg-type]
            raise LedgerOutcomeUnknown("the answer was lost")

        submit = EmbeddedChain.submit
        monkeypatch.setattr(EmbeddedChain, "submit", lost)

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    async def close(self) -> None:
        await self.operator.close()


@pytest.fixture(params=["embedded"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    adapter = EmbeddedWorld(tmp_path / request.param)
    await adapter.open()
    await adapter.operator.register_log("bal-1")
    await adapter.operator.register_source("dso-a")
    yield adapter
    await adapter.close()


async def everything(ledger: Ledger, log: str = "bal-1", first: int = 0) -> list[Commitment]:
    return [commitment async for commitment in ledger.anchors(log, first)]


async def refusal(ledger: Ledger, anchors: list[Anchor]) -> str:
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(anchors)
    return refused.value.code


async def test_it_says_what_it_is(world: World) -> None:
    assert world.operator.kind in {"embedded", "fabric"}
    assert world.operator.channel
    assert len({world.operator.organisation, world.regulator.organisation, world.other.organisation}) == 3


async def test_an_empty_log_has_no_head(world: World) -> None:
    assert await world.operator.head("bal-1") is None
    assert await world.operator.find("bal-1", 0) is None
    assert await everything(world.operator) == []
    assert await world.operator.logs() == ["bal-1"]


async def test_a_log_nobody_registered_is_empty(world: World) -> None:
    assert await world.operator.head("bal-9") is None
    assert await world.operator.find("bal-9", 0) is None
    assert await everything(world.operator, "bal-9") == []
    assert await refusal(world.operator, chain(1, log="bal-9")) == "unknown_log"


async def test_anchors_are_committed_and_found_again(world: World) -> None:
    anchors = chain(3)
    first = (await world.operator.anchor(anchors[:1]))[0]
    assert first.anchor == anchors[0]
    assert first.organisation == world.operator.organisation
    assert first.ledger == world.operator.kind
    assert first.channel == world.operator.channel
    assert first.suspended == ()
    assert len(first.tx_id) == 64
    both = await world.operator.anchor(anchors[1:])
    assert [commitment.anchor for commitment in both] == anchors[1:]
    assert both[0].tx_id == both[1].tx_id != first.tx_id
    assert both[0].block == both[1].block > first.block
    assert both[0].time == both[1].time >= first.time
    assert await world.operator.head("bal-1") == both[1]
    for commitment in (first, *both):
        assert await world.regulator.find("bal-1", commitment.anchor.seq) == commitment
    assert await everything(world.operator) == [first, *both]
    assert await everything(world.operator, first=2) == both[1:]
    assert Commitment.from_json({**both[1].to_json(), "suspended": []}) == both[1]
    await world.operator.verify()
    await world.reopen()
    assert await everything(world.operator) == [first, *both]


@pytest.mark.parametrize("count", [1, 2, 63, 64])
async def test_a_transaction_carries_up_to_64_anchors(world: World, count: int) -> None:
    done = await world.operator.anchor(chain(count))
    assert len(done) == count
    assert len({commitment.tx_id for commitment in done}) == 1
    assert await everything(world.operator) == done


async def test_no_and_65_anchors_are_refused(world: World) -> None:
    assert await refusal(world.operator, []) == "size"
    assert await refusal(world.operator, chain(65)) == "size"
    assert await world.operator.head("bal-1") is None


async def test_lists_go_over_many_pages(world: World) -> None:
    anchors = chain(64 * 9)
    for start in range(0, len(anchors), 64):
        await world.operator.anchor(anchors[start : start + 64])
    assert [commitment.anchor for commitment in await everything(world.operator)] == anchors
    assert [commitment.anchor for commitment in await everything(world.operator, first=300)] == anchors[300:]
    assert await everything(world.operator, first=len(anchors)) == []


async def test_the_same_content_again_is_answered_as_before(world: World) -> None:
    anchors = chain(5)
    done = await world.operator.anchor(anchors[:3])
    assert await world.operator.anchor(anchors[:3]) == done
    again = await world.operator.anchor(anchors[1:])
    assert again[:2] == done[1:]
    assert await everything(world.operator) == done[:1] + again


async def test_forks_gaps_and_broken_chains_are_refused_for_good(world: World) -> None:
    anchors = chain(4)
    await world.operator.anchor(anchors[:2])
    assert await refusal(world.operator, chain(1, tag="b")) == "fork"
    assert await refusal(world.operator, anchors[3:]) == "wrong_sequence"
    assert await refusal(world.operator, chain(1, start=2, previous="ab" * 32)) == "wrong_previous"
    assert await refusal(world.operator, chain(1, log="bal-1", source="dso-9", tag="c")) == "fork"
    assert len(await everything(world.operator)) == 2
    assert (await world.operator.anchor(anchors[2:]))[1].anchor.seq == 3


async def test_two_submitters_of_one_place_one_wins(world: World) -> None:
    rivals = [chain(1, tag=tag) for tag in "abcdefgh"]
    outcomes = await asyncio.gather(*(world.operator.anchor(each) for each in rivals), return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, list)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, LedgerRefused)]
    assert len(won) == 1
    assert [outcome.code for outcome in lost] == ["fork"] * 7
    assert await everything(world.operator) == won[0]
    await world.operator.verify()


async def test_the_same_content_twice_at_once_is_written_once(world: World) -> None:
    anchors = chain(3)
    first, second, third = await asyncio.gather(*(world.operator.anchor(anchors) for _ in range(3)))
    assert first == second == third == await everything(world.operator)


async def test_many_logs_at_once(world: World) -> None:
    logs = [f"log-{number}" for number in range(12)]
    await asyncio.gather(*(world.operator.register_log(log) for log in logs))

    async def write(log: str) -> list[Commitment]:
        done = []
        for anchor in chain(5, log=log):
            done += await world.operator.anchor([anchor])
        return done

    written = await asyncio.gather(*(write(log) for log in logs))
    assert await world.operator.logs() == sorted(["bal-1", *logs])
    for log, done in zip(logs, written, strict=True):
        assert await everything(world.operator, log) == done
    await world.operator.verify()


async def test_an_unknown_outcome_is_settled_by_reading(world: World) -> None:
    anchors = chain(2)
    with pytest.MonkeyPatch.context() as patch:
        world.lose_outcome(patch)
        with pytest.raises(LedgerOutcomeUnknown):
            await world.operator.anchor(anchors)
    found = await world.operator.find("bal-1", 1)
    assert found is not None
    assert found.anchor == anchors[1]
    assert (await world.operator.anchor(anchors))[1] == found
    assert len(await everything(world.operator)) == 2


async def test_registering_again_is_no_harm_but_not_anothers(world: World) -> None:
    await world.operator.register_log("bal-1")
    await world.operator.register_source("dso-a")
    for work in (
        world.other.register_log("bal-1"),
        world.other.register_source("dso-a"),
        world.other.set_rules("dso-a", "00" * 32),
        world.other.suspend_source("dso-a", suspended=True, why="mine"),
        world.other.anchor(chain(1)),
    ):
        with pytest.raises(LedgerRefused) as refused:
            await work
        assert refused.value.code == "wrong_organisation"
    await world.other.register_log("market-1")
    assert await world.other.logs() == ["market-1"]
    assert await world.operator.logs() == ["bal-1"]


async def test_rules_are_set(world: World) -> None:
    await world.operator.set_rules("dso-a", "12" * 32)
    await world.operator.set_rules("dso-a", "12" * 32)
    with pytest.raises(LedgerRefused) as refused:
        await world.operator.set_rules("dso-9", "12" * 32)
    assert refused.value.code == "unknown_source"
    with pytest.raises(LedgerRefused) as refused:
        await world.operator.set_rules("dso-a", "12")
    assert refused.value.code == "malformed"


async def test_a_suspended_source_is_marked_and_the_log_goes_on(world: World) -> None:
    anchors = chain(3)
    assert not await world.operator.suspended("dso-a")
    assert not await world.operator.suspended("dso-9")
    await world.operator.anchor(anchors[:1])
    await world.regulator.suspend_source("dso-a", suspended=True, why="meters drift")
    assert await world.operator.suspended("dso-a")
    await world.operator.suspend_source("dso-a", suspended=False, why="not ours to lift")
    assert await world.operator.suspended("dso-a")
    assert (await world.operator.anchor(anchors[1:2]))[0].suspended == ("dso-a",)
    await world.regulator.suspend_source("dso-a", suspended=False, why="mended")
    assert not await world.operator.suspended("dso-a")
    assert (await world.operator.anchor(anchors[2:]))[0].suspended == ()
    assert [commitment.suspended for commitment in await everything(world.operator)] == [(), ("dso-a",), ()]
    await world.operator.verify()
