from __future__ import annotations

from bal.core.entry import Entry, Erasure
from bal.store.cassandra import rows
from bal.store.cassandra.buckets import slot_of
from bal.store.cassandra.strips import strips
from tests.unit.store.rows import START, point, reading

ERASURE = Erasure("dso-a", "bal-1:0:7", "ab" * 32, "operator", "asked", START)


def test_values_are_in_the_form_of_the_protocol_and_partitions_stand_together() -> None:
    entries = [reading(str(number), number // 2, point=point(number % 2)) for number in range(6)]
    found = list(rows.strip_values("bal-1", 7, entries))
    assert [values[1] for values in found] == [point(0).encode(), point(1).encode()]
    for values, (partition, strip) in zip(found, strips("bal-1", 7, entries), strict=True):
        source, where, quantity, span, bucket, newest, log, seq, number, oldest, *blobs = values
        texts = [each.decode() for each in (source, where, quantity)]
        assert ([*texts, int.from_bytes(span), int.from_bytes(bucket)]) == [*partition]
        told = (int.from_bytes(newest), log.decode(), int.from_bytes(seq), int.from_bytes(number))
        assert (*told, int.from_bytes(oldest), *blobs) == strip
        assert [len(each) for each in (span, bucket, newest, seq, number, oldest)] == [4, 8, 8, 8, 4, 8]


def test_what_is_taken_away_is_what_was_written() -> None:
    entries: list[Entry] = [reading(str(number), number * 50, point=point(number % 2)) for number in range(9)]
    written = [(*partition, *strip.key) for partition, strip in strips("bal-1", 7, entries)]
    gone = rows.removals("bal-1", 7, [*entries, ERASURE])
    assert [values for cql, values in gone if cql == rows.DELETE_STRIP] == written
    assert len(written) > 2, "of one point some too far apart for one strip"
    assert (rows.DELETE_ERASURE, ("bal-1", 7, 9)) in gone


def test_erasures_are_listed_and_no_rows_of_readings() -> None:
    entries: list[Entry] = [reading(), ERASURE]
    assert len(list(rows.strip_values("bal-1", 0, entries))) == 1
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
