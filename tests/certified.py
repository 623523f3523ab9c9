"""Certified batches to publish."""

from bal.core.batch import seal
from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry, Erasure, expand_salts, leaves
from bal.core.reading import Reading
from chaincode.anchor import GENESIS

HOUR = 3_600_000_000
START = 1_700_000_000_000_000


def reading(number: int, source: str = "dso-a", point: int = 0, value: str = "12500.5") -> Reading:
    """Return a reading, the `number`-th hour of measuring point `point`."""
    return Reading(
        source=source,
        point=f"{'abcdefgh'[point]}" * 26,
        component="",
        quantity="activeEnergy",
        reading_type="0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0",
        phase="none",
        value=value,
        unit="Wh",
        timestamp=START + number * HOUR,
        interval=3600,
        quality="1.0.0 2.5.258",
        received_at=START + number * HOUR + 1,
    )


def erasure(target: str, source: str = "dso-a") -> Erasure:
    """Return the note of an erasure."""
    return Erasure(source, target, "0" * 64, "operator", "asked for", START)


def certified(
    entries: list[Entry], seq: int = 0, log: str = "log-1", time: str = "2023-11-14T22:13:20.000000Z"
) -> CertifiedBatch:
    """Return `entries` as an anchored batch."""
    salts = expand_salts(bytes([seq % 256]) * 32, len(entries))
    rules = {entry.source: "0" * 64 for entry in entries}
    batch = seal(
        log=log,
        seq=seq,
        previous=GENESIS if seq == 0 else "1" * 64,
        entries=entries,
        salts=salts,
        leaves=leaves(entries, salts),
        rules=rules,
        receipts=[],
        sealed_at=START,
    )
    commitment = Commitment(batch.anchor, "embedded", "certification", f"tx-{seq}", seq + 1, time, "DsoMSP")
    return CertifiedBatch.of_rows(commitment, batch.stored_entries())


def readings_of(seq: int, count: int = 6, **changes: str) -> CertifiedBatch:
    """Return a batch of readings, of sources `dso-a` and `dso-b` in turns, of two measuring points each."""
    entries: list[Entry] = [
        reading(seq * count + number, ("dso-a", "dso-b")[number % 2], number // 2 % 2)
        for number in range(count)
    ]
    return certified(entries, seq, **changes)
