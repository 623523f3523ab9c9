"""A share of many cases in a default run, all of them under `make hammer`; the run's last lines tell the sum."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.counts import HAMMER, Repetition


def share(cases: Sequence[Any], every: int) -> list[Any]:
    """Return all cases under BAL_HAMMER=1, else each `every`-th from the first on, as parameters of a test."""
    return first(cases[::every], cases)


def first(chosen: Sequence[Any], cases: Sequence[Any]) -> list[Any]:
    """Return all `cases` under BAL_HAMMER=1, else those `chosen`, as parameters of a test."""
    counted = pytest.mark.case(Repetition(0, len(cases)))
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=counted)
        for case in (cases if HAMMER else chosen)
    ]
