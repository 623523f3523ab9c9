"""A share of many cases in a default run, all of them under `make hammer`; the run's last lines tell the sum."""

from collections.abc import Sequence
from typing import TypeVar

from tests.counts import ASKED, HAMMER

T = TypeVar("T")


def share(cases: Sequence[T], every: int) -> list[T]:
    """Return all cases under BAL_HAMMER=1, else each `every`-th from the first on."""
    chosen = list(cases) if HAMMER else list(cases[::every])
    ASKED.append((len(chosen), len(cases)))
    return chosen
