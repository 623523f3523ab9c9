"""Anchoring: each batch exactly once, whatever the ledger answers."""

from __future__ import annotations

import pytest

from bal.core.errors import LaneLost, LedgerAltered, LedgerRefused, LedgerUnavailable
from bal.lane.anchoring import Anchoring
from chaincode.anchor import Anchor
from tests.unit.lane.world import FakeClock, ScriptedLedger, settings, unknown
from tests.unit.store.rows import batch, committed, reading


def chain(count: int) -> list[Anchor]:
    made: list[Anchor] = []
    for number in range(count):
        made.append(batch([reading(str(number), number)], made[-1] if made else None).anchor)
    return made


def anchoring(ledger: ScriptedLedger) -> tuple[Anchoring, FakeClock]:
    clock = FakeClock()
    return Anchoring(ledger, clock, settings()), clock


async def test_a_group_is_committed_at_once() -> None:
    ledger, anchors = ScriptedLedger(), chain(3)
    done = await anchoring(ledger)[0].commit(anchors)
    assert [each.anchor for each in done] == anchors
    assert ledger.submitted == [[0, 1, 2]]


async def test_an_unavailable_ledger_is_asked_again_with_growing_pauses() -> None:
    ledger = ScriptedLedger(*(LedgerUnavailable("down") for _ in range(8)))
    work, clock = anchoring(ledger)
    assert len(await work.commit(chain(2))) == 2
    assert ledger.submitted == [[0, 1]] * 9
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 1.0


async def test_a_lost_answer_of_a_commit_is_settled_by_reading() -> None:
    ledger = ScriptedLedger(("written", unknown()))
    done = await anchoring(ledger)[0].commit(chain(2))
    assert len(done) == 2
    assert ledger.submitted == [[0, 1]]


async def test_a_lost_answer_without_a_commit_is_submitted_again_after_the_deadline() -> None:
    ledger = ScriptedLedger(unknown())
    work, clock = anchoring(ledger)
    begun = clock.monotonic()
    assert len(await work.commit(chain(2))) == 2
    assert ledger.submitted == [[0, 1], [0, 1]]
    assert clock.monotonic() - begun >= 3.0


async def test_settling_goes_on_while_the_ledger_cannot_be_read() -> None:
    ledger = ScriptedLedger(("written", unknown()))
    ledger.find_script = [LedgerUnavailable("down"), LedgerUnavailable("down")]
    assert len(await anchoring(ledger)[0].commit(chain(1))) == 1
    assert ledger.submitted == [[0]]


@pytest.mark.parametrize("first", [unknown(), LedgerRefused("gap", code="wrong_sequence")])
async def test_a_read_that_is_refused_tells_nothing_of_what_stands(first: Exception) -> None:
    ledger = ScriptedLedger(("written", first))
    ledger.find_script = [LedgerRefused("no", code="malformed")]
    assert len(await anchoring(ledger)[0].commit(chain(1))) == 1


async def test_refused_because_it_stands_there_already_is_success() -> None:
    anchors = chain(2)
    ledger = ScriptedLedger(LedgerRefused("gap", code="wrong_sequence"))
    for anchor in anchors:
        ledger.held[anchor.log, anchor.seq] = committed(anchor)
    assert [each.anchor for each in await anchoring(ledger)[0].commit(anchors)] == anchors
    assert len(ledger.submitted) == 1


async def test_a_ledger_that_goes_away_after_refusing_is_asked_again() -> None:
    anchors = chain(1)
    ledger = ScriptedLedger(LedgerRefused("gap", code="wrong_sequence"))
    ledger.find_script = [LedgerUnavailable("down")]
    assert len(await anchoring(ledger)[0].commit(anchors)) == 1
    assert len(ledger.submitted) == 2


async def test_another_root_at_our_number_means_the_lane_is_lost() -> None:
    ledger = ScriptedLedger()
    rival = batch([reading("666")]).anchor
    ledger.held["bal-1", 0] = committed(rival)
    with pytest.raises(LaneLost, match="bal-1:0"):
        await anchoring(ledger)[0].commit(chain(3))
    ledger.script = [unknown()]
    with pytest.raises(LaneLost):
        await anchoring(ledger)[0].commit(chain(1))


@pytest.mark.parametrize("bad", range(7))
async def test_what_stands_before_a_refused_batch_is_anchored(bad: int) -> None:
    anchors = chain(7)
    ledger = ScriptedLedger()
    ledger.poison = {anchors[bad].root}
    work, clock = anchoring(ledger)
    left = list(anchors)
    with pytest.raises(LedgerRefused):
        while left:
            done = await work.commit(left)
            assert [each.anchor for each in done] == left[: len(done)]
            left = left[len(done) :]
    assert left == anchors[bad:]
    assert sorted(seq for _, seq in ledger.held) == list(range(bad))
    assert clock.slept == []


async def test_an_altered_ledger_stops_at_once() -> None:
    ledger = ScriptedLedger(LedgerAltered("block 7", block=7))
    with pytest.raises(LedgerAltered):
        await anchoring(ledger)[0].commit(chain(1))
