"""Places whose row is missing or changed, until the whole SCD has been read: only then can be told what became of them."""

from bal.core.address import Address
from bal.core.limits import TILE_LEAVES
from bal.verify.batch import Outcome
from bal.verify.report import AuditReport
from bal.verify.rows import Rows


class Places:
    """Collects what single batches leave open."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._missing: dict[Address, bytes | None] = {}
        self._changed: list[tuple[Address, bytes | None]] = []
        self._notes: dict[str, set[str]] = {}
        """Leaves that proven notes name, by the address they say was erased."""
        self._doubtful: set[str] = set()
        self._forged: set[Address] = set()
        self.batches: list[tuple[str, int, int]] = []
        """(log, seq, size) of every batch read."""

    def take(self, outcome: Outcome) -> None:
        """Take what a batch leaves open."""
        self._missing.update(outcome.missing)
        self._changed += outcome.changed
        self._forged.update(outcome.forged)
        self._doubtful.update(text for text in outcome.doubtful if type(text) is str)
        for note in outcome.notes:
            self._notes.setdefault(note.address, set()).add(note.leaf)

    def forge(self, target: Address, report: AuditReport) -> None:
        """Take the note of a row that belongs to no batch."""
        self._forged.add(target)
        report.add("forged_erasure", target)

    @property
    def missing(self) -> int:
        """How many rows are missing, erased ones included."""
        return len(self._missing)

    def unexplained(self) -> int:
        """Return how many missing rows no proven note explains."""
        return sum(not self._erased(address, digest) for address, digest in self._missing.items())

    def _erased(self, address: Address, digest: bytes | None) -> bool:
        leaves = self._notes.get(str(address), ())
        return bool(leaves) if digest is None else digest.hex() in leaves

    async def settle(self, report: AuditReport) -> None:
        """Say of every open place what became of its row."""
        for address, digest in self._missing.items():
            if address in self._forged:
                continue
            says = await self._rows.says_erased(address)
            if not self._erased(address, digest):
                forged = says or str(address) in self._doubtful
                report.add("forged_erasure" if forged else "missing", address)
            elif not says:  # nothing keeps the reading from being accepted again
                report.add("missing", address)
        moved = await self._moved({digest for _, digest in self._changed if digest is not None})
        for address, digest in self._changed:
            elsewhere = moved.get(digest, address) if digest is not None else address
            report.add("swapped" if elsewhere != address else "changed", address)

    async def _moved(self, wanted: set[bytes]) -> dict[bytes, Address]:
        """Return where the leaves of changed rows stand in other batches' tiles."""
        found: dict[bytes, Address] = {}
        for log, seq, size in self.batches if wanted else ():
            for first in range(0, size, TILE_LEAVES):
                leaves = await self._rows.tile(log, seq, first // TILE_LEAVES, min(TILE_LEAVES, size - first))
                if not wanted.isdisjoint(leaves):
                    found |= {
                        digest: Address(log, seq, first + offset)
                        for offset, digest in enumerate(leaves)
                        if digest in wanted
                    }
        return found
