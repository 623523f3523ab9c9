"""Stand-ins for what a lane needs of the world."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from io import BytesIO
from typing import Any

from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import expand_salts, leaves
from bal.core.errors import LedgerOutcomeUnknown, LedgerRefused
from bal.core.message import Message, Receipt, Rejection
from bal.core.reading import Reading
from bal.core.source import Source
from bal.lane.settings import LaneSettings
from bal.ports import NormalisedPart
from chaincode.anchor import Anchor
from tests.patience import PATIENCE
from tests.unit.store.rows import committed, reading

SOURCE = Source(name="dso-a", lane="bal-1")
RULES = SOURCE.rules.digest()


class FakeClock:
    """Time that goes on only while somebody sleeps."""

    def __init__(self, now: int = 2_000_000_000_000_000) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> int:
        return self.time

    def monotonic(self) -> float:
        return self.time / 1e6

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += int(seconds * 1e6)
        await asyncio.sleep(0)


class StillClock(FakeClock):
    """Time that stands: who sleeps, sleeps until woken."""

    def __init__(self, now: int = 2_000_000_000_000_000) -> None:
        super().__init__(now)
        self.wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.wake.wait()


class CountingRandom:
    """Bytes that never repeat."""

    def __init__(self) -> None:
        self._count = itertools.count()

    def bytes(self, count: int) -> bytes:
        return hashlib.shake_256(next(self._count).to_bytes(8, "big")).digest(count)


class RealTasks:
    """asyncio's own."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task

    async def end(self) -> None:
        """Cancel what is still running and wait for its end."""
        for task in list(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


class CountedMetrics:
    """Counts, to be looked at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def accepted(self, count: int) -> None:
        self.counts["accepted"] += count

    def rejected(self, code: str, count: int) -> None:
        self.counts[f"rejected {code}"] += count

    def duplicates(self, count: int) -> None:
        self.counts["duplicates"] += count

    def anchored(self, count: int, lag_seconds: float) -> None:
        assert lag_seconds >= 0
        self.counts["anchored"] += count

    def published(self, count: int) -> None:
        self.counts["published"] += count

    def alarm(self, kind: str) -> None:
        self.counts[kind] += 1


class KeptQuarantine:
    """Rejections in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes, int], Rejection] = {}

    async def put(
        self, source: str, digest: bytes, rejections: Iterable[tuple[int, Rejection]], now: int
    ) -> None:
        for ordinal, rejection in rejections:
            self.kept.setdefault((source, digest, ordinal), rejection)

    async def put_message(self, message: Message, rejection: Rejection, now: int) -> None:
        body = message.body if isinstance(message.body, bytes) else message.body().read()
        await self.put(message.source, message.digest, [(-1, rejection._replace(fragment=body))], now)

    async def refusals(self, source: str | None, after: int = 0, limit: int = 100) -> list[Any]:
        raise NotImplementedError

    async def open(self, id: int) -> Any:  # noqa: A002
        raise NotImplementedError


class NoneErased:
    """Nothing has been erased."""

    def __bool__(self) -> bool:
        return False

    def __contains__(self, reading: Reading) -> bool:
        return False


class BarredValues:
    """Readings of these points may not come back."""

    def __init__(self, *points: str) -> None:
        self._points = points

    def __bool__(self) -> bool:
        return bool(self._points)

    def __contains__(self, reading: Reading) -> bool:
        return reading.point in self._points


def message(text: str, *, streamed: bool = False, source: str = "dso-a") -> Message:
    """Return a message of `LineNormaliser`'s language."""
    data = text.encode()
    body: bytes | Callable[[], BytesIO] = data
    if streamed:

        def body() -> BytesIO:
            return BytesIO(data)

    return Message(source, "cim", body, hashlib.sha256(source.encode() + data).digest())


