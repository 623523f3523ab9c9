from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.gateway.world import World, gateway


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with gateway(tmp_path) as opened:
        yield opened
