import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bal.core.errors import Unauthenticated
from bal.simulate.dispatch import Simulation, run
from bal.simulate.plan import Outgoing, PmuPlan
from bal.simulate.receipts import read_receipts
from bal.simulate.sender import Progress, Sender, SenderSettings, paced
from tests.unit.simulate.fakes import FakeDoor, Treat

PLAN = PmuPlan("pmu-a", 5, 2, 1_793_232_000_000_000)
QUICK = SenderSettings(window=8, retry=0.02, reconnect=0.001, reconnect_most=0.01, grace=0.05, drain=20)


async def send(door: FakeDoor, count: int = 40, settings: SenderSettings = QUICK) -> Progress:
    return await run(Simulation(PLAN, count, 0, settings=settings), door)


def numbers(door: FakeDoor) -> list[int]:
    return [message.number for message in door.arrived]


async def test_everything_is_sent_once_and_in_order_where_all_goes_well() -> None:
    door = FakeDoor()
    progress = await send(door)
    assert numbers(door) == list(range(40))
    assert progress == Progress(made=40, accepted=40, rejected=0, pending=0, resent=0, connections=1)
    assert all(message == PLAN.message(message.number) for message in door.arrived)


async def test_answers_may_come_later() -> None:
    progress = await send(FakeDoor(lambda sent, message: "late"))
    assert (progress.accepted, progress.resent) == (40, 0)


async def test_without_a_receipt_a_message_is_sent_again() -> None:
    seen: set[int] = set()

    def lose_every_third_once(sent: int, message: Outgoing) -> str:
        first = message.number not in seen
        seen.add(message.number)
        return "lose" if first and message.number % 3 == 0 else "answer"

    door = FakeDoor(lose_every_third_once)
    progress = await send(door)
    assert (progress.accepted, progress.pending, progress.connections) == (40, 0, 1)
    assert progress.resent == len(door.arrived) - 40 >= 14
    assert set(numbers(door)) == set(range(40))


async def test_after_a_broken_connection_everything_unanswered_is_sent_again_in_order() -> None:
    door = FakeDoor(lambda sent, message: "break" if sent == 21 else "answer" if sent > 21 else "lose")
    progress = await send(door, settings=SenderSettings(window=30, retry=60, reconnect=0.001, drain=20))
    assert (progress.accepted, progress.connections) == (40, 2)
    after = numbers(door)[22:]
    again = after[after.index(0) :]
    assert again == sorted(again)
    assert set(again) == set(range(40))


async def test_a_closed_door_is_tried_again() -> None:
    door = FakeDoor(refuse_opening=5)
    progress = await send(door)
    assert (progress.accepted, progress.connections, door.opened) == (40, 1, 6)


async def test_no_more_than_the_window_is_without_a_receipt() -> None:
    door = FakeDoor(lambda sent, message: "lose" if sent % 2 else "late")
    assert (await send(door, 100)).accepted == 100
    assert door.most_unanswered <= QUICK.window


async def test_what_was_refused_is_not_sent_again() -> None:
    door = FakeDoor(lambda sent, message: "reject" if message.number == 7 else "answer")
    progress = await send(door)
    assert (progress.accepted, progress.rejected, len(door.arrived)) == (39, 1, 40)


async def test_a_message_taken_in_part_is_accepted(tmp_path: Path) -> None:
    door = FakeDoor(lambda sent, message: "partly" if message.number == 7 else "late")
    settings = SenderSettings(window=8, retry=60, grace=30, drain=20)
    progress = await send(door, settings=settings)
    assert (progress.accepted, progress.rejected, len(door.arrived)) == (40, 0, 40)


async def test_a_refusal_told_by_topic_is_final_after_a_while() -> None:
    door = FakeDoor(lambda sent, message: "late reject" if message.number == 7 else "late")
    settings = SenderSettings(window=8, retry=60, grace=0.01, drain=20)
    progress = await send(door, settings=settings)
    assert (progress.accepted, progress.rejected, len(door.arrived)) == (39, 1, 40)


async def test_time_is_up() -> None:
    door = FakeDoor(lambda sent, message: "lose")
    settings = SenderSettings(window=100, retry=0.01, drain=0.05)
    progress = await send(door, 10, settings)
    assert (progress.accepted, progress.pending) == (0, 10)
    # A full window holds the making of messages back; then only the limit ends it.
    progress = await run(Simulation(PLAN, 40, 0, settings=QUICK, limit=0.05), door)
    assert (progress.made, progress.pending) == (8, 8)


async def test_what_cannot_be_mended_is_raised() -> None:
    def refuse(sent: int, message: Outgoing) -> str:
        raise Unauthenticated("who are you")

    with pytest.raises(Unauthenticated):
        await send(FakeDoor(refuse))


async def test_an_error_in_making_messages_is_raised() -> None:
    async def messages() -> AsyncIterator[Outgoing]:
        yield PLAN.message(0)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await Sender(FakeDoor()).run(messages())


async def test_nothing_to_send_ends_at_once() -> None:
    door = FakeDoor(refuse_opening=1000)
    assert await send(door, 0) == Progress()


async def test_rounds_keep_their_distance() -> None:
    begin = time.monotonic()
    due = [(message.number, time.monotonic() - begin) async for message in paced(PLAN, 1, 5, 0.05)]
    assert [number for number, _ in due] == [1, 2, 3, 4, 5]
    assert all(at >= 0.05 * (number // 2) - 0.005 for number, at in due)


async def test_receipts_are_written_down(tmp_path: Path) -> None:
    record = tmp_path / "receipts.jsonl"
    door = FakeDoor(lambda sent, message: "reject" if message.number == 3 else "late")
    await run(Simulation(PLAN, 10, 0, receipts=record, settings=QUICK), door)
    plan, lines = read_receipts(record)
    assert plan == PLAN
    assert sorted((line.number, line.accepted) for line in lines) == [(n, n != 3) for n in range(10)]
    for line in lines:
        assert line.digest == PLAN.message(line.number).digest
        assert line.receipt == {"accepted": 1, "digest": line.digest}
        assert line.attempts == 1


@pytest.mark.parametrize(
    "treat",
    [lambda sent, message: "lose", lambda sent, message: ("late", "lose")[sent % 2]],
    ids=["none answered", "half answered"],
)
async def test_a_second_run_goes_on_from_the_outbox(tmp_path: Path, treat: Treat) -> None:
    def simulation(limit: float | None) -> Simulation:
        settings = SenderSettings(window=8, retry=60, drain=10)
        return Simulation(PLAN, 30, 0, tmp_path / "outbox", tmp_path / "receipts.jsonl", settings, limit)

    first = FakeDoor(treat)
    await run(simulation(0.2), first)
    second = FakeDoor()
    progress = await run(simulation(None), second)
    assert progress.pending == 0
    _, lines = read_receipts(tmp_path / "receipts.jsonl")
    assert sorted(line.number for line in lines) == list(range(30))
    assert set(numbers(first)) | set(numbers(second)) == set(range(30))
    settled_first = 30 - progress.accepted
    assert len(second.arrived) == 30 - settled_first
    assert all(message == PLAN.message(message.number) for message in second.arrived)
    assert not list((tmp_path / "outbox").glob("*.message"))


async def test_leaving_early_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    await run(Simulation(PLAN, 40, 0, settings=QUICK, limit=0.02), FakeDoor(lambda sent, message: "lose"))
    assert asyncio.all_tasks() == before
