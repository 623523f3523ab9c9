"""The normaliser: parts, salts, skipping, processes that die."""

import asyncio
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from bal.core.entry import expand_salts, leaf
from bal.core.errors import Unavailable, Unreadable
from bal.core.message import Form, Message
from bal.core.pseudonym import PseudonymKey
from bal.normalise import parts as parts_module
from bal.normalise.normaliser import PoolNormaliser
from bal.normalise.parts import PART_OUTCOMES, pack, part_seed, parts, unpack
from bal.ports import NormalisedPart
from tests.unit.normalise.samples import KEY, NOW, SOURCE, document, message, meter_reading, reading

SEED = b"s" * 32
TIMES = [
    f"2026-01-{day:02d}T{hour:02d}:{minute:02d}:00Z"
    for day in range(1, 30)
    for hour in range(24)
    for minute in (0, 15, 30, 45)
]
LARGE = document(*(meter_reading(*(reading("1", time) for time in TIMES), meter=f"M{n}") for n in range(4)))
MIXED = document(meter_reading(reading("1"), reading("x"), reading("1"), reading("2")))


def key_at(_: int) -> PseudonymKey:
    return KEY


@pytest.fixture
async def pool() -> AsyncIterator[PoolNormaliser]:
    async with PoolNormaliser(1, key_at) as normaliser:
        yield normaliser


def streamed(body: bytes, form: Form = "cim") -> Message:
    return Message("dso-a", form, lambda: io.BytesIO(body), b"\0" * 32)


async def taken(normaliser: PoolNormaliser, what: Message, skip: int = 0) -> list[NormalisedPart]:
    return [part async for part in normaliser.normalise(what, SOURCE, NOW, SEED, skip)]


def test_one_part_holds_readings_salts_leaves_and_the_rest() -> None:
    (part,) = parts(message(MIXED), SOURCE, KEY, NOW, SEED, 0)
    assert [item.value for item in part.readings] == ["1000", "2000"]
    assert part.salts == expand_salts(part_seed(SEED, 0), 2)
    assert part.leaves == [leaf(entry, salt) for entry, salt in zip(part.readings, part.salts, strict=True)]
    assert [(ordinal, rejection.code) for ordinal, rejection in part.rejections] == [(1, "value")]
    assert (part.duplicates, part.outcomes) == (1, 4)
    assert unpack(pack(part)) == part


def test_an_empty_document_has_one_empty_part() -> None:
    (part,) = parts(message(document()), SOURCE, KEY, NOW, SEED, 0)
    assert part == NormalisedPart([], [], [], [], 0, 0)
    assert unpack(pack(part)) == part


@pytest.mark.parametrize("count", [PART_OUTCOMES - 1, PART_OUTCOMES, PART_OUTCOMES + 1, 2 * PART_OUTCOMES])
def test_parts_are_cut_by_outcomes(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "PART_OUTCOMES", 8)
    count = count * 8 // PART_OUTCOMES
    body = document(meter_reading(*(reading("1", time) for time in TIMES[:count])))
    found = list(parts(message(body), SOURCE, KEY, NOW, SEED, 0))
    assert [part.outcomes for part in found] == [*range(8, count, 8), count]
    for number, part in enumerate(found):
        assert part.salts == expand_salts(part_seed(SEED, number), len(part.readings))


@pytest.mark.parametrize("skip", [0, 1, 2, 3, 4, 9])
def test_what_is_skipped_is_remembered_as_the_readings_before(skip: int) -> None:
    (part,) = parts(message(MIXED), SOURCE, KEY, NOW, SEED, skip)
    whole = next(parts(message(MIXED), SOURCE, KEY, NOW, SEED, 0))
    assert part.outcomes == 4
    assert list(part.readings) == list(whole.readings)[0 if skip == 0 else 1 if skip < 4 else 2 :]
    assert part.duplicates == (1 if skip < 3 else 0)
    assert [ordinal for ordinal, _ in part.rejections] == ([1] if skip < 2 else [])


async def test_pool_stream_and_inline_agree(pool: PoolNormaliser) -> None:
    inline = PoolNormaliser(0, key_at)
    expected = await taken(inline, message(LARGE))
    assert len(expected) == 3
    assert sum(len(part.readings) for part in expected) == 4 * len(TIMES)
    assert await taken(pool, message(LARGE)) == expected
    assert await taken(pool, streamed(LARGE)) == expected
    assert await taken(inline, streamed(LARGE)) == expected
    late = await taken(pool, streamed(LARGE), 5000)
    assert [item for part in late for item in part.readings] == [
        item for part in expected for item in part.readings
    ][5000:]


@pytest.mark.parametrize("form, body", [("cim", LARGE[:-10]), ("cim", b"<a/>"), ("pmu", b"[]")])
async def test_what_is_unreadable_is_so_before_anything_is_yielded(
    pool: PoolNormaliser, form: Form, body: bytes
) -> None:
    for what in (message(body, form), streamed(body, form)):
        with pytest.raises(Unreadable) as told:
            async for _ in pool.normalise(what, SOURCE, NOW, SEED, 0):
                pytest.fail("a part of an unreadable message")
        assert told.value.what


async def test_a_body_that_cannot_be_opened_is_unavailable(pool: PoolNormaliser) -> None:
    def missing() -> io.BytesIO:
        raise FileNotFoundError("/home/secret/METER-1.xml")

    with pytest.raises(Unavailable) as told:
        await taken(pool, Message("dso-a", "cim", missing, b"\0" * 32))
    assert "METER-1" not in str(told.value)


async def test_whoever_loses_interest_leaves_no_process_behind(pool: PoolNormaliser) -> None:
    before = len(multiprocessing.active_children())
    found = pool.normalise(streamed(LARGE), SOURCE, NOW, SEED, 0)
    assert (await anext(found)).outcomes == PART_OUTCOMES
    await found.aclose()
    assert len(multiprocessing.active_children()) == before


async def test_many_messages_at_once(pool: PoolNormaliser) -> None:
    bodies = [document(meter_reading(reading(str(number)))) for number in range(1, 40)]
    found = await asyncio.gather(*(taken(pool, message(body)) for body in bodies))
    assert [part.readings[0].value for (part,) in found] == [f"{number}000" for number in range(1, 40)]


def _runs(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False).stdout
    return bool(state.strip()) and not state.startswith(b"Z")


async def test_workers_end_with_a_service_that_is_killed() -> None:
    script = (
        "import asyncio, multiprocessing\n"
        "from tests.unit.normalise.test_normaliser import *\n"
        "async def main():\n"
        "    normaliser = PoolNormaliser(2, key_at)\n"
        "    await asyncio.gather(*(taken(normaliser, message(MIXED)) for _ in range(20)))\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert workers
    assert all(map(_runs, workers))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while any(map(_runs, workers)):
        assert time.monotonic() < deadline, "a worker outlived its service"
        await asyncio.sleep(0.02)
