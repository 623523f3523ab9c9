"""What every test gets: hypothesis profiles, a clean environment, the counts told at the end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from bal.garbage import collect_seldom
from tests.counts import HAMMER, count_case, summary
from tests.grid import grid
from tests.real import pytest_collection_modifyitems, real

__all__ = ["grid", "pytest_collection_modifyitems", "real"]

# No deadline: two shared cores say nothing about one example's time.
settings.register_profile("default", max_examples=25, deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile(
    "hammer",
    max_examples=2_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("hammer" if HAMMER else "default")

# Servers of tests live for minutes: their compilers would take more of two cores than they ever give back.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings and the home of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("BAL_") and name != "BAL_HAMMER":
            monkeypatch.delenv(name)
    monkeypatch.setenv("BAL_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Undo what a command run in this process set up: it writes to the standard error of a test that is over."""
    yield
    structlog.reset_defaults()


def pytest_collection_finish() -> None:
    """Search for garbage as `bal run` does: what was collected are a million objects that stay to the end."""
    collect_seldom()


def pytest_runtest_call(item: pytest.Item) -> None:
    """Count what is run: its fixtures have not skipped it."""
    count_case(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests found out, and which share of the full counts was run."""
    for line in summary():
        terminalreporter.write_line(line)
