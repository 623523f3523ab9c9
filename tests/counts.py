"""How many times a repeated test runs: a twentieth by default, the full count under `make hammer`."""

import os
from typing import Final

HAMMER: Final = os.environ.get("BAL_HAMMER", "") not in {"", "0"}
SHARE: Final = 20
ASKED: Final[list[tuple[int, int]]] = []


def counts(full: int) -> int:
    """Give `full` under BAL_HAMMER=1, else a twentieth of it, at least 1; the run's last lines tell the sum."""
    runs = full if HAMMER else max(1, full // SHARE)
    ASKED.append((runs, full))
    return runs


def summary() -> str:
    """Tell in one line what share of the full counts this run has done."""
    runs = sum(done for done, _ in ASKED)
    full = sum(wanted for _, wanted in ASKED)
    if HAMMER:
        return f"hammer: full counts, {runs} repetitions"
    return f"counts: {runs} of {full} repetitions (all of them: make hammer)"
