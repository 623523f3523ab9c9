"""An embedded ledger in a folder, with a clock and chance that can be repeated, and chains of anchors for it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bal.anchor.embedded.chain import BLOCKS
from bal.anchor.embedded.identity import OPERATOR
from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.anchor.embedded.verified import verify_chain
from bal.core.commitment import Commitment
from bal.ports import Ledger
from chaincode.anchor import GENESIS, Anchor

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
RULES = "5a" * 32


class SteppingClock:
    """Goes on a second with every look."""

    def __init__(self) -> None:
        self.time = 1_767_225_600_000_000

    def now(self) -> int:
        self.time += 1_000_000
        return self.time

    def monotonic(self) -> float:
        return self.time / 1e6

    async def sleep(self, seconds: float) -> None:
        self.time += int(seconds * 1e6)


class SeededRandom:
    """Gives the same bytes for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


@asynccontextmanager
async def opened(
    directory: Path, seed: int = 1, key: Ed25519PrivateKey = KEY
) -> AsyncIterator[EmbeddedLedger]:
    """Open the ledger in `directory` and close it after use."""
    ledger = await EmbeddedLedger.open(directory, key, SteppingClock(), SeededRandom(seed), OPERATOR)
    try:
        yield ledger
    finally:
        await ledger.close()


def chain(
    count: int,
    log: str = "bal-1",
    start: int = 0,
    previous: str = GENESIS,
    tag: str = "a",
    source: str = "dso-a",
) -> list[Anchor]:
    """Return consecutive anchors of a log over one source."""
    anchors = []
    for seq in range(start, start + count):
        anchor = Anchor(
            log=log,
            seq=seq,
            root=sha256(f"{log}{tag}{seq}".encode()).hexdigest(),
            size=2,
            previous=previous,
            first="2026-01-01T00:00:00.000000Z",
            last="2026-01-01T00:15:00.000000Z",
            counts={source: 2},
            rules={source: RULES},
        )
        anchors.append(anchor)
        previous = anchor.hash
    return anchors


async def begin_with(ledger: Ledger) -> None:
    """Register log bal-1 and source dso-a on any ledger."""
    await ledger.register_log("bal-1")
    await ledger.register_source("dso-a")


async def begin(ledger: EmbeddedLedger) -> None:
    """Register log bal-1 and source dso-a."""
    await ledger.register_log("bal-1")
    await ledger.register_source("dso-a")


async def small_chain(directory: Path, anchors: int = 4) -> list[Commitment]:
    """Write a ledger with one anchor a block; return what it says of them."""
    async with opened(directory) as ledger:
        await begin(ledger)
        return [(await ledger.anchor([anchor]))[0] for anchor in chain(anchors)]


def verified(directory: Path) -> list[Commitment]:
    """Return all anchors of a folder's file, verified."""
    return list(verify_chain(directory / BLOCKS, PUBLIC))
