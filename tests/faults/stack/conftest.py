"""One BAL on the real servers for all faults of a module."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.stack.plant import Plant
from tests.grid import Grid


@pytest.fixture(scope="module")
def plant(
    grid: Grid, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plant]:
    """Return a BAL of the module's own name; its service is started by who needs it."""
    name = request.module.__name__.rpartition(".test_")[2].replace("_", "-")
    made = Plant(grid, tmp_path_factory.mktemp(name), name)
    try:
        asyncio.run(made.register(*request.module.SOURCES))
        yield made
    finally:
        made.close()
