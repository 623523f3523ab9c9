"""Two operators on one stack, each with a running BAL, and the regulator who audits the first."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from tests.e2e.command import Shell
from tests.e2e.stack.world import Dso
from tests.grid import Grid


@pytest.fixture(scope="session")
def mark() -> str:
    """Return what tells the names of this run from those of another on the same ledger."""
    return token_hex(3)


@pytest.fixture(scope="session")
def north(grid: Grid, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Dso]:
    """Return a running BAL of the organisation dso."""
    yield from _running(grid, tmp_path_factory, f"north-{mark}", "dso")


@pytest.fixture(scope="session")
def south(grid: Grid, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Iterator[Dso]:
    """Return a running BAL of the organisation market."""
    yield from _running(grid, tmp_path_factory, f"south-{mark}", "market")


@pytest.fixture(scope="session")
def regulator(grid: Grid, north: Dso, tmp_path_factory: pytest.TempPathFactory, mark: str) -> Shell:
    """Return the home of the regulator who audits `north`."""
    name = f"regulator-{mark}"
    return Shell(grid.auditor(tmp_path_factory.mktemp("regulator"), name, north.name).path)


def _running(grid: Grid, factory: pytest.TempPathFactory, name: str, organisation: str) -> Iterator[Dso]:
    dso = Dso(grid, factory.mktemp(name), name, organisation)
    with dso.service as service:
        yield dso
        assert service.stop() == 0, service.log.read_text()
