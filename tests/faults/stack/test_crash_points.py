"""A crash between any two steps of the write order, on Cassandra, Fabric and Kafka: nothing answered is lost or doubled.

What dies is the pipeline of `bal run` (see `tests.faults.crash`); `bal run` itself is killed at random in
`test_service_killed`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bal.keys import Keys
from bal.simulate.checker import Sent
from tests.checks.books import check_audit, rows
from tests.checks.share import first
from tests.checks.stream_books import check_source
from tests.counts import figure
from tests.faults.letters import LARGE, MIXED, SMALL, SMALL_COUNT, letters, named
from tests.faults.stack.plant import READER, Plant
from tests.faults.test_crash_points import Crasher, answered

STEPS = [  # each step of the write order once
    ("record", "after", 3),
    ("rows", "before", 2),
    ("lists", "after", 2),
    ("stored", "before", 2),
    ("anchor", "before", 2),
    ("commit", "before", 8),  # submitted, the commit not seen; registrations go before
    ("mark_anchored", "before", 1),
    ("publish", "after", 1),
    ("mark_published", "before", 1),
]
POINTS = [
    *STEPS,
    ("record", "before", 1),
    ("rows", "after", 1),
    ("stored", "after", 2),
    ("anchor", "before", 1),
    ("anchor", "after", 1),
    ("mark_anchored", "after", 1),
    ("publish", "before", 2),
    ("mark_published", "after", 2),
]


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    one = Crasher("tests.faults.stack.crash")
    yield one
    one.close()


@pytest.mark.hammer
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("point", "when", "nth"), first(STEPS, POINTS))
async def test_a_crash_between_two_steps(
    crasher: Crasher, plant: Plant, tmp_path: Path, point: str, when: str, nth: int
) -> None:
    receipts, suffix = tmp_path / "receipts", f"-{point}-{when}-{nth}".replace("_", "-")
    sources = {"suffix": suffix, "outputs": ["kafka"], "readers": [READER]}
    job = {"receipts": str(receipts), "sources": sources}
    died = crasher.run(plant.home.path, "send", point=point, when=when, nth=nth, **job)
    assert died == -9, "the point was reached"
    await plant.end_lease()
    before = answered(receipts)
    assert crasher.run(plant.home.path, "send", **job) == 0, "the sender sends everything again"
    after = answered(receipts)
    assert after.keys() == {message.digest.hex() for message in letters(suffix)}
    for digest, receipt in before.items():
        assert after[digest]["ranges"] == receipt["ranges"], "what had a receipt stands where it said"
        assert after[digest]["accepted"] == 0
        assert after[digest]["duplicates"] == receipt["duplicates"] + receipt["accepted"]
    key = Keys.open(plant.home.keys).pseudonyms[0]
    for plan, numbers in ((LARGE, range(1)), (SMALL, range(SMALL_COUNT))):
        sent = Sent(named(plan, suffix), numbers)
        assert await check_source(plant.home, sent, plant.stream(sent.plan.source), key)
    mixed = await rows(plant.home, f"{MIXED}{suffix}", history=True)
    assert [row["value"] for row in mixed] == ["13", "11"]
    figure(f"{len(before)} of {len(after)} messages had a receipt")


@pytest.mark.timeout(600)
async def test_an_audit_after_all_of_them_finds_nothing(plant: Plant) -> None:
    report = await check_audit(plant.home)
    figure(f"{report.readings} readings in {report.batches} batches")