class LineNormaliser:
    """Reads messages of words: `12@3` is value 12 of quarter-hour 3, `bad` a rejection, `same` a duplicate.

    `unreadable` as first word refuses the message; `crash` raises what no normaliser should once the parts before it are out.
    """

    def __init__(self, part: int = 4, before: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self.part = part
        self.before = before
        self.seen: list[tuple[bytes, int]] = []
        self.crashing: BaseException | None = None

    async def normalise(
        self, message: Message, source: Source, received_at: int, seed: bytes, skip: int
    ) -> AsyncIterator[NormalisedPart]:
        self.seen.append((message.digest, skip))
        data = message.body if isinstance(message.body, bytes) else message.body().read()
        words = data.decode().split()
        if self.before is not None:
            await self.before()
        if words[:1] == ["unreadable"]:
            from bal.core.errors import Unreadable

            raise Unreadable("this is no document")
        start = skip
        for number in itertools.count():
            end = min(start + self.part, len(words))
            yield self._part(words, start, end, source, received_at, seed + bytes([number % 256]))
            start = end
            if start >= len(words):
                return

    def _part(
        self, words: list[str], start: int, end: int, source: Source, received_at: int, seed: bytes
    ) -> NormalisedPart:
        readings, rejections, duplicates = [], [], 0
        for ordinal in range(start, end):
            word = words[ordinal]
            if word == "crash" and self.crashing is not None:
                raise self.crashing
            if word.startswith("bad"):
                rejections.append((ordinal, Rejection("bad word", f"word[{ordinal}]", word.encode(), "word")))
            elif word == "same":
                duplicates += 1
            else:
                value, _, at = word.partition("@")
                readings.append(reading(value, int(at or 0), source=source.name, received_at=received_at))
        salts = expand_salts(seed, len(readings))
        return NormalisedPart(readings, salts, leaves(readings, salts), rejections, duplicates, end)


class ScriptedLedger:
    """A ledger that holds anchors, and does what the script says before it answers.

    Each step is an error to raise, alone (nothing was written) or as `("written", error)` (it was).
    """

    kind, channel, organisation = "embedded", "certification", "DsoMSP"

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.find_script: list[object] = []
        self.held: dict[tuple[str, int], Commitment] = {}
        self.submitted: list[list[int]] = []
        self.poison: set[str] = set()
        self.open = asyncio.Event()
        """Cleared, nobody gets an answer."""
        self.open.set()

    async def anchor(self, anchors: Sequence[Anchor]) -> list[Commitment]:
        self.submitted.append([anchor.seq for anchor in anchors])
        await self.open.wait()
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        for anchor in anchors:
            there = self.held.get((anchor.log, anchor.seq))
            if there is not None and there.anchor.hash != anchor.hash:
                raise LedgerRefused("another anchor stands there", code="fork")
            if anchor.root in self.poison:
                raise LedgerRefused("not this one", code="malformed")
        for anchor in anchors:
            self.held.setdefault((anchor.log, anchor.seq), committed(anchor))
        if isinstance(step, tuple):
            raise step[1]
        return [self.held[anchor.log, anchor.seq] for anchor in anchors]

    async def find(self, log: str, seq: int) -> Commitment | None:
        step = self.find_script.pop(0) if self.find_script else None
        if isinstance(step, BaseException):
            raise step
        return self.held.get((log, seq))

    async def head(self, log: str) -> Commitment | None:
        held = [commitment for (name, _), commitment in self.held.items() if name == log]
        return max(held, key=lambda commitment: commitment.anchor.seq, default=None)

    async def register_log(self, log: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class ListedOutput:
    """An output that keeps what it is given and fails as the script says."""

    def __init__(self, name: str = "jsonl", *script: BaseException | None) -> None:
        self.name = name
        self.script = list(script)
        self.given: list[tuple[str, int, tuple[str, ...]]] = []

    async def publish(self, batch: CertifiedBatch, sources: frozenset[str]) -> None:
        step = self.script.pop(0) if self.script else None
        if step is not None:
            raise step
        anchor = batch.commitment.anchor
        self.given.append((anchor.log, anchor.seq, tuple(sorted(sources))))


def settings(**members: Any) -> LaneSettings:
    """Return small numbers."""
    return LaneSettings(**{"batch_leaves": 8, "retry_seconds": 1.0, "settle_seconds": 3.0, **members})


def unknown() -> LedgerOutcomeUnknown:
    """Return the error of an answer that got lost."""
    return LedgerOutcomeUnknown("the answer was lost")


async def answered(*futures: asyncio.Future[Receipt]) -> list[Receipt]:
    """Return receipts, waiting for each."""
    return [await asyncio.wait_for(asyncio.shield(each), PATIENCE) for each in futures]


async def turns(count: int = 20) -> None:
    """Let everything run that can."""
    for _ in range(count):
        await asyncio.sleep(0)
