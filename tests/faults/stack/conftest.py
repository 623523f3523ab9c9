"""One BAL on the real servers for all faults of a session."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.stack.plant import Plant
from tests.grid import Grid

SOURCES = (
    *("lease-held", "lease-lost"),
    "servers-killed",
    *("service-killed", "service-web", "kafka-away", "orderers-too"),
)
"""A test's own each, but for those of the crash points, which register them."""


@pytest.fixture(scope="session")
def plant(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Return a BAL; its service is started by who needs it."""
    made = Plant(grid, tmp_path_factory.mktemp("plant"), "faults")
    try:
        asyncio.run(made.register(*SOURCES))
        yield made
    finally:
        made.close()
