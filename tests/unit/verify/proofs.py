"""Certificates of every kind with the anchor they stand under."""

from __future__ import annotations

from typing import NamedTuple

from bal.core.certified import CertifiedBatch
from bal.core.commitment import Commitment
from bal.core.entry import Entry, Erasure
from tests.unit.store.rows import START, batch, reading


class Proof(NamedTuple):
    """A certificate and what the ledger says."""

    text: str
    trusted: Commitment


def entries(count: int) -> list[Entry]:
    """Return readings, every fifth with quality codes, and one note of an erasure at the end."""
    made: list[Entry] = [
        reading(
            f"{number}.5",
            number,
            quality="1.4.6 2.5.259 bal.period" if number % 5 == 0 else "",
            component="BUS1",
        )
        for number in range(count - 1)
    ]
    return [*made, note()]


def note() -> Erasure:
    """Return a note whose texts need escapes and hold what ASCII has not."""
    return Erasure("dso-a", "bal-1:4:2", "0a" * 32, "Zoë Ōmine 🙂", 'court: "erase" \\ now', START)


def certified(count: int, seed: int = 0) -> CertifiedBatch:
    """Return an anchored batch of `count` entries, the last one an erasure."""
    first = batch([reading("1")]).anchor
    sealed = batch(entries(count), first)
    trusted = Commitment(
        sealed.anchor,
        "embedded",
        "certification",
        f"{seed:064x}",
        12 + seed,
        "2026-12-31T00:00:00.000000Z",
        "EmbeddedMSP",
    )
    return CertifiedBatch(trusted, sealed.entries, sealed.salts, sealed.leaves)


def proof(count: int = 11, index: int = 5, seed: int = 0) -> Proof:
    """Return the certificate of one entry of a batch of `count`; that of index `count` - 1 is of an erasure."""
    made = certified(count, seed)
    return Proof(made.certificate(index), made.commitment)
