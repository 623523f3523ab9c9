"""What was refused reaches the operator's output: in order, at least once, whatever happens in between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from bal.core.errors import Malformed, PublishRefused, Unavailable
from bal.core.message import Rejection
from bal.core.stored import Report
from bal.granting import Granting
from bal.registry import Registry
from bal.reporting import Readers, Reporting, ReportOutput
from bal.reporting.reporting import PAGE
from bal.store.sqlite import SqliteQuarantine
from tests.unit.lane.test_granting import Place
from tests.unit.lane.test_lease import SlowClock

KEY = bytes(32)
BAD = Rejection("the value is not a decimal number", "MeterReading[2]/value", b"<secret/>", "value")


class Output:
    """Takes reports unless it is away."""

    def __init__(self, away: int = 0, error: Exception | None = None) -> None:
        self.away = away
        self.error = error or Unavailable("no answer")
        self.pages: list[list[int]] = []
        self.failed = asyncio.Event()

    async def report(self, reports: Sequence[Report]) -> None:
        if self.away:
            self.away -= 1
            self.failed.set()
            raise self.error
        self.pages.append([each.refused.id for each in reports])

    @property
    def ids(self) -> list[int]:
        return [each for page in self.pages for each in page]


class Silent(Output):
    """Never acknowledges."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def report(self, reports: Sequence[Report]) -> None:
        self.asked.set()
        await asyncio.Event().wait()


class Counted:
    """Metrics in memory."""

    def __init__(self) -> None:
        self.count = 0
        self.waiting: list[int] = []

    def reported(self, count: int) -> None:
        self.count += count

    def unreported(self, count: int) -> None:
        self.waiting.append(count)


class KilledError(BaseException):
    """The process is no more."""


class Mortal(SqliteQuarantine):
    """Dies when it is to move the mark."""

    async def mark_reported(self, id: int) -> None:  # noqa: A002
        raise KilledError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quarantine.sqlite"


@pytest.fixture
async def quarantine(path: Path) -> AsyncIterator[SqliteQuarantine]:
    opened = SqliteQuarantine(path, KEY)
    yield opened
    await opened.close()


async def refuse(quarantine: SqliteQuarantine, count: int, digest: bytes = b"d" * 32) -> None:
    await quarantine.put("dso-a", digest, [(number, BAD) for number in range(count)], 17)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110 - what happens beside is not ours to wait for
            await asyncio.sleep(0)


def reporting(
    quarantine: SqliteQuarantine, output: ReportOutput, counted: Counted | None = None
) -> Reporting:
    return Reporting(quarantine, output, SlowClock(), counted or Counted(), longest_pause=5.0)


async def test_what_is_there_and_what_comes_is_reported_in_order_and_once(
    quarantine: SqliteQuarantine,
) -> None:
    output, counted = Output(), Counted()
    await refuse(quarantine, 3)
    async with reporting(quarantine, output, counted).beside():
        await until(lambda: len(output.ids) == 3)
        await refuse(quarantine, 3)  # the same message again
        await refuse(quarantine, 2, b"e" * 32)
    assert output.ids == [1, 2, 3, 4, 5]
    assert await quarantine.reported() == 5
    assert (counted.count, counted.waiting[-1]) == (5, 0)
    again = Output()
    async with reporting(quarantine, again).beside():
        await refuse(quarantine, 1, b"f" * 32)
    assert again.ids == [6]


async def test_much_that_waits_goes_out_in_pages(quarantine: SqliteQuarantine) -> None:
    output, counted = Output(), Counted()
    await refuse(quarantine, 2 * PAGE + 1)
    async with reporting(quarantine, output, counted).beside():
        pass
    assert [len(page) for page in output.pages] == [PAGE, PAGE, 1]
    assert output.ids == list(range(1, 2 * PAGE + 2))
    assert counted.waiting == [2 * PAGE + 1, PAGE + 1, 1, 0]


@pytest.mark.parametrize(
    "error", [Unavailable("no answer"), PublishRefused("topic is not there", source="dso-a"), KeyError("x")]
)
async def test_an_output_that_is_away_gets_everything_later(
    quarantine: SqliteQuarantine, error: Exception
) -> None:
    output, counted = Output(away=1 << 30, error=error), Counted()
    await refuse(quarantine, 2)
    async with reporting(quarantine, output, counted).beside():
        await output.failed.wait()
        await refuse(quarantine, 2, b"e" * 32)  # nothing is held up meanwhile
        await until(lambda: counted.waiting[-1] == 4)
        output.away = 2
        await until(lambda: len(output.ids) == 4)
    assert output.ids == [1, 2, 3, 4]
    assert (counted.waiting[0], counted.waiting[-1]) == (2, 0)


async def test_killed_before_the_mark_is_moved_a_page_comes_again(path: Path) -> None:
    mortal, output = Mortal(path, KEY), Output()
    await refuse(mortal, 2)
    async with reporting(mortal, output).beside():
        await until(lambda: bool(output.pages))
    await mortal.close()
    after = SqliteQuarantine(path, KEY)
    await refuse(after, 1, b"e" * 32)
    async with reporting(after, output).beside():
        pass
    await after.close()
    assert output.pages[0] == [1, 2]
    assert Counter(output.ids) == {1: 2, 2: 2, 3: 1}
    assert list(dict.fromkeys(output.ids)) == [1, 2, 3], "the first appearances are in order"


async def test_the_end_does_not_wait_for_an_output_that_is_away(quarantine: SqliteQuarantine) -> None:
    output = Output(away=1 << 30)
    await refuse(quarantine, 2)
    async with asyncio.timeout(20), reporting(quarantine, output).beside():
        pass
    assert (output.ids, await quarantine.reported()) == ([], 0)


async def test_cut_off_while_it_waits_for_an_acknowledgement_the_mark_stays(
    quarantine: SqliteQuarantine,
) -> None:
    output = Silent()
    await refuse(quarantine, 2)

    async def work() -> None:
        async with reporting(quarantine, output).beside():
            await asyncio.Event().wait()

    working = asyncio.create_task(work())
    await output.asked.wait()
    for _ in range(2):  # the end itself waits for the output, and is cut off too
        working.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await quarantine.reported() == 0


async def test_readers_are_on_record_before_they_may_read(quarantine: SqliteQuarantine) -> None:
    place = Place()
    readers = Readers(quarantine, Granting([place], Registry(), SlowClock()))
    await readers.admit("desk")
    await readers.admit("archive")
    await readers.admit("desk")
    assert (await quarantine.readers(), len(place.given)) == (["archive", "desk"], 3)
    await readers.dismiss("desk")
    await readers.dismiss("nobody")
    assert (await quarantine.readers(), len(place.given)) == (["archive"], 5)
    with pytest.raises(Malformed):
        await readers.admit("No Name")
