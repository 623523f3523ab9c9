"""The audit: ledger -> batch records -> leaves recomputed from the stored rows, and back from the rows to the ledger.

Order of looking, so that a service at work beside gives no false findings: what the SCD has marked anchored, then the
ledger's heads, then the SCD's rows. A batch is stored before it is anchored and anchored before it is marked; a row is
removed after the note that says so is anchored. Rows that were found missing are held against notes anchored meanwhile.

Memory: one batch, the proven notes of erasure, the rows found missing, and the findings.
"""

from collections.abc import Callable, Sequence

from bal.core.commitment import Commitment
from bal.core.entry import Erasure
from bal.core.errors import LedgerAltered
from bal.ports import BatchRecord, Ledger, Store
from bal.verify.batch import Outcome, check_batch, claimed
from bal.verify.heads import Head, Heads
from bal.verify.places import Places
from bal.verify.report import AuditReport
from bal.verify.rows import Rows
from chaincode.anchor import GENESIS, Anchor

Progress = Callable[[int, int, int], None]
"""Called after each batch with: batches done, batches there were when the audit began, readings done."""


async def audit(
    store: Store,
    ledger: Ledger,
    *,
    since: Heads | None = None,
    progress: Progress | None = None,
    logs: Sequence[str] | None = None,
) -> AuditReport:
    """Hold the whole SCD against the ledger, and the ledger against the heads of an earlier audit (`since`).

    `logs` are those of the ledger that this SCD should know; where none are named, those of the ledger's organisation.
    `ledger` must follow the ledger as it grows. Raises `StoreFailed` and `LedgerUnavailable` when one of them can't be
    read at all; everything else is a finding.
    """
    return await Audit(store, ledger, since or {}, progress, logs).run()


def ledger_altered(error: LedgerAltered) -> AuditReport:
    """Return the report on a ledger that can't even be opened."""
    report = AuditReport()
    report.add("ledger_altered", f"block:{error.block}")
    return report


