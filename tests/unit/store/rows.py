"""Readings, batches and commitments to put into a store."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from bal.core.address import AddressRange
from bal.core.batch import SealedBatch, seal
from bal.core.commitment import Commitment
from bal.core.entry import Entry, leaves
from bal.core.message import Receipt
from bal.core.reading import Reading
from chaincode.anchor import GENESIS, Anchor

QUARTER = 900_000_000
START = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""
RULES = "5a" * 32
_chance = random.Random(7)


def point(number: int = 0) -> str:
    """Return a pseudonym."""
    return f"{'abcdefgh'[number % 8] * 22}{number:04d}".replace("0", "q").replace("1", "r").replace("8", "s")


def reading(value: str = "1", at: int = 0, **members: Any) -> Reading:
    """Return a reading of quarter-hour `at`."""
    made: dict[str, Any] = {
        "source": "dso-a",
        "point": point(),
        "component": "",
        "quantity": "activeEnergy",
        "reading_type": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0",
        "phase": "none",
        "value": value,
        "unit": "Wh",
        "timestamp": START + at * QUARTER,
        "interval": 900,
        "quality": "",
        "received_at": START + 365 * 86_400_000_000,
    }
    return Reading(**{**made, **members})


def receipt(
    digest: bytes, ranges: Sequence[AddressRange] = (), *, complete: bool = True, **members: Any
) -> Receipt:
    """Return a receipt of dso-a over some addresses."""
    count = sum(part.last - part.first + 1 for part in ranges)
    made: dict[str, Any] = {
        "source": "dso-a",
        "digest": digest,
        "accepted": count,
        "rejected": 0,
        "duplicates": 0,
        "outcomes": count,
        "ranges": tuple(ranges),
        "rejections": (),
        "received_at": START + 365 * 86_400_000_000,
        "complete": complete,
    }
    return Receipt(**{**made, **members})


def batch(
    entries: Sequence[Entry],
    previous: Anchor | None = None,
    *,
    log: str = "bal-1",
    receipts: Sequence[Receipt] = (),
    sealed_at: int = START + 365 * 86_400_000_000 + 1,
    rules: Mapping[str, str] | None = None,
) -> SealedBatch:
    """Return the sealed batch of `entries` after `previous`."""
    salts = [_chance.randbytes(16) for _ in entries]
    return seal(
        log=log,
        seq=0 if previous is None else previous.seq + 1,
        previous=GENESIS if previous is None else previous.hash,
        entries=entries,
        salts=salts,
        leaves=leaves(entries, salts),
        rules=dict(rules or {entry.source: RULES for entry in entries}),
        receipts=receipts,
        sealed_at=sealed_at,
    )


def committed(anchor: Anchor, block: int = 7) -> Commitment:
    """Return what a ledger might say of an anchor."""
    return Commitment(
        anchor, "embedded", "certification", "ab" * 32, block, "2026-12-31T00:00:00.000000Z", "DsoMSP"
    )
