"""Repeated tests run a twentieth, at least once; all of it under the hammer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import counts
from tests.unit.house.tree import ROOT


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "RUN", [])
    monkeypatch.setattr(counts, "FIGURES", [])


@pytest.mark.parametrize(("full", "runs"), [(1, 1), (19, 1), (50, 2), (1000, 50)])
def test_a_twentieth_at_least_one(monkeypatch: pytest.MonkeyPatch, full: int, runs: int) -> None:
    monkeypatch.setattr(counts, "HAMMER", False)
    assert counts.counts(full) == runs
    assert counts.summary() == [f"counts: {runs} of {full} repetitions (all of them: make hammer)"]


def test_the_hammer_runs_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "HAMMER", True)
    assert counts.counts(50) == 50
    assert counts.summary() == ["hammer: full counts, 50 repetitions"]


def test_nothing_is_counted_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises(AssertionError):
        counts.counts(50)
    assert counts.part(50) >= 2
    assert counts.summary() == []


SUITE = """
import pytest
from tests.checks.share import share
from tests.counts import counts, figure

@pytest.fixture
def away():
    pytest.skip("not here")

@pytest.mark.parametrize("case", share(range(40), 10))
def test_cases(case):
    figure(f"case {case}")

@pytest.mark.parametrize(("one", "other"), share([(1, 2), (3, 4)], 1))
def test_skipped(away, one, other):
    figure("never told")

@pytest.mark.parametrize("case", share(range(100), 1))
def test_deselected(case):
    pass

def test_repeated():
    for _ in range(counts(200)):
        pass
"""


@pytest.mark.parametrize(
    ("hammer", "tail"),
    [
        ("", "counts: 14 of 240 repetitions (all of them: make hammer)"),
        ("1", "hammer: full counts, 240 repetitions"),
    ],
)
def test_only_what_is_run_is_counted_and_its_figures_are_shown(
    tmp_path: Path, hammer: str, tail: str
) -> None:
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", suite, "-p", "tests.conftest", "-k", "not deselected"),
            *(
                "--rootdir",
                ROOT,
                "-c",
                ROOT / "pyproject.toml",
                "-p",
                "no:cacheprovider",
                "--basetemp",
                tmp_path / "base",
            ),
        ],
        cwd=ROOT,
        env={**os.environ, "BAL_HAMMER": hammer, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert tail in lines
    told = [line for line in lines if line.startswith("test_cases[")]
    assert told == [f"test_cases[{n}]: case {n}" for n in (range(40) if hammer else range(0, 40, 10))]
    assert "never told" not in done.stdout
