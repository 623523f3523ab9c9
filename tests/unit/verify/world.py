"""A small home with a real SCD and a real ledger, and hands that tamper with its files."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from bal.anchor.embedded.ledger import EmbeddedLedger
from bal.core.address import Address
from bal.core.batch import SealedBatch
from bal.core.entry import Entry, Erasure, leaf
from bal.core.source import Lane
from bal.ports import ErasureNote
from bal.store.sqlite import SqliteStore
from bal.verify.audit import audit
from bal.verify.heads import Heads
from bal.verify.report import AuditReport, Finding
from chaincode.anchor import Anchor
from tests.unit.anchor.embedded.home import KEY, SeededRandom, SteppingClock
from tests.unit.store.rows import batch, reading

SIZES = (3, 600, 1, 5)
"""One batch of three tiles among small ones."""


class World:
    """What a lane does, step by step."""

    def __init__(self, store: SqliteStore, ledger: EmbeddedLedger) -> None:
        self.store = store
        self.ledger = ledger
        self.last: dict[str, Anchor] = {}
        self.count = 0

    async def begin(self, *logs: str) -> None:
        """Register and open logs and the source."""
        await self.ledger.register_source("dso-a")
        for log in logs:
            await self.ledger.register_log(log)
            await self.store.record_lane(Lane(f"lane-{log}", log))

    def entries(self, count: int) -> list[Entry]:
        """Return readings nobody had before."""
        self.count += count
        return [
            reading(str(number + 100), number, quality="1.4.6 bal.period" if number % 3 else "")
            for number in range(self.count - count, self.count)
        ]

    async def stored(self, entries: Sequence[Entry], log: str = "bal-1") -> SealedBatch:
        """Seal and store a batch."""
        sealed = batch(entries, self.last.get(log), log=log)
        await self.store.append_batch(sealed)
        self.last[log] = sealed.anchor
        return sealed

    async def anchored(
        self, entries: Sequence[Entry], log: str = "bal-1", *, marked: bool = True
    ) -> SealedBatch:
        """Seal, store and anchor a batch, and mark it."""
        sealed = await self.stored(entries, log)
        commitments = await self.ledger.anchor([sealed.anchor])
        if marked:
            await self.store.mark_anchored(commitments)
        return sealed

    async def note(self, target: Address, log: str = "bal-1") -> ErasureNote:
        """Store and anchor the note that erases `target`; its row is still there."""
        row = await self.store.entry(target)
        entry = Erasure(
            "dso-a",
            str(target),
            leaf(row.entry, row.salt).hex(),
            "Zoë",
            'asked: "please"',
            row.entry.received_at,
        )
        sealed = await self.anchored([*self.entries(1), entry], log)
        return ErasureNote(target, Address(log, sealed.seq, 1), entry, sealed.salts[1])

    async def erase(self, target: Address, log: str = "bal-1") -> None:
        """Erase a reading as the BAL does."""
        note = await self.note(target, log)
        await self.store.erase(note, bytes(32))

    async def audit(self, since: Heads | None = None) -> AuditReport:
        """Audit it."""
        return await audit(self.store, self.ledger, since=since)

    # --- tampering ------------------------------------------------------------------------------------------------
    def sql(self, statement: str, *values: Any) -> None:
        """Change the SCD's file behind the BAL's back."""
        with closing(sqlite3.connect(self.store.path)) as db:
            assert db.execute(statement, values).rowcount > 0, "the statement changed nothing"
            db.commit()

    def put(self, table: str, address: tuple[str, int, int], **columns: Any) -> None:
        """Set columns of one row."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self.sql(
            f"UPDATE {table} SET {assignments} WHERE log = ? AND seq = ? AND idx = ?",
            *columns.values(),
            *address,
        )

    def delete(self, table: str, address: tuple[str, int, int]) -> None:
        """Delete one row."""
        self.sql(f"DELETE FROM {table} WHERE log = ? AND seq = ? AND idx = ?", *address)

    def leaf_in_tile(self, address: tuple[str, int, int], digest: bytes) -> None:
        """Set a stored leaf."""
        log, seq, index = address
        with closing(sqlite3.connect(self.store.path)) as db:
            (blob,) = db.execute(
                "SELECT leaves FROM tiles WHERE log = ? AND seq = ? AND number = ?", (log, seq, index // 256)
            ).fetchone()
        start = index % 256 * 32
        self.sql(
            "UPDATE tiles SET leaves = ? WHERE log = ? AND seq = ? AND number = ?",
            blob[:start] + digest + blob[start + 32 :],
            log,
            seq,
            index // 256,
        )


@asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    """Open a home in a folder."""
    store = SqliteStore(path / "scd.sqlite")
    ledger = await EmbeddedLedger.open(path / "ledger", KEY, SteppingClock(), SeededRandom())
    try:
        yield World(store, ledger)
    finally:
        await store.close()
        await ledger.close()


@asynccontextmanager
async def honest(path: Path) -> AsyncIterator[World]:
    """Open a home with an anchored log of `SIZES`, in which one reading was erased, and a short second log."""
    async with world(path) as made:
        await made.begin("bal-1", "bal-2")
        for size in SIZES:
            await made.anchored(made.entries(size))
        await made.anchored(made.entries(4), "bal-2")
        await made.erase(Address("bal-1", 1, 300))
        yield made


def found(report: AuditReport) -> set[tuple[str, str]]:
    """Return the findings as pairs."""
    assert report.ok == (not report.findings)
    assert all(isinstance(finding, Finding) for finding in report.findings)
    assert len(set(report.findings)) == len(report.findings)
    return set(report.findings)
