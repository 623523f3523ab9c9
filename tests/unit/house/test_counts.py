"""Repeated tests run a twentieth, at least once; all of it under the hammer."""

import pytest

from tests import counts


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "ASKED", [])


@pytest.mark.parametrize(("full", "runs"), [(1, 1), (19, 1), (50, 2), (1000, 50)])
def test_a_twentieth_at_least_one(monkeypatch: pytest.MonkeyPatch, full: int, runs: int) -> None:
    monkeypatch.setattr(counts, "HAMMER", False)
    assert counts.counts(full) == runs
    assert counts.summary() == f"counts: {runs} of {full} repetitions (all of them: make hammer)"


def test_the_hammer_runs_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "HAMMER", True)
    assert counts.counts(50) == 50
    assert counts.summary() == "hammer: full counts, 50 repetitions"
