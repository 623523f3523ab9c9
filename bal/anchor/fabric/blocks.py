"""In which blocks of the channel transactions stand."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from bal.anchor.fabric.channel import Channel
from bal.anchor.fabric.peers import Question, unsettled

_REMEMBERED: Final = 65_536
"""Transactions whose block is remembered."""
_LOOK_UPS: Final = 8
"""Blocks of transactions looked up at a time."""


class Blocks:
    """Numbers of blocks by transaction, looked up once; `word` tells what counts of what the peers answer."""

    def __init__(self, channel: Channel, word: Callable[[Question[int]], Awaitable[int | None]]) -> None:
        self._channel = channel
        self._word = word
        self._known: OrderedDict[str, int] = OrderedDict()

    async def of(self, tx_ids: Sequence[str]) -> Mapping[str, int]:
        """Return the numbers of the blocks that hold these transactions. `LedgerUnavailable` where nobody has one."""
        wanted = list(dict.fromkeys(tx_ids))
        places = {tx_id: self._known[tx_id] for tx_id in wanted if tx_id in self._known}
        unknown = [tx_id for tx_id in wanted if tx_id not in places]
        for start in range(0, len(unknown), _LOOK_UPS):
            some = unknown[start : start + _LOOK_UPS]
            places.update(zip(some, await asyncio.gather(*map(self._look_up, some)), strict=True))
        return places

    def remember(self, tx_id: str, block: int) -> None:
        """Keep the number of a transaction's block."""
        self._known[tx_id] = block
        self._known.move_to_end(tx_id)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _look_up(self, tx_id: str) -> int:
        block = await self._word(lambda peer: self._channel.block_of(tx_id, peer))
        if block is None:
            raise unsettled("no peer that counts has the block of an anchor's transaction")
        self.remember(tx_id, block)
        return block
