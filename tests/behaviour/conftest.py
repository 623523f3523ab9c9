"""What the suites of ports share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bal.ports import Store
from tests.behaviour.stores import WORLDS, World, opened


@pytest.fixture(params=WORLDS)
async def store_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    adapter = await opened(request.param, tmp_path, lambda: request.getfixturevalue("real"))
    yield adapter
    await adapter.close()


@pytest.fixture
def store(store_world: World) -> Store:
    return store_world.store
