"""Registering: sources and their rules on the ledger. What stands there already is only read, and nothing is committed."""

import asyncio
from collections.abc import Sequence

from bal.core.source import Source
from bal.ports import Ledger

_AT_A_TIME = 16
"""Sources looked up at a time."""


async def put(ledger: Ledger, source: Source) -> None:
    """Have a source and the digest of its rules on the ledger."""
    await ledger.register_source(source.name)
    await ledger.set_rules(source.name, source.rules.digest())


async def standing(ledger: Ledger, sources: Sequence[Source]) -> list[tuple[Source, bool]]:
    """Have `sources` on the ledger; return each with whether it is suspended there."""
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def ask(source: Source) -> tuple[Source, bool]:
        async with gate:
            await put(ledger, source)
            return source, await ledger.suspended(source.name)

    asking = [asyncio.create_task(ask(source)) for source in sources]
    try:
        return await asyncio.gather(*asking)
    finally:
        for each in asking:
            each.cancel()
