"""What an audit answers."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

from bal.verify.heads import Heads

Kind = Literal[
    "changed",
    "missing",
    "added",
    "swapped",
    "forged_erasure",
    "batch_missing",
    "batch_altered",
    "ledger_altered",
    "ledger_cut",
    "peer_differs",
    "peer_silent",
]
_PLAIN: Final = re.compile(r"[!-~]{1,100}")
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
FINDINGS_LISTED = 100_000
"""Most findings listed one by one; further ones are counted."""


class Finding(NamedTuple):
    """One thing that is not as it was anchored.

    `address` is `log:seq:index` of the row for changed, missing, added, swapped and forged_erasure (there the row that
    the note claims erased); `log:seq` of the batch for batch_missing, batch_altered, ledger_altered and ledger_cut, or
    `log:seq:first-last` where a batch was altered so that it can't be told which of these rows; `block:N` where a block
    of the ledger itself does not fit; `host:port` of the peer for peer_differs and peer_silent.
    """

    kind: Kind
    address: str


@dataclass(slots=True)
class AuditReport:
    """What an audit has looked at and found."""

    readings: int = 0
    """Rows of readings in anchored batches that were held against their leaves."""
    batches: int = 0
    """Anchored batches looked at."""
    pending: int = 0
    """Batches stored and not anchored yet: in work."""
    findings: list[Finding] = field(default_factory=list)
    further: int = 0
    """Findings beyond the listed ones."""
    heads: Heads = field(default_factory=dict)
    """Head of every log as this audit saw it, for the next one's `since`; where a log was cut or altered since the last
    audit, that one's head again."""
    _seen: set[Finding] = field(default_factory=set, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def add(self, kind: Kind, address: object) -> None:
        """Add a finding once."""
        text = str(address)
        # Names of logs in tampered rows can hold anything; terminals obey some of it.
        finding = Finding(kind, text if _PLAIN.fullmatch(text) else ascii(text)[:100])
        if finding in self._seen:
            return
        if len(self.findings) >= FINDINGS_LISTED:
            self.further += 1
            return
        self._seen.add(finding)
        self.findings.append(finding)

    def to_json(self) -> dict[str, object]:
        """Return `{"ok", "readings", "batches", "pending", "findings"}`, and `further` where not all are listed."""
        members: dict[str, object] = {
            "ok": self.ok,
            "readings": self.readings,
            "batches": self.batches,
            "pending": self.pending,
            "findings": [finding._asdict() for finding in self.findings],
        }
        return {**members, "further": self.further} if self.further else members
