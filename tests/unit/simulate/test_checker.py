import json
from dataclasses import replace
from pathlib import Path

import pytest

from bal.core.instant import instant_text
from bal.core.pseudonym import PseudonymKey
from bal.simulate.checker import Sent, compare, rows, sent_by_record
from bal.simulate.link import Answer
from bal.simulate.plan import DsoPlan, Plan, PmuPlan
from bal.simulate.receipts import ReceiptFile

DSO = DsoPlan("dso-a", 5, 6, 1_793_232_000, meters_per_document=3)
PMU = PmuPlan("pmu-a", 5, 2, 1_793_232_000_000_000)
KEY = PseudonymKey(1, b"k" * 32)


def shown(plan: Plan, *numbers: int) -> list[dict[str, object]]:
    """Give the entries a BAL would show."""
    return [
        {
            "type": "reading",
            "source": plan.source,
            "point": KEY.pseudonym(plan.source, one.kind, one.identifier),
            "component": one.component,
            "reading_type": one.reading_type,
            "timestamp": instant_text(one.timestamp),
            "value": one.value,
            "address": "bal-1:0:0",
        }
        for number in numbers
        for one in plan.expected(number)
    ]


@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_sent_and_shown_once_is_right(key: PseudonymKey | None) -> None:
    entries = shown(DSO, 2, 0, 1) + shown(PMU, 1, 0) + shown(replace(DSO, source="dso-b"), 0)
    found = compare([Sent(DSO, range(3)), Sent(PMU, range(2))], entries[::-1], key)
    assert found.ok
    assert found.matched == len(entries) - len(DSO.expected(0))


@pytest.mark.parametrize("key", [None, KEY])
def test_every_difference_is_found(key: PseudonymKey | None) -> None:
    entries = shown(DSO, 0)
    sent = [Sent(DSO, [0])]
    missing = compare(sent, entries[1:], key)
    assert (missing.ok, missing.missing.total(), missing.unexpected.total()) == (False, 1, 0)
    twice = compare(sent, [*entries, entries[0]], key)
    assert (twice.ok, twice.missing.total(), twice.unexpected.total()) == (False, 0, 1)
    for change in ({"value": "1"}, {"timestamp": "2026-10-29T00:15:00.000001Z"}, {"component": "BUS1"}):
        changed = compare(sent, [{**entries[0], **change}, *entries[1:]], key)
        assert (changed.missing.total(), changed.unexpected.total()) == (1, 1)


def test_with_the_key_two_points_cannot_be_swapped() -> None:
    entries = shown(DSO, 0)
    other = next(entry["point"] for entry in entries if entry["point"] != entries[0]["point"])
    swapped = [{**entries[0], "point": other}, *entries[1:]]
    assert compare([Sent(DSO, [0])], swapped).ok
    assert not compare([Sent(DSO, [0])], swapped, KEY).ok


def test_what_had_no_receipt_may_be_there_or_not() -> None:
    sent = [Sent(DSO, [0], [0, 1, 2])]
    assert compare(sent, shown(DSO, 0)).ok
    assert compare(sent, shown(DSO, 0, 2)).ok
    assert not compare(sent, shown(DSO, 1)).ok
    assert not compare(sent, shown(DSO, 0, 1, 1)).ok
    assert not compare(sent, shown(DSO, 0, 3)).ok


def test_a_record_says_what_must_be_there(tmp_path: Path) -> None:
    with ReceiptFile(tmp_path / "r", DSO) as record:
        for number, accepted in ((0, True), (2, False), (3, True)):
            message = DSO.message(number)
            record.record(message, Answer(message.digest, accepted, "mqtt", {}), 1, 0)
    sent = sent_by_record(tmp_path / "r", messages=5)
    assert sent == Sent(DSO, frozenset({0, 3}), frozenset({1, 4}))
    assert sent_by_record(tmp_path / "r").possible == frozenset()


def test_rows_are_read_from_queries_and_from_certificates() -> None:
    entries = shown(PMU, 0)
    erasure = {"type": "erasure", "source": "pmu-a"}
    lines = [json.dumps(entry) for entry in entries]
    lines += [json.dumps({"version": 1, "entry": entry}) for entry in shown(PMU, 1)]
    lines += ["", json.dumps(erasure)]
    assert compare([Sent(PMU, range(2))], rows(lines), KEY).ok
