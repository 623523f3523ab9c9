from dataclasses import replace
from pathlib import Path

import pytest

from bal.core.errors import Conflict, Malformed
from bal.simulate.link import Answer
from bal.simulate.outbox import Outbox
from bal.simulate.plan import DsoPlan, Plan, PmuPlan, plan_from_json
from bal.simulate.receipts import ReceiptFile, read_receipts

PMU = PmuPlan("pmu-a", 5, 2, 1_793_232_000_000_000)
DSO = DsoPlan("dso-a", 5, 3, 1_793_232_000)


def answer(plan: Plan, number: int) -> Answer:
    return Answer(plan.message(number).digest, accepted=True, by="http", body={})


@pytest.mark.parametrize("plan", [PMU, DSO])
def test_what_is_kept_comes_back_in_order(tmp_path: Path, plan: Plan) -> None:
    outbox = Outbox(tmp_path / "deep" / "outbox", plan)
    assert (outbox.waiting(), outbox.next_number()) == ([], 0)
    for number in (0, 1, 2, 3):
        outbox.keep(plan.message(number))
    outbox.drop(plan.message(1))
    again = Outbox(tmp_path / "deep" / "outbox", plan)
    assert again.waiting() == [plan.message(number) for number in (0, 2, 3)]
    assert again.next_number() == 4
    for number in (0, 2, 3):
        again.drop(plan.message(number))
    assert (again.waiting(), again.next_number()) == ([], 4)


def test_a_message_kept_but_not_noted_is_not_made_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, DSO)
    outbox.keep(DSO.message(0))
    (tmp_path / "next").write_text("0")
    (tmp_path / "000000001.cim..message.new").write_bytes(b"half a docu")
    assert outbox.next_number() == 1
    assert outbox.waiting() == [DSO.message(0)]


def test_an_outbox_keeps_its_start_and_refuses_another_plan(tmp_path: Path) -> None:
    Outbox(tmp_path, DSO)
    assert Outbox(tmp_path, replace(DSO, start=DSO.start + 900)).plan == DSO
    for other in (replace(DSO, seed=6), replace(DSO, source="dso-b"), replace(DSO, meters=4), PMU):
        with pytest.raises(Conflict):
            Outbox(tmp_path, other)


def test_a_torn_line_is_left_out_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with ReceiptFile(path, DSO) as record:
        for number in range(3):
            record.record(DSO.message(number), answer(DSO, number), 1, 0)
    path.write_bytes(path.read_bytes()[:-7])
    assert [line.number for line in read_receipts(path)[1]] == [0, 1]
    with ReceiptFile(path, DSO) as record:
        record.record(DSO.message(2), answer(DSO, 2), 2, 1_000_000)
    plan, lines = read_receipts(path)
    assert plan == DSO
    assert [(line.number, line.attempts) for line in lines] == [(0, 1), (1, 1), (2, 2)]
    assert lines[-1].at == "1970-01-01T00:00:01.000000Z"


def test_a_record_torn_within_its_first_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_bytes(b'{"plan": {"ki')
    with ReceiptFile(path, DSO) as record:
        record.record(DSO.message(0), answer(DSO, 0), 1, 0)
    assert [line.number for line in read_receipts(path)[1]] == [0]


def test_a_record_of_another_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    ReceiptFile(path, DSO).close()
    with pytest.raises(Conflict):
        ReceiptFile(path, PMU)
    (tmp_path / "other").write_text('{"number": 1}\n')
    with pytest.raises((Malformed, KeyError)):
        read_receipts(tmp_path / "other")


def test_a_record_holds_no_identifier(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    with ReceiptFile(path, DSO) as record:
        record.record(DSO.message(0), answer(DSO, 0), 1, 0)
    text = path.read_text()
    assert all(one.identifier not in text for one in DSO.expected(0))
    assert '"meters":[0,2]' in text


@pytest.mark.parametrize("plan", [PMU, DSO, replace(DSO, meters_per_document=2, quarters_per_document=4)])
def test_a_plan_comes_back_from_json(plan: Plan) -> None:
    assert plan_from_json(plan.to_json()) == plan


@pytest.mark.parametrize("members", [{}, {"kind": "x"}, {"kind": "dso"}, {"kind": "pmu", "meters": 1}])
def test_other_json_is_no_plan(members: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        plan_from_json(members)


@pytest.mark.parametrize(
    "change",
    [
        {"meters": 0},
        {"meters": 100_001},
        {"start": 1_793_232_001},
        {"start": 900},
        {"source": "No!"},
        {"meters_per_document": 0},
        {"quarters_per_document": 0},
    ],
)
def test_plans_are_bounded(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        plan_from_json({**DSO.to_json(), **change})


@pytest.mark.parametrize("change", [{"devices": 0}, {"devices": 1001}, {"rate": 51}, {"rate": 0}])
def test_pmu_plans_are_bounded(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        plan_from_json({**PMU.to_json(), **change})
