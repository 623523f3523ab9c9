"""What every ledger does, whatever runs it. An adapter joins the suite by a world of its own (`ledgers.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bal.core.commitment import Commitment
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused
from bal.ports import Ledger
from chaincode.anchor import Anchor
from tests.behaviour.ledgers import LEDGERS, World, ledger_world
from tests.unit.anchor.embedded.home import chain as chain_of


@pytest.fixture(params=LEDGERS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    adapter = ledger_world(request.param, tmp_path / request.param, request)
    await adapter.open()
    await adapter.operator.register_log(f"{adapter.prefix}bal-1")
    await adapter.operator.register_source(f"{adapter.prefix}dso-a")
    yield adapter
    await adapter.close()


@pytest.fixture
def log(world: World) -> str:
    return f"{world.prefix}bal-1"


@pytest.fixture
def source(world: World) -> str:
    return f"{world.prefix}dso-a"


def chain(world: World, count: int, log: str = "bal-1", source: str = "dso-a", **more: Any) -> list[Anchor]:
    return chain_of(count, log=f"{world.prefix}{log}", source=f"{world.prefix}{source}", **more)


async def logs(world: World, ledger: Ledger) -> list[str]:
    """Return the logs of one organisation that are this test's, without what its names begin with."""
    found = await ledger.logs()
    return [each.removeprefix(world.prefix) for each in found if each.startswith(world.prefix)]


async def everything(ledger: Ledger, log: str, first: int = 0) -> list[Commitment]:
    return [commitment async for commitment in ledger.anchors(log, first)]


async def refusal(ledger: Ledger, anchors: list[Anchor]) -> str:
    with pytest.raises(LedgerRefused) as refused:
        await ledger.anchor(anchors)
    return refused.value.code


async def test_it_says_what_it_is(world: World) -> None:
    assert world.operator.kind in {"embedded", "fabric"}
    assert world.operator.channel
    assert len({world.operator.organisation, world.regulator.organisation, world.other.organisation}) == 3


async def test_an_empty_log_has_no_head(world: World, log: str) -> None:
    assert await world.operator.head(log) is None
    assert await world.operator.find(log, 0) is None
    assert await everything(world.operator, log) == []
    assert await logs(world, world.operator) == ["bal-1"]


async def test_a_log_nobody_registered_is_empty(world: World) -> None:
    assert await world.operator.head(f"{world.prefix}bal-9") is None
    assert await world.operator.find(f"{world.prefix}bal-9", 0) is None
    assert await everything(world.operator, f"{world.prefix}bal-9") == []
    assert await refusal(world.operator, chain(world, 1, log="bal-9")) == "unknown_log"


async def test_anchors_are_committed_and_found_again(world: World, log: str) -> None:
    anchors = chain(world, 3)
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
    assert await world.operator.head(log) == both[1]
    for commitment in (first, *both):
        assert await world.regulator.find(log, commitment.anchor.seq) == commitment
    assert await everything(world.operator, log) == [first, *both]
    assert await everything(world.operator, log, first=2) == both[1:]
    assert Commitment.from_json({**both[1].to_json(), "suspended": []}) == both[1]
    await world.operator.verify()
    await world.reopen()
    assert await everything(world.operator, log) == [first, *both]


@pytest.mark.parametrize("count", [1, 2, 63, 64])
async def test_a_transaction_carries_up_to_64_anchors(world: World, count: int, log: str) -> None:
    done = await world.operator.anchor(chain(world, count))
    assert len(done) == count
    assert len({commitment.tx_id for commitment in done}) == 1
    assert await everything(world.operator, log) == done


async def test_no_and_65_anchors_are_refused(world: World, log: str) -> None:
    assert await refusal(world.operator, []) == "size"
    assert await refusal(world.operator, chain(world, 65)) == "size"
    assert await world.operator.head(log) is None


async def test_lists_go_over_many_pages(world: World, log: str) -> None:
    anchors = chain(world, 64 * 9)
    for start in range(0, len(anchors), 64):
        await world.operator.anchor(anchors[start : start + 64])
    assert [commitment.anchor for commitment in await everything(world.operator, log)] == anchors
    assert [commitment.anchor for commitment in await everything(world.operator, log, first=300)] == anchors[
        300:
    ]
    assert await everything(world.operator, log, first=len(anchors)) == []


async def test_the_same_content_again_is_answered_as_before(world: World, log: str) -> None:
    anchors = chain(world, 5)
    done = await world.operator.anchor(anchors[:3])
    assert await world.operator.anchor(anchors[:3]) == done
    again = await world.operator.anchor(anchors[1:])
    assert again[:2] == done[1:]
    assert await everything(world.operator, log) == done[:1] + again


