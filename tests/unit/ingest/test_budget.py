import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bal.ingest.budget import Budget


async def test_who_asks_first_gets_first() -> None:
    budget = Budget(10)
    assert await budget.take(8) == 8
    large = asyncio.create_task(budget.take(9))
    small = asyncio.create_task(budget.take(1))
    await asyncio.sleep(0)
    assert not small.done(), "the small one does not overtake the large one, which would never get its turn"
    budget.give(8)
    assert await large == 9
    assert await small == 1
    assert budget.used == 10


async def test_more_than_the_whole_is_the_whole() -> None:
    budget = Budget(10)
    assert await budget.take(1000) == 10


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 3)), max_size=30))
async def test_nothing_is_lost_whoever_gives_up(steps: list[tuple[int, bool, int]]) -> None:
    budget = Budget(10)
    running: list[asyncio.Task[int]] = []
    for amount, cancel, turns in steps:
        running.append(asyncio.create_task(budget.take(amount)))
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancel:
            running[len(running) // 2].cancel()
        assert 0 <= budget.used <= 10
        for task in [task for task in running if task.done() and not task.cancelled()][:2]:
            budget.give(task.result())
            running.remove(task)
    for _ in range(100):
        await asyncio.sleep(0)
        for task in [task for task in running if task.done()]:
            running.remove(task)
            if not task.cancelled():
                budget.give(task.result())
    assert not running
    assert budget.used == 0
    assert budget.waiting == 0
