"""A message that kills the process that reads it is unreadable; its neighbours never notice."""

import asyncio
import os

import pytest

from bal.core.errors import Unreadable
from bal.core.reading import Reading
from bal.core.value import canonical_value
from bal.normalise import cim, worker
from bal.normalise.normaliser import PoolNormaliser
from bal.normalise.outcomes import outcomes
from tests.unit.normalise.samples import KEY, NOW, SOURCE, document, message, meter_reading, reading
from tests.unit.normalise.test_normaliser import key_at, streamed, taken

POISON = document(meter_reading(reading(), meter="POISON"))


def _die_of_poison(task: worker.Task) -> object:
    if task.body is not None and b"POISON" in task.body:
        os._exit(1)
    return _run(task)


def _die_of_poison_alone(task: worker.Task, connection: object) -> None:
    if task.body is None or b"POISON" in task.body:
        os._exit(1)
    _run_alone(task, connection)  # type: ignore[arg-type]


_run, _run_alone = worker.run, worker.run_alone


@pytest.fixture
def _deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "run", _die_of_poison)
    monkeypatch.setattr(worker, "run_alone", _die_of_poison_alone)


@pytest.mark.usefixtures("_deadly")
async def test_poison_is_unreadable_and_its_neighbours_pass() -> None:
    bodies = [document(meter_reading(reading(str(number)))) for number in range(1, 8)]
    bodies.insert(3, POISON)
    async with PoolNormaliser(2, key_at) as normaliser:
        found = await asyncio.gather(
            *(taken(normaliser, message(body)) for body in bodies), return_exceptions=True
        )
        poisoned = found.pop(3)
        assert isinstance(poisoned, Unreadable)
        assert "POISON" not in str(poisoned)
        values = [result[0].readings[0].value for result in found if isinstance(result, list)]
        assert values == [f"{number}000" for number in range(1, 8)]
        (part,) = await taken(normaliser, message(bodies[0]))
        assert part.outcomes == 1, "the pool is whole again"


@pytest.mark.usefixtures("_deadly")
async def test_poison_in_a_stream_is_unreadable() -> None:
    async with PoolNormaliser(1, key_at) as normaliser:
        with pytest.raises(Unreadable):
            await taken(normaliser, streamed(POISON))


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, ZeroDivisionError, UnicodeDecodeError])
def test_an_unforeseen_error_in_one_reading_refuses_that_reading(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(text: str, multiplier: int) -> str:
        if text == "13":
            raise (
                error("utf-8", b"SECRET", 0, 1, "SECRET") if error is UnicodeDecodeError else error("SECRET")
            )
        return canonical_value(text, multiplier)

    monkeypatch.setattr(cim, "canonical_value", fails)
    body = document(
        meter_reading(
            *(reading(value, f"2026-01-31T12:0{n}:00Z") for n, value in enumerate(("1", "13", "2")))
        )
    )
    first, refused, last = outcomes(message(body), SOURCE, KEY, NOW)
    assert isinstance(first, Reading)
    assert isinstance(last, Reading)
    assert "SECRET" not in repr(refused)