async def test_forks_gaps_and_broken_chains_are_refused_for_good(world: World, log: str) -> None:
    anchors = chain(world, 4)
    await world.operator.anchor(anchors[:2])
    assert await refusal(world.operator, chain(world, 1, tag="b")) == "fork"
    assert await refusal(world.operator, anchors[3:]) == "wrong_sequence"
    assert await refusal(world.operator, chain(world, 1, start=2, previous="ab" * 32)) == "wrong_previous"
    assert await refusal(world.operator, chain(world, 1, log="bal-1", source="dso-9", tag="c")) == "fork"
    assert len(await everything(world.operator, log)) == 2
    assert (await world.operator.anchor(anchors[2:]))[1].anchor.seq == 3


async def test_two_submitters_of_one_place_one_wins(world: World, log: str) -> None:
    rivals = [chain(world, 1, tag=tag) for tag in "abcdefgh"]
    outcomes = await asyncio.gather(*(world.operator.anchor(each) for each in rivals), return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, list)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, LedgerRefused)]
    assert len(won) == 1
    assert [outcome.code for outcome in lost] == ["fork"] * 7
    assert await everything(world.operator, log) == won[0]
    await world.operator.verify()


async def test_the_same_content_twice_at_once_is_written_once(world: World, log: str) -> None:
    anchors = chain(world, 3)
    first, second, third = await asyncio.gather(*(world.operator.anchor(anchors) for _ in range(3)))
    assert first == second == third == await everything(world.operator, log)


async def test_many_logs_at_once(world: World) -> None:
    names = [f"log-{number}" for number in range(12)]
    await asyncio.gather(*(world.operator.register_log(f"{world.prefix}{name}") for name in names))

    async def write(name: str) -> list[Commitment]:
        done = []
        for anchor in chain(world, 5, log=name):
            done += await world.operator.anchor([anchor])
        return done

    written = await asyncio.gather(*(write(name) for name in names))
    assert await logs(world, world.operator) == sorted(["bal-1", *names])
    for name, done in zip(names, written, strict=True):
        assert await everything(world.operator, f"{world.prefix}{name}") == done
    await world.operator.verify()


async def test_an_unknown_outcome_is_settled_by_reading(world: World, log: str) -> None:
    anchors = chain(world, 2)
    with pytest.MonkeyPatch.context() as patch:
        world.lose_outcome(patch)
        with pytest.raises(LedgerOutcomeUnknown):
            await world.operator.anchor(anchors)
    found = await world.operator.find(log, 1)
    assert found is not None
    assert found.anchor == anchors[1]
    assert (await world.operator.anchor(anchors))[1] == found
    assert len(await everything(world.operator, log)) == 2


async def test_registering_again_is_no_harm_but_not_anothers(world: World, log: str, source: str) -> None:
    await world.operator.register_log(log)
    await world.operator.register_source(source)
    for work in (
        world.other.register_log(log),
        world.other.register_source(source),
        world.other.set_rules(source, "00" * 32),
        world.other.suspend_source(source, suspended=True, why="mine"),
        world.other.anchor(chain(world, 1)),
    ):
        with pytest.raises(LedgerRefused) as refused:
            await work
        assert refused.value.code == "wrong_organisation"
    await world.other.register_log(f"{world.prefix}market-1")
    assert await logs(world, world.other) == ["market-1"]
    assert await logs(world, world.operator) == ["bal-1"]


async def test_rules_are_set(world: World, source: str) -> None:
    await world.operator.set_rules(source, "12" * 32)
    await world.operator.set_rules(source, "12" * 32)
    with pytest.raises(LedgerRefused) as refused:
        await world.operator.set_rules(f"{world.prefix}dso-9", "12" * 32)
    assert refused.value.code == "unknown_source"
    with pytest.raises(LedgerRefused) as refused:
        await world.operator.set_rules(source, "12")
    assert refused.value.code == "malformed"


async def test_a_suspended_source_is_marked_and_the_log_goes_on(world: World, log: str, source: str) -> None:
    anchors = chain(world, 3)
    assert not await world.operator.suspended(source)
    assert not await world.operator.suspended(f"{world.prefix}dso-9")
    await world.operator.anchor(anchors[:1])
    await world.regulator.suspend_source(source, suspended=True, why="meters drift")
    assert await world.operator.suspended(source)
    await world.operator.suspend_source(source, suspended=False, why="not ours to lift")
    assert await world.operator.suspended(source)
    assert (await world.operator.anchor(anchors[1:2]))[0].suspended == (source,)
    await world.regulator.suspend_source(source, suspended=False, why="mended")
    assert not await world.operator.suspended(source)
    assert (await world.operator.anchor(anchors[2:]))[0].suspended == ()
    assert [commitment.suspended for commitment in await everything(world.operator, log)] == [
        (),
        (source,),
        (),
    ]
    await world.operator.verify()
