"""A peer held against its own blocks: each block's hashes and endorsements, and every answer against what was written.

Memory: what is registered on the channel (logs, sources), and a few pages of anchors.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from bal.anchor.fabric.answers import read_objects, read_records
from bal.anchor.fabric.block import Block, Writes, altered, read_block
from bal.anchor.fabric.channel import Channel
from bal.anchor.fabric.membership import Membership
from bal.anchor.records import of_record
from bal.core.errors import LedgerUnavailable
from chaincode.chain import Head, check_anchor
from chaincode.errors import ContractError
from chaincode.numbers import MAX_LIST
from chaincode.state import ANCHORS, anchor_key, head_key, log_key, source_key

T = TypeVar("T")

_LOGS: Final = 16
"""Logs whose page of anchors is kept."""
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.2
"""A peer writes a block down before its state: its answers may be a moment behind."""


async def verify_channel(channel: Channel) -> None:
    """Read all blocks of the first peer of `channel`. `LedgerAltered` names the first that does not fit."""
    await Verification(channel).run()


class Verification:
    """One run."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._peer = channel.peers[0]
        self._next = 0
        self._previous = b""
        self._members = Membership()
        self._pages: OrderedDict[str, dict[int, dict[str, Any]]] = OrderedDict()
        self._written: dict[str, tuple[int, Any]] = {}
        """What the blocks wrote last under keys that are no anchor's, and in which block."""
        self._ends: dict[str, Head] = {}
        """Where the anchors read so far leave each log: they follow one another without a gap."""
        self._unseen: dict[str, Any] = {}
        """What the peer answered and no block read so far has written."""

    async def run(self) -> None:
        """Read to the end; what the peer answers beyond it must be in the blocks that came meanwhile."""
        await self._read(await self._channel.height())
        for _ in range(_ATTEMPTS):
            self._unseen = await self._answers()
            await self._read(await self._channel.height())
            if not self._unseen:
                return
            await asyncio.sleep(_PAUSE)
        key = min(self._unseen)
        block = self._written[key][0] if key in self._written else self._next - 1
        raise altered(block, f"the peer answers something else of {key} than its blocks say")

    # --- the blocks -----------------------------------------------------------------------------------------------
    async def _read(self, end: int) -> None:
        async for raw in self._channel.blocks(self._next, end):
            block = await asyncio.to_thread(read_block, raw, self._next, self._channel.chaincode)
            if block.previous != self._previous:
                raise altered(block.number, "it does not follow on the hash of the block before")
            await self._take(block)
            self._previous = block.hash
            self._next += 1
        if self._next < end:
            raise altered(self._next, "the peer says it has it, and does not give it")

    async def _take(self, block: Block) -> None:
        if block.config is not None:
            self._members = Membership(block.config)
        for transaction in block.transactions:
            self._check_endorsed(block.number, transaction)
            for key, value in transaction.writes:
                try:
                    record = json.loads(value)
                except ValueError:
                    raise altered(block.number, "the contract's state holds what it never writes") from None
                if key.startswith(ANCHORS):
                    await self._anchored(block.number, key, record)
                elif key.startswith(head_key("")) and record != self._end(key).to_json():
                    raise altered(block.number, "a head is not where the anchors before it lead")
                else:
                    self._written[key] = (block.number, record)
                if self._unseen.get(key) == record:
                    del self._unseen[key]

    async def _anchored(self, number: int, key: str, record: Any) -> None:
        try:
            anchor = of_record(record, "", "", number).anchor
            end = check_anchor(anchor, self._end(head_key(anchor.log)))
        except (ContractError, KeyError, TypeError, ValueError):
            raise altered(number, "one of its anchors does not follow on the one before") from None
        if not await self._states(key, record):
            raise altered(number, "the peer answers something else of one of its anchors")
        self._ends[anchor.log] = end

    def _end(self, key: str) -> Head:
        log = key.removeprefix(head_key(""))
        return self._ends.get(log, Head(log))

    def _check_endorsed(self, number: int, transaction: Writes) -> None:
        signers = self._members.signers(transaction.endorsements)
        if len(signers) < self._members.enough:
            raise altered(
                number,
                f"a transaction holds for valid that {len(signers)} of {len(self._members.organisations)} endorsed",
            )

    # --- the answers ----------------------------------------------------------------------------------------------
    async def _states(self, key: str, record: Any) -> bool:
        """Tell whether the peer answers with `record` for an anchor."""
        log, seq = str(record["log"]), int(record["seq"])
        if key != anchor_key(log, seq):
            return False
        for attempt in range(_ATTEMPTS):
            page = self._pages.get(log, {})
            if seq not in page:
                page = await self._page(log, seq)
            if page.get(seq) == record:
                return True
            if attempt:
                await asyncio.sleep(_PAUSE)
            self._pages.pop(log, None)
        return False

    async def _page(self, log: str, seq: int) -> dict[int, dict[str, Any]]:
        listed = await self._asked("ListAnchors", log, str(seq), str(MAX_LIST), read=read_records) or []
        page = {int(each["seq"]): each for each in listed}
        self._pages[log] = page
        self._pages.move_to_end(log)
        if len(self._pages) > _LOGS:
            self._pages.popitem(last=False)
        return page

    async def _answers(self) -> dict[str, Any]:
        """Return what the peer answers of logs, heads and sources that the blocks read so far do not say."""
        written = {key: record for key, (_, record) in self._written.items()}
        found: dict[str, Any] = dict.fromkeys(written)
        for function, member, key_of in (
            ("ListLogs", "log", log_key),
            ("ListHeads", "log", head_key),
            ("ListSources", "source", source_key),
        ):
            async for each in self._all(function, member):
                found[key_of(each[member])] = each
        return {key: each for key, each in found.items() if written.get(key) != each}

    async def _all(self, function: str, member: str) -> AsyncIterator[dict[str, Any]]:
        """Yield all records of a list that goes by the name in `member`."""
        after = ""
        while page := await self._listed(function, after, str(MAX_LIST)):
            for each in page:
                name = str(each.get(member))
                if name <= after:
                    raise altered(self._next - 1, f"the peer answers {function} over and over")
                yield each
                after = name

    async def _listed(self, function: str, *args: str) -> list[dict[str, Any]]:
        return await self._asked(function, *args, read=read_objects) or []

    async def _asked(self, function: str, *args: str, read: Callable[[bytes], T]) -> T | None:
        try:
            raw = await self._channel.evaluate(function, args, self._peer)
        except ContractError:  # the peer knows no such log
            return None
        try:
            return read(raw)
        except LedgerUnavailable as error:
            raise altered(self._next - 1, error.what) from None
