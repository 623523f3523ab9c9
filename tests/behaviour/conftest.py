"""What the suites of ports share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bal.ports import Store
from tests.behaviour.stores import WORLDS, World


@pytest.fixture(params=list(WORLDS))
async def store_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    adapter = WORLDS[request.param](tmp_path / request.param)
    yield adapter
    await adapter.close()


@pytest.fixture
def store(store_world: World) -> Store:
    return store_world.store
