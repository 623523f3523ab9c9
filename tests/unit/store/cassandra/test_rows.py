from __future__ import annotations

from bal.core.address import Address
from bal.core.entry import Entry, Erasure
from bal.store.cassandra import rows
from bal.store.cassandra.buckets import ERA_SECONDS, era_of, slot_of
from tests.unit.store.rows import START, point, reading


def test_values_are_in_the_form_of_the_protocol_and_partitions_stand_together() -> None:
    entries = [reading(str(number), number // 2, point=point(number % 2)) for number in range(6)]
    found = list(rows.reading_values("bal-1", 7, entries))
    assert [values[13] for values in found] == [b"0", b"2", b"4", b"1", b"3", b"5"]
    assert [int.from_bytes(values[12]) for values in found] == [0, 2, 4, 1, 3, 5]
    assert [len(values) for values in found] == [17] * 6
    first = found[0]
    assert first[:3] == [b"dso-a", point(0).encode(), b"activeEnergy"]
    assert int.from_bytes(first[3]) == ERA_SECONDS
    assert int.from_bytes(first[4]) == era_of(START)
    assert (int.from_bytes(first[5]), first[10], int.from_bytes(first[11])) == (START, b"bal-1", 7)


def test_the_key_of_a_row_is_what_was_written() -> None:
    one = reading("-1.5", 3, phase="A", component="BUS1")
    (values,) = rows.reading_values("bal-1", 7, [one])
    key = rows.reading_key(Address("bal-1", 7, 0), one)
    encoded = [
        each.encode() if isinstance(each, str) else int(str(each)).to_bytes(len(there), signed=True)
        for each, there in zip(key, values, strict=False)
    ]
    assert encoded == values[: len(key)]


def test_erasures_are_listed_and_no_rows_of_readings() -> None:
    note = Erasure("dso-a", "bal-1:0:7", "ab" * 32, "operator", "asked", START)
    entries: list[Entry] = [reading(), note]
    assert len(list(rows.reading_values("bal-1", 0, entries))) == 1
    assert rows.erasure_writes("bal-1", 0, entries) == [(rows.INSERT_ERASURE, ("bal-1", 0, 1))]
    assert rows.slots(entries) == {("dso-a", slot_of(START)): {0}}


def test_tiles_of_a_time_are_told_by_number() -> None:
    entries = [reading(str(number), number // 300) for number in range(600)]
    (_, first), (_, second) = rows.slot_writes("bal-1", 0, entries)
    assert (first[-1], second[-1]) == ("0 1", "1 2")


def test_a_list_is_written_once() -> None:
    listed = rows.Listed()
    entries = [reading(str(number), number, point=point(number % 2)) for number in range(4)]
    wanted = listed.missing(entries)
    assert len(wanted) == 2 + 1 + 4, "points of the era, the era, the slots"
    assert listed.missing(entries) == wanted, "until it is known to stand"
    listed.add(wanted)
    assert listed.missing(entries) == []
    assert len(listed.missing([reading("9", 4)])) == 1
