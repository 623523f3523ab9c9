"""Collector and tickets: addresses in order, receipts that say what stands where."""

from __future__ import annotations

import asyncio

import pytest

from bal.core.address import AddressRange
from bal.core.entry import expand_salts, leaves
from bal.core.errors import Unavailable
from bal.core.limits import REJECTIONS_LISTED
from bal.core.message import Receipt
from bal.core.reading import Reading
from bal.lane.collector import Collector
from bal.lane.ticket import Ticket
from chaincode.anchor import GENESIS, MAX_SOURCES
from tests.unit.lane.world import RULES, SOURCE, message
from tests.unit.store.rows import batch, reading, receipt


def ticket(text: str = "1") -> Ticket:
    loop = asyncio.get_running_loop()
    return Ticket(message(text), SOURCE, 7, loop.create_future(), loop.create_future())


def add(collector: Collector, owner: Ticket | None, *rows: Reading, rules: str = RULES) -> int:
    salts = expand_salts(b"seed", len(rows))
    return collector.add(owner, rows, salts, leaves(rows, salts), rules)


async def test_batches_form_a_chain_and_addresses_count_on() -> None:
    collector, owner = Collector("bal-1", None, 4), ticket()
    assert not collector.touched
    assert add(collector, owner, reading("1"), reading("2", 1)) == 0
    assert add(collector, owner, reading("3", 2)) == 2
    assert (collector.size, collector.room) == (3, 1)
    first, moved = collector.seal(5)
    assert first is not None
    assert (first.seq, first.anchor.previous, first.size) == (0, GENESIS, 3)
    assert moved[0].receipt.ranges == (AddressRange("bal-1", 0, 0, 2),)
    assert first.receipts == (moved[0].receipt,)
    assert not collector.touched
    add(collector, owner, reading("4", 3))
    second, moved = collector.seal(6)
    assert second is not None
    assert (second.seq, second.anchor.previous) == (1, first.anchor.hash)
    assert moved[0].receipt.ranges == (AddressRange("bal-1", 0, 0, 2), AddressRange("bal-1", 1, 0, 0))
    assert moved[0].receipt.accepted == 4


async def test_it_goes_on_from_the_head_it_is_given() -> None:
    head = batch([reading()]).anchor
    collector = Collector("bal-1", head, 4)
    add(collector, None, reading("2"))
    sealed, _ = collector.seal(0)
    assert sealed is not None
    assert (sealed.seq, sealed.anchor.previous) == (1, head.hash)


async def test_a_batch_is_never_sealed_before_the_one_before_or_before_its_readings() -> None:
    collector = Collector("bal-1", None, 4, sealed_at=50)
    add(collector, None, reading("1", received_at=40))
    assert collector.seal(30)[0].sealed_at == 50  # type: ignore[union-attr]
    add(collector, None, reading("2", received_at=70), reading("3", 1, received_at=60))
    assert collector.seal(30)[0].sealed_at == 70  # type: ignore[union-attr]
    add(collector, None, reading("3", received_at=60))
    assert collector.seal(90)[0].sealed_at == 90  # type: ignore[union-attr]


async def test_one_batch_has_one_rule_digest_per_source_and_so_many_sources() -> None:
    collector = Collector("bal-1", None, 1000)
    add(collector, None, reading("1"))
    assert collector.fits("dso-a", RULES)
    assert not collector.fits("dso-a", "ab" * 32)
    for number in range(MAX_SOURCES - 1):
        add(collector, None, reading("1", source=f"s-{number}"))
    assert collector.fits("dso-a", RULES)
    assert not collector.fits("one-more", RULES)
    sealed, _ = collector.seal(0)
    assert sealed is not None
    assert len(sealed.anchor.counts) == MAX_SOURCES
    assert collector.fits("dso-a", "ab" * 32)


async def test_a_ticket_without_leaves_moves_no_batch() -> None:
    collector, owner = Collector("bal-1", None, 4), ticket()
    collector.touch(owner)
    assert collector.touched
    sealed, moved = collector.seal(1)
    assert sealed is None
    assert [each.ticket for each in moved] == [owner]
    assert collector.seq == 0


async def test_progress_is_taken_up_again() -> None:
    owner = ticket()
    owner.place("bal-1", 3, 0, 5)
    owner.reject("bad", "here")
    owner.duplicates, owner.outcomes, owner.ahead = 2, 8, 1
    told = owner.receipt()
    assert not told.complete
    again = ticket()
    again.resume(told)
    assert again.receipt() == told
    again.place("bal-1", 3, 5, 2)
    assert again.ranges == [AddressRange("bal-1", 3, 0, 6)]
    again.place("bal-2", 3, 7, 1)
    assert len(again.ranges) == 2
    assert told.ranges == (AddressRange("bal-1", 3, 0, 4),), "a receipt does not change once given"


async def test_rejections_are_counted_beyond_those_listed() -> None:
    owner = ticket()
    for number in range(REJECTIONS_LISTED + 5):
        owner.reject("bad", str(number))
    assert owner.rejected == REJECTIONS_LISTED + 5
    assert len(owner.receipt().rejections) == REJECTIONS_LISTED


async def test_a_sender_that_has_gone_does_not_end_the_message() -> None:
    owner = ticket()
    owner.stored.cancel()
    assert not owner.ended.done()
    owner.answer(receipt(b"d"))
    assert owner.ended.done()
    for told in (owner.fail, owner.answer):
        told(Unavailable("late") if told == owner.fail else receipt(b"d"))  # type: ignore[arg-type]


async def test_the_first_answer_stands() -> None:
    owner = ticket()
    first: Receipt = receipt(b"d")
    owner.answer(first)
    owner.fail(Unavailable("late"))
    assert await owner.stored is first
    other = ticket()
    other.fail(Unavailable("early"))
    other.answer(first)
    with pytest.raises(Unavailable):
        await other.stored
