"""A peer held against its own blocks: each block's hashes and endorsements, and every answer against what was written.

Memory: what is registered on the channel (logs, sources), a digest of each log's anchors, and a few pages of anchors.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from hashlib import sha256
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
        self._written: dict[str, tuple[int, Any]] = {}
        """What the blocks wrote last under keys that are no anchor's, and in which block."""
        self._ends: dict[str, Head] = {}
        """Where the anchors read so far leave each log: they follow one another without a gap."""
        self._digests: dict[str, bytes] = {}
        """Of the records of each log's anchors, by `_chained`."""
        self._unseen: dict[str, Any] = {}
        """What the peer answered and no block read so far has written."""

    async def run(self) -> None:
        """Read to the end; what the peer answers beyond it must be in the blocks that came meanwhile."""
        await self._read(await self._channel.height())
        wrong: set[str] = set()
        for _ in range(_ATTEMPTS):
            wrong = await self._wrong_anchors()
            self._unseen |= await self._wrong_registrations()
            await self._read(await self._channel.height())
            if not wrong and not self._unseen:
                return
            await asyncio.sleep(_PAUSE)
        raise altered(*min([*await self._first_wrong(wrong), *self._first_unseen()]))

    # --- the blocks -----------------------------------------------------------------------------------------------
    async def _read(self, end: int) -> None:
        async for raw in self._channel.blocks(self._next, end):
            block = await asyncio.to_thread(read_block, raw, self._next, self._channel.chaincode)
            if block.previous != self._previous:
                raise altered(block.number, "it does not follow on the hash of the block before")
            self._take(block)
            self._previous = block.hash
            self._next += 1
        if self._next < end:
            raise altered(self._next, "the peer says it has it, and does not give it")

    def _take(self, block: Block) -> None:
        if block.config is not None:
            self._members = Membership(block.config)
        for transaction in block.transactions:
            self._check_endorsed(block.number, transaction)
            for key, record in _records(block.number, transaction):
                if key.startswith(ANCHORS):
                    self._anchored(block.number, key, record)
                elif key.startswith(head_key("")) and record != self._end(key).to_json():
                    raise altered(block.number, "a head is not where the anchors before it lead")
                else:
                    self._written[key] = (block.number, record)
                if self._unseen.get(key) == record:
                    del self._unseen[key]

    def _anchored(self, number: int, key: str, record: Any) -> None:
        try:
            anchor = of_record(record, "", "", number).anchor
            end = check_anchor(anchor, self._end(head_key(anchor.log)))
        except (ContractError, KeyError, TypeError, ValueError):
            raise altered(number, "one of its anchors does not follow on the one before") from None
        if key != anchor_key(anchor.log, anchor.seq):
            raise altered(number, "one of its anchors stands in the place of another")
        self._ends[anchor.log] = end
        self._digests[anchor.log] = _chained(self._digests.get(anchor.log, b""), record)

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
    async def _wrong_anchors(self) -> set[str]:
        """Return the logs whose anchors the peer answers otherwise than the blocks wrote them; unseen is what none has written."""
        self._unseen = {}
        digests: dict[str, bytes] = {}
        counts: dict[str, int] = {}
        async for each in self._all_anchors():
            log, seq = each["log"], each["seq"]
            if seq >= self._end(head_key(log)).next:
                self._unseen[anchor_key(log, seq)] = each
            else:
                digests[log] = _chained(digests.get(log, b""), each)
                counts[log] = counts.get(log, 0) + 1
        return {
            log
            for log, end in self._ends.items()
            if (counts.get(log, 0), digests.get(log)) != (end.next, self._digests[log])
        }

    async def _first_wrong(self, logs: Collection[str]) -> list[tuple[int, str]]:
        """Return the block of the first anchor of these logs that the peer answers otherwise: all blocks are read once more."""
        if not logs:
            return []
        why = "the peer answers something else of one of its anchors"
        number = 0
        pages: dict[str, dict[int, Any]] = {}
        async for raw in self._channel.blocks(0, self._next):
            for transaction in read_block(raw, number, self._channel.chaincode).transactions:
                for key, record in _records(number, transaction):
                    if not key.startswith(ANCHORS) or record["log"] not in logs:
                        continue
                    log, seq = record["log"], record["seq"]
                    if seq not in pages.get(log, {}):
                        page = await self._anchors(log, seq)
                        pages[log] = {each["seq"]: each for each in page if each["log"] == log}
                    if pages[log].get(seq) != record:
                        return [(number, why)]
            number += 1
        return [(self._next - 1, why)]

    def _first_unseen(self) -> list[tuple[int, str]]:
        """Return the block that wrote the first of what the peer answers otherwise; the last one where none wrote it."""
        return [
            (
                self._written[key][0] if key in self._written else self._next - 1,
                f"the peer answers something else of {key}",
            )
            for key in self._unseen
        ]

    async def _all_anchors(self) -> AsyncIterator[dict[str, Any]]:
        log, first, last = "", 0, ""
        while page := await self._anchors(log, first):
            for each in page:
                log, first = each["log"], each["seq"] + 1
                key = anchor_key(log, each["seq"])
                if key <= last:
                    raise altered(self._next - 1, "the peer answers ListAllAnchors over and over")
                last = key
                yield each

    async def _anchors(self, log: str, first: int) -> list[dict[str, Any]]:
        return await self._asked("ListAllAnchors", log, str(first), str(MAX_LIST), read=read_records) or []

    async def _wrong_registrations(self) -> dict[str, Any]:
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


def _records(number: int, transaction: Writes) -> Iterator[tuple[str, Any]]:
    """Yield key and record of everything a transaction writes. `LedgerAltered` for what is no record."""
    for key, value in transaction.writes:
        try:
            yield key, json.loads(value)
        except ValueError:
            raise altered(number, "the contract's state holds what it never writes") from None


def _chained(digest: bytes, record: Any) -> bytes:
    """Return a digest of a log's records so far and one more."""
    return sha256(digest + json.dumps(record, sort_keys=True).encode()).digest()
