"""Makes homes with sources, in this process."""

from typing import Any

from bal.bootstrap.writing import open_service
from bal.config import load
from bal.core.source import Source
from bal.home import Home


async def register(home: Home, *names: str, **members: Any) -> None:
    """Register sources in a home, which is made where there is none."""
    settings = load(home.create().path)
    async with open_service(home, settings) as opened:
        await opened.service.start()
        for name in names:
            await opened.service.register_source(Source(name=name, lane=settings.lanes[0], **members))
        await opened.service.close()
