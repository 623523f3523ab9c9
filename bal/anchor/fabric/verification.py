"""A peer held against its own blocks: each block's hashes and endorsements, and every answer against what was written.

Memory: what is registered on the channel (logs, sources), three digests a log, and a page of anchors; of what the peer
answers and no block wrote, as much as may have come meanwhile.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeVar

from bal.anchor.fabric.answers import ENDS, read_objects, read_records
from bal.anchor.fabric.block import Block, Writes, altered, read_block
from bal.anchor.fabric.channel import Channel
from bal.anchor.fabric.membership import Membership
from bal.anchor.fabric.submission import refused
from bal.anchor.records import of_record
from bal.core.errors import LedgerAltered, LedgerUnavailable
from chaincode.chain import Head, check_anchor
from chaincode.errors import ContractError
from chaincode.numbers import MAX_LIST
from chaincode.state import ANCHORS, anchor_key, head_key, log_key, source_key

T = TypeVar("T")

_HEADS: Final = head_key("")
"""Beginning of every head's key."""
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.2
"""A peer writes a block down before its state: its answers may be a moment behind."""
_STRANGERS: Final = 65_536
"""Anchors that may have come while the peer listed all it has; one that lists more without a block makes them up."""
_ANCHOR: Final = "the peer answers something else of one of its anchors"


@dataclass(slots=True)
class Line:
    """A log's anchors as the blocks have them."""

    head: Head
    digest: bytes = b""
    """Of all records in order: `chained` over them."""
    first: bytes = b""
    """`chained` over the first record alone; `last` likewise."""
    last: bytes = b""
    block: int = 0
    """That of the newest."""


