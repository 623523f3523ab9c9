"""What every Shared Customer Database answers when it is asked for readings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, groupby, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bal.core.address import Address
from bal.core.reading import Reading
from bal.ports import ReadingQuery, Store, StoredReading
from tests.behaviour.stores import anchor, answer, put
from tests.unit.store.rows import QUARTER, START, point, reading


def wanted(
    entries: Sequence[tuple[Address, Reading, bool]], query: ReadingQuery
) -> list[tuple[Address, Reading]]:
    """Answer a query the slow way."""
    rows = [
        (address, one)
        for address, one, anchored in entries
        if one.source == query.source
        and query.point in (None, one.point)
        and query.quantity in (None, one.quantity)
        and (query.start is None or one.timestamp >= query.start)
        and (query.end is None or one.timestamp < query.end)
        and (anchored or not query.anchored_only)
    ]
    rows.sort(
        key=lambda row: (
            -row[1].timestamp,
            *(row[1].point, row[1].quantity, row[1].component, row[1].reading_type, row[1].phase),
            row[1].received_at,
            row[0],
        )
    )
    shown: list[tuple[Address, Reading]] = []
    for _, revisions in groupby(rows, key=lambda row: row[1].natural_key):
        firsts = [next(run) for _, run in groupby(revisions, key=lambda row: row[1].content)]
        shown += firsts if query.history else firsts[-1:]
    return shown[: query.limit]


async def test_readings_by_point_quantity_time_limit_history_and_state(store: Store) -> None:
    def some(log: int, part: int) -> list[Reading]:
        return [
            reading(str(at * 100 + number), at, point=point(number), **kind)
            for at in range(part, part + 4)
            for number in range(3)
            for kind in (
                {},
                {"quantity": "voltageMagnitude", "reading_type": "voltmagnitude", "unit": "V", "interval": 0},
                {"phase": "A", "received_at": START + log},
            )
        ]

    known: list[tuple[Address, Reading, bool]] = []
    for log, name in enumerate(("bal-1", "bal-2")):
        contents = [some(log, 0), some(log, 2), [reading("7", 3, source="dso-b")]]
        batches = await put(store, *contents, log=name)
        await anchor(store, *batches[: 1 + log])
        known += [
            (row.address, row.entry, each.seq <= log)
            for each in batches
            for row in each.stored_entries()
            if isinstance(row.entry, Reading)
        ]
    choices = product(
        ("dso-a", "dso-b", "dso-c"),
        (None, point(1)),
        (None, "voltageMagnitude", "current"),
        (None, START + QUARTER),
        (None, START + 3 * QUARTER),
        (False, True),
        (False, True),
        (None, 5),
    )
    for source, where, quantity, start, end, history, anchored_only, limit in choices:
        query = ReadingQuery(source, where, quantity, start, end, history, anchored_only, limit)
        found = [each async for each in store.readings(query)]
        assert [(each.address, each.reading) for each in found] == wanted(known, query), query
        states = {address: state for address, _, state in known}
        assert all(each.anchored is states[each.address] for each in found)


async def test_a_then_b_then_a_shows_a_and_has_three_entries_in_its_history(store: Store) -> None:
    await put(store, [reading("1")], [reading("2")], [reading("1")])
    (shown,) = await answer(store)
    assert (shown.reading.value, shown.address) == ("1", Address("bal-1", 2, 0))
    history = await answer(store, history=True)
    assert [(each.reading.value, each.address.seq) for each in history] == [("1", 0), ("2", 1), ("1", 2)]


async def test_equal_neighbours_are_one_reading_at_its_first_address(store: Store) -> None:
    await put(store, [reading("1"), reading("1")], [reading("1"), reading("2")], [reading("2")])
    history = await answer(store, history=True)
    assert [(each.reading.value, each.address) for each in history] == [
        ("1", Address("bal-1", 0, 0)),
        ("2", Address("bal-1", 1, 1)),
    ]
    assert [each.address for each in await answer(store)] == [Address("bal-1", 1, 1)]


@pytest.mark.parametrize("member", ["unit", "interval", "quality"])
async def test_a_difference_in_anything_but_the_value_is_a_revision_too(store: Store, member: str) -> None:
    changed: Any = {"unit": "kWh", "interval": 60, "quality": "1.4.6"}[member]
    await put(store, [reading("1")], [reading("1", **{member: changed})])
    assert len(await answer(store, history=True)) == 2


async def test_revisions_are_in_order_of_receipt_not_of_name_of_log(store: Store) -> None:
    await put(store, [reading("new", received_at=START + 9)], log="aaa")
    await put(store, [reading("old", received_at=START + 8)], log="zzz")
    assert [each.reading.value for each in await answer(store)] == ["new"]


async def test_a_correction_not_yet_anchored_is_invisible_to_who_asks_for_anchored(store: Store) -> None:
    batches = await put(store, [reading("1")], [reading("2")])
    await anchor(store, batches[0])
    assert [(each.reading.value, each.anchored) for each in await answer(store)] == [("2", False)]
    assert [(each.reading.value, each.anchored) for each in await answer(store, anchored_only=True)] == [
        ("1", True)
    ]


async def test_long_answers_over_many_buckets_are_complete_and_newest_first(store: Store) -> None:
    await put(store, *([reading(str(at), at) for at in range(part, 3000, 7)] for part in range(7)))
    found = await answer(store)
    assert [each.reading.value for each in found] == [str(at) for at in reversed(range(3000))]
    assert len(await answer(store, limit=777)) == 777


async def test_frames_of_many_batches_that_overlap_are_shown_in_order(store: Store) -> None:
    def frame(at: int, phase: str, value: str) -> Reading:
        kind: dict[str, Any] = {
            "quantity": "voltageMagnitude",
            "reading_type": "voltmagnitude",
            "unit": "V",
            "interval": 0,
        }
        return reading(value, timestamp=START + at * 20_000, phase=phase, **kind)

    frames = [(at, phase) for at in range(1500) for phase in ("A", "B")]
    contents = [[frame(at, phase, f"{turn}") for at, phase in frames[turn::3]] for turn in range(3)]
    contents.append([frame(at, "A", "9") for at in range(700, 800)])  # corrections
    batches = await put(store, *contents)
    known = [
        (row.address, row.entry, False)
        for each in batches
        for row in each.stored_entries()
        if isinstance(row.entry, Reading)
    ]
    assert len(known) == 3100
    for start, end, history in (
        (None, None, True),
        (700, 701, True),
        (690, 810, False),
        (0, 1, False),
        (1499, 1500, False),
    ):
        query = ReadingQuery(
            "dso-a",
            point(),
            start=None if start is None else START + start * 20_000,
            end=None if end is None else START + end * 20_000,
            history=history,
        )
        found = [each async for each in store.readings(query)]
        assert [(each.address, each.reading) for each in found] == wanted(known, query), query


async def test_many_readings_of_one_moment_are_complete(store: Store) -> None:
    await put(store, [reading(str(number), point=point(number)) for number in range(3000)])
    found = await answer(store)
    assert len(found) == len({each.reading.point for each in found}) == 3000


_rows: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        value=st.sampled_from(["1", "2", "3"]),
        at=st.sampled_from(
            [0, 1, 2, 3, 118, 121, 122, 2999]
        ),  # near one another, and a day and a month apart
        point=st.integers(0, 2).map(point),
        phase=st.sampled_from(["A", "none"]),
        received_at=st.integers(START, START + 2),
        interval=st.sampled_from([0, 900]),
    ),
    min_size=1,
    max_size=40,
)


_examples = count()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_rows, cut=st.integers(3, 12), page=st.integers(1, 7), history=st.booleans(), where=st.booleans())
async def test_pages_together_are_the_unpaged_answer(
    store: Store, rows: list[dict[str, Any]], cut: int, page: int, history: bool, where: bool
) -> None:
    name = f"dso-{next(_examples)}"  # one store for all examples, so each has a source and a log of its own
    entries = [reading(source=name, **row) for row in rows]
    batches = await put(
        store, *(entries[start : start + cut] for start in range(0, len(entries), cut)), log=name
    )
    known = [
        (row.address, row.entry, True)
        for each in batches
        for row in each.stored_entries()
        if isinstance(row.entry, Reading)
    ]
    query = ReadingQuery(name, point(1) if where else None, history=history)
    whole = [each async for each in store.readings(query)]
    assert [(each.address, each.reading) for each in whole] == wanted(known, query)
    paged: list[StoredReading] = []
    while True:
        after = paged[-1].position if paged else None
        some = [each async for each in store.readings(query._replace(limit=page, after=after))]
        paged += some
        if len(some) < page:
            break
    assert paged == whole
