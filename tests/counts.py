"""How many times a repeated test runs: a twentieth by default, the full count under `make hammer`.

The end of a run tells what share was done and which figures tests found out; a test that was left out or skipped is not
counted.
"""

import os
from dataclasses import dataclass
from typing import Final

import pytest

HAMMER: Final = os.environ.get("BAL_HAMMER", "") not in {"", "0"}
SHARE: Final = 20


@dataclass(eq=False)
class Repetition:
    """Something done a number of times, of how many."""

    runs: int
    full: int


RUN: Final[list[Repetition]] = []
FIGURES: Final[list[str]] = []


def part(full: int) -> int:
    """Return `full` under BAL_HAMMER=1, else a twentieth of it, at least 1; for time limits, which count nothing."""
    return full if HAMMER else max(1, full // SHARE)


def counts(full: int) -> int:
    """Tell the test that runs now how many times: `part(full)`, which it is then taken to do."""
    assert "PYTEST_CURRENT_TEST" in os.environ, "what is asked for at import may never be run"
    RUN.append(Repetition(part(full), full))
    return RUN[-1].runs


def count_case(item: pytest.Item) -> None:
    """Count a test that runs now and is one of a share of cases."""
    mark = item.get_closest_marker("case")
    if mark is None:
        return
    (share,) = mark.args
    if not share.runs:
        RUN.append(share)
    share.runs += 1


def figure(text: str) -> None:
    """Have the end of the run tell what the test that runs now found out, in one line."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0].rpartition("::")[2]
    FIGURES.append(f"{test}: {text}")


def summary() -> list[str]:
    """Tell the figures, and in one line what share of the full counts this run has done."""
    runs, full = sum(each.runs for each in RUN), sum(each.full for each in RUN)
    if not RUN:
        return FIGURES
    if HAMMER:
        return [*FIGURES, f"hammer: full counts, {runs} repetitions"]
    return [*FIGURES, f"counts: {runs} of {full} repetitions (all of them: make hammer)"]