async def verify_channel(channel: Channel) -> dict[str, Line]:
    """Read all blocks of the first peer of `channel`; return what they wrote, by log.

    `LedgerAltered` names the first that does not fit; `LedgerUnavailable`.
    """
    return await Verification(channel).run()


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
        self._lines: dict[str, Line] = {}
        """What the blocks read so far have of each log that has anchors: they follow one another without a gap."""
        self._unseen: dict[str, Any] = {}
        """What the peer answered and no block read so far has written."""

    async def run(self) -> dict[str, Line]:
        """Read to the end; what the peer answers beyond it must be in the blocks that came meanwhile."""
        await self._read(await self._channel.height())
        wrong: set[str] = set()
        for _ in range(_ATTEMPTS):
            wrong = await self._wrong_anchors()
            self._unseen |= await self._wrong_registrations()
            await self._read(await self._channel.height())
            if not wrong and not self._unseen:
                return self._lines
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
                elif key.startswith(_HEADS) and record != self._end(key.removeprefix(_HEADS)).to_json():
                    raise altered(block.number, "a head is not where the anchors before it lead")
                else:
                    self._written[key] = (block.number, record)
                if key in self._unseen and self._unseen[key] == record:
                    del self._unseen[key]

    def _anchored(self, number: int, key: str, record: Any) -> None:
        try:
            anchor = of_record(record, "", "", number).anchor
            end = check_anchor(anchor, self._end(anchor.log))
        except (ContractError, KeyError, TypeError, ValueError):
            raise altered(number, "one of its anchors does not follow on the one before") from None
        if key != anchor_key(anchor.log, anchor.seq):
            raise altered(number, "one of its anchors stands in the place of another")
        line = self._lines.setdefault(anchor.log, Line(end))
        line.head, line.block = end, number
        line.digest, line.last = chained(line.digest, record), chained(b"", record)
        line.first = line.first or line.last

    def _end(self, log: str) -> Head:
        return self._lines[log].head if log in self._lines else Head(log)

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
            if seq >= self._end(log).next:
                self._unseen[anchor_key(log, seq)] = each
                if len(self._unseen) > _STRANGERS:
                    raise altered(self._next - 1, "the peer answers anchors without end that no block wrote")
            else:
                digests[log] = chained(digests.get(log, b""), each)
                counts[log] = counts.get(log, 0) + 1
        return {
            log
            for log, line in self._lines.items()
            if (counts.get(log, 0), digests.get(log)) != (line.head.next, line.digest)
        }

    async def _first_wrong(self, logs: Collection[str]) -> list[tuple[int, str]]:
        """Return the block of the first anchor of these logs that the peer answers otherwise: all blocks are read once more.

        The last one where that can't be told: the peer gives no blocks any more, or others than before.
        """
        if not logs:
            return []
        log, page = "", dict[int, Any]()
        try:
            async for number, record in self._anchors_again():
                if record["log"] not in logs:
                    continue
                if record["log"] != log or record["seq"] not in page:
                    log = record["log"]
                    page = await self._page(log, record["seq"])
                if page.get(record["seq"]) != record:
                    return [(number, _ANCHOR)]
        except (LedgerUnavailable, LookupError, TypeError, ValueError):
            pass
        return [(self._next - 1, _ANCHOR)]

    async def _anchors_again(self) -> AsyncIterator[tuple[int, Any]]:
        """Yield what all blocks write under keys of anchors, with the number of the block; nothing else is checked again."""
        number = 0
        async for raw in self._channel.blocks(0, self._next):
            block = await asyncio.to_thread(read_block, raw, number, self._channel.chaincode)
            for transaction in block.transactions:
                for key, record in _records(number, transaction):
                    if key.startswith(ANCHORS):
                        yield number, record
            number += 1

    async def _page(self, log: str, first: int, most: int = MAX_LIST) -> dict[int, Any]:
        """Return anchors of one log, by number; one alone, or none, where the peer answers what the contract never does."""
        count = min(most, self._lines[log].head.next - first)
        try:
            return {
                each["seq"]: each for each in await self._anchors(log, first, count) if each["log"] == log
            }
        except LedgerAltered:
            return await self._page(log, first, 1) if most > 1 else {}

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
        """Yield the anchors the peer lists, up to the first that is none or not further than the one before."""
        log, first, last = "", 0, ""
        while page := await self._readable(log, first):
            for each in page:
                log, first = each["log"], each["seq"] + 1
                key = anchor_key(log, each["seq"])
                if key <= last:
                    return
                last = key
                yield each

    async def _readable(self, log: str, first: int) -> list[dict[str, Any]]:
        try:
            return await self._anchors(log, first, MAX_LIST)
        except LedgerAltered:
            if not self._lines:  # nothing will be found missing
                raise
            return []

    async def _anchors(self, log: str, first: int, count: int) -> list[dict[str, Any]]:
        page = await self._asked("ListAllAnchors", log, str(first), str(count), read=read_records)
        if len(page) > count:
            raise altered(self._next - 1, "the peer answers more than it was asked for")
        return page

    async def _wrong_registrations(self) -> dict[str, Any]:
        """Return what the peer answers of logs, their ends and sources that the blocks read so far do not say."""
        written = {key: record for key, (_, record) in self._written.items()}
        found: dict[str, Any] = dict.fromkeys(written)
        for function, count, member, key_of in (
            ("ListLogs", MAX_LIST, "log", log_key),
            ("ListEnds", ENDS, "log", head_key),
            ("ListSources", MAX_LIST, "source", source_key),
        ):
            async for each in self._all(function, count, member):
                key = key_of(each[member])
                found[key] = each
                if function == "ListEnds":
                    head = {name: each[name] for name in each.keys() - {"first", "last"}}
                    if head != written.get(key) or self._has_ends(each):
                        found[key] = head
        return {key: each for key, each in found.items() if written.get(key) != each}

    def _has_ends(self, answered: dict[str, Any]) -> bool:
        """Tell whether the anchors answered beside a head are those the blocks have at the ends of its log."""
        line = self._lines.get(answered["log"])
        told = {name: chained(b"", answered[name]) for name in ("first", "last") if name in answered}
        return told == ({} if line is None else {"first": line.first, "last": line.last})

    async def _all(self, function: str, count: int, member: str) -> AsyncIterator[dict[str, Any]]:
        """Yield all records of a list that goes by the name in `member`, asked for in pages of `count`."""
        after = ""
        while page := await self._asked(function, after, str(count), read=read_objects):
            for each in page:
                name = each.get(member)
                if type(name) is not str or name <= after:
                    raise altered(self._next - 1, f"the peer answers {function} over and over, or no names")
                yield each
                after = name

    async def _asked(self, function: str, *args: str, read: Callable[[bytes], T]) -> T:
        try:
            raw = await self._channel.evaluate(function, args, self._peer)
        except ContractError as error:
            if error.code == "unknown_function":  # a contract of before: no lie
                raise refused(error) from None
            raise altered(
                self._next - 1, f"the peer refuses {function}, which the contract does not"
            ) from None
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


def chained(digest: bytes, record: Any) -> bytes:
    """Return a digest of a log's records so far and one more."""
    return sha256(digest + json.dumps(record, sort_keys=True).encode()).digest()
