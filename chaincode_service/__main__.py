"""`python -m chaincode_service` serves; with `--health` it asks the one that serves whether it does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import Final

from chaincode_service.errors import Unconfigured
from chaincode_service.server import is_healthy, serve
from chaincode_service.settings import Settings

HEALTH_SECONDS: Final = 5.0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


def main() -> int:
    """Run the service. Exit code 0: ended when asked to, or healthy; 1: not healthy; 2: wrongly set up."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        settings = Settings.of(os.environ)
        if sys.argv[1:] == ["--health"]:
            return 0 if asyncio.run(is_healthy(settings, HEALTH_SECONDS)) else 1
        asyncio.run(_serve(settings))
    except (Unconfigured, RuntimeError) as error:
        # RuntimeError: gRPC cannot listen there, or takes no such certificate.
        sys.stderr.write(f"chaincode_service: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
