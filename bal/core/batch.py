"""Batches: consecutive entries of one log that one anchor stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bal.core.address import Address
from bal.core.entry import Entry, StoredEntry
from bal.core.instant import instant_text
from bal.core.message import Receipt
from chaincode.anchor import Anchor
from chaincode.merkle import Tree


@dataclass(frozen=True)
class SealedBatch:
    """A batch whose order, salts, leaves and anchor are fixed. It is stored as one thing or not at all."""

    anchor: Anchor
    entries: tuple[Entry, ...]
    salts: tuple[bytes, ...]
    leaves: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]
    """Receipts, complete or of progress, that become true with this batch."""
    sealed_at: int
    """Microseconds UTC."""

    @property
    def log(self) -> str:
        """The log it belongs to."""
        return self.anchor.log

    @property
    def seq(self) -> int:
        """Its number in the log."""
        return self.anchor.seq

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self.entries)

    @cached_property
    def tree(self) -> Tree:
        """The RFC 9162 tree over the leaves."""
        return Tree(self.leaves)

    def stored_entries(self) -> list[StoredEntry]:
        """Return the entries with address and salt, in order of index."""
        log, seq = self.log, self.seq
        return [
            StoredEntry(Address(log, seq, index), entry, salt)
            for index, (entry, salt) in enumerate(zip(self.entries, self.salts, strict=True))
        ]


def seal(  # noqa: PLR0913 - the members of a batch
    *,
    log: str,
    seq: int,
    previous: str,
    entries: Sequence[Entry],
    salts: Sequence[bytes],
    leaves: Sequence[bytes],
    rules: dict[str, str],
    receipts: Sequence[Receipt],
    sealed_at: int,
) -> SealedBatch:
    """Return the sealed batch of `entries` (at least one) at `(log, seq)` after the anchor whose hash is `previous`.

    `rules` gives the digest of the quality rules in force for every source that has an entry in it. Raises
    `chaincode.errors.ContractError` when the contract would refuse the anchor for its form.
    """
    tree = Tree(leaves)
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.source] = counts.get(entry.source, 0) + 1
    times = [entry.timestamp for entry in entries]
    anchor = Anchor(
        log=log,
        seq=seq,
        root=tree.root.hex(),
        size=len(leaves),
        previous=previous,
        first=instant_text(min(times)),
        last=instant_text(max(times)),
        counts=counts,
        rules={source: rules[source] for source in counts},
    )
    anchor.check()
    batch = SealedBatch(anchor, tuple(entries), tuple(salts), tuple(leaves), tuple(receipts), sealed_at)
    batch.__dict__["tree"] = tree
    return batch