class Audit:
    """One run."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        since: Heads,
        progress: Progress | None,
        logs: Sequence[str] | None,
    ) -> None:
        self._logs = logs
        self._store = store
        self._ledger = ledger
        self._since = since
        self._progress = progress
        self._rows = Rows(store)
        self._places = Places(self._rows)
        self._report = AuditReport()
        self._marked: dict[str, int] = {}
        self._opened: set[str] = set()
        self._heads: dict[str, Head] = {}
        self._rewritten: dict[str, int] = {}
        """Logs whose ledger is not what an earlier audit saw while the SCD still is: up to where it is."""
        self._expected = 0

    async def run(self) -> AuditReport:
        """Return what was found."""
        try:
            await self._audit()
        except LedgerAltered as error:
            self._report.add("ledger_altered", f"block:{error.block}")
        self._report.heads = {**self._heads, **{log: self._since[log] for log in self._failed()}}
        return self._report

    def _failed(self) -> list[str]:
        """Return the logs of `since` that the ledger no longer proves."""
        return [
            log for log, head in self._since.items() if log in self._rewritten or self._reach(log) < head.seq
        ]

    async def _audit(self) -> None:
        known = await self._ledger.logs() if self._logs is None else self._logs
        logs = list(dict.fromkeys([*await self._store.logs(), *known, *sorted(self._since)]))
        self._marked = {log: await self._rows.marked(log) for log in logs}
        try:
            await self._ledger.verify()
        except LedgerAltered as error:
            self._report.add("ledger_altered", f"block:{error.block}")
        tops = {log: await self._top(log) for log in logs}
        self._expected = sum(tops.values()) + len(tops)
        for log in logs:
            await self._hold_since(log, tops[log])
            await self._walk(log, tops[log])
        await self._catch_up(logs)
        for log in logs:
            await self._pending(log)
        await self._strays()
        await self._places.settle(self._report)

    # --- the ledger -----------------------------------------------------------------------------------------------
    async def _top(self, log: str) -> int:
        head = await self._ledger.head(log)
        return head.anchor.seq if head is not None else -1

    def _reach(self, log: str) -> int:
        return self._heads[log].seq if log in self._heads else -1

    async def _hold_since(self, log: str, top: int) -> None:
        """Hold the ledger against the head an earlier audit saw, and against what the SCD has marked anchored."""
        before = self._since.get(log)
        if top < max(self._marked[log], before.seq if before is not None else -1):
            self._report.add("ledger_cut", f"{log}:{top + 1}")
        if before is None or before.seq > top:
            return
        found = await self._ledger.find(log, before.seq)
        if found is None or found.anchor.hash != before.hash:
            self._report.add("ledger_altered", f"{log}:{before.seq}")
            record, _ = await self._rows.record(log, before.seq)
            trusted = record is not None and record.anchor.hash == before.hash
            self._rewritten[log] = before.seq if trusted else -1

    async def _walk(self, log: str, top: int) -> None:
        """Check the anchors of a log, and the batches behind them, from where it was left up to `top`."""
        reached = self._heads.get(log)
        expected, previous = (reached.seq + 1, reached.hash) if reached is not None else (0, GENESIS)
        if expected > top:
            return
        try:
            async for commitment in self._ledger.anchors(log, expected):
                anchor = commitment.anchor
                if anchor.seq > top:
                    break
                if anchor.log != log or anchor.seq < expected:
                    self._report.add("ledger_altered", f"{log}:{expected}")
                    continue
                if anchor.seq != expected or anchor.previous != previous:
                    self._report.add("ledger_altered", f"{log}:{expected}")
                await self._batch(commitment)
                expected, previous = anchor.seq + 1, anchor.hash
                self._heads[log] = Head(anchor.seq, anchor.hash)
        except LedgerAltered as error:
            self._report.add("ledger_altered", f"block:{error.block}")
        if expected <= top:
            self._report.add("ledger_altered", f"{log}:{expected}")

    # --- batches --------------------------------------------------------------------------------------------------
    async def _batch(self, commitment: Commitment) -> None:
        log, seq = commitment.anchor.log, commitment.anchor.seq
        record, unreadable = await self._rows.record(log, seq)
        if log not in self._opened:  # a log is opened before anything of it is stored
            self._opened = set(await self._store.logs())
        anchor = self._hold_record(commitment, record, unreadable=unreadable)
        stored = await self._rows.batch(log, seq, anchor.size, record)
        outcome = check_batch(anchor, stored)
        self._report.batches += 1
        self._report.readings += outcome.readings
        if outcome.altered and record is not None:
            self._report.add("batch_altered", f"{log}:{seq}")
        for part in outcome.unproven:
            if record is not None or stored.rows:
                self._report.add("batch_altered", part)
        self._take(outcome)
        for address in await self._rows.unlisted(log, seq):
            self._report.add("missing", address)
        self._places.batches.append((log, seq, anchor.size))
        if self._progress is not None:
            self._progress(self._report.batches, self._expected, self._report.readings)

    def _hold_record(self, commitment: Commitment, record: BatchRecord | None, *, unreadable: bool) -> Anchor:
        """Return the anchor to hold the rows against: the ledger's, unless an earlier audit proves the SCD's instead."""
        anchor = commitment.anchor
        log, seq = anchor.log, anchor.seq
        if record is None:
            self._report.add("batch_altered" if unreadable else "batch_missing", f"{log}:{seq}")
        elif record.anchor.hash != anchor.hash:
            if seq <= self._rewritten.get(log, -1):
                self._report.add("ledger_altered", f"{log}:{seq}")
                return record.anchor
            self._report.add("batch_altered", f"{log}:{seq}")
        elif not self._fits(record, commitment):
            self._report.add("batch_altered", f"{log}:{seq}")
        return anchor

    def _fits(self, record: BatchRecord, commitment: Commitment) -> bool:
        """Tell whether the marks of an anchored batch are those it can have, and queries look into its log."""
        anchor = commitment.anchor
        if anchor.log not in self._opened or record.moved_to is not None:
            return False
        if record.commitment is None:
            return anchor.seq > self._marked[anchor.log] and not record.published
        return record.commitment == commitment

    def _take(self, outcome: Outcome) -> None:
        report = self._report
        for address in outcome.added:
            report.add("added", address)
        for address in outcome.swapped:
            report.add("swapped", address)
        for address in outcome.forged:
            report.add("forged_erasure", address)
        self._places.take(outcome)

    async def _pending(self, log: str) -> None:
        """Count the batches of a log that are stored and not anchored; they follow one another like all others.

        Of a batch that was carried over from a closed log only the record remains.
        """
        first = max(self._reach(log), self._marked[log]) + 1
        last = await self._rows.last_seq(log)
        previous = self._heads[log].hash if first == self._reach(log) + 1 and log in self._heads else None
        seq = first
        while last is None or seq <= last:
            record, unreadable = await self._rows.record(log, seq)
            if record is None:
                if unreadable or last is not None:
                    self._report.add("batch_altered" if unreadable else "batch_missing", f"{log}:{seq}")
                return
            anchor = record.anchor
            follows = (anchor.log, anchor.seq) == (log, seq) and previous in (None, anchor.previous)
            if not follows or (record.published and record.commitment is None):
                self._report.add("batch_altered", f"{log}:{seq}")
            previous = anchor.hash
            if record.moved_to is None:
                self._report.pending += 1
            else:
                stored = await self._rows.batch(log, seq, 0, record)
                for row in stored.rows:
                    self._report.add("added", row.address)
            seq += 1

    # --- the way back ---------------------------------------------------------------------------------------------
    async def _catch_up(self, logs: list[str]) -> None:
        """Read on while rows are missing whose erasure may have been anchored after the audit began."""
        seen = -1
        while self._places.unexplained() and self._places.missing > seen:
            seen = self._places.missing
            for log in logs:
                await self._walk(log, await self._top(log))

    async def _strays(self) -> None:
        """Name rows that belong to no batch, and records and tiles that are none, of the SCD or of the ledger."""
        for address in await self._store.strays():
            if self._walked(address.log, address.seq):
                # Without a record the batch was reported and its rows were looked at. With one, this is a copy of a row
                # beside the rows of the batch, shown to who asks.
                if address.log in self._opened and (await self._rows.record(address.log, address.seq))[0]:
                    self._report.add("added", address)
                continue
            row = await self._rows.row(address)
            if row is not None and type(row.entry) is Erasure:
                self._places.forge(claimed(row), self._report)
            else:
                self._report.add("added", address)
        for log, seq in await self._rows.loose_batches():
            if not self._walked(log, seq) or (await self._rows.record(log, seq))[0] is not None:
                self._report.add("batch_altered", f"{log}:{seq}")

    def _walked(self, log: str, seq: object) -> bool:
        """Tell whether a batch was looked at from the ledger's side."""
        return type(seq) is int and 0 <= seq <= self._reach(log)
