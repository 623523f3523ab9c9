"""Certified batches: stored, anchored, ready to be handed out with a certificate for every entry."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bal.core.address import Address
from bal.core.commitment import Commitment
from bal.core.entry import Entry, StoredEntry, canonical, leaves
from chaincode.merkle import Tree

CERTIFICATE_VERSION = 1
_OWN_LEVELS = 4
"""Levels of a path that are looked up leaf by leaf; the rest is the same for all leaves below one node."""


def _certificate(
    address: Address, entry: Entry, salt: bytes, path: Sequence[str], size: int, anchor_text: str
) -> str:
    proof = '","'.join(path)
    proof = f'["{proof}"]' if path else "[]"
    return (
        f'{{"version":{CERTIFICATE_VERSION},"address":"{address}","entry":{canonical(entry).decode()},'
        f'"salt":"{salt.hex()}","tree_size":{size},"path":{proof},"anchor":{anchor_text}}}'
    )


def _siblings(levels: Sequence[Sequence[str]], place: int) -> list[str]:
    """Return the siblings on the way up from a place of the first level; the last of an odd level has none."""
    path = []
    for level in levels:
        sibling = place ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        place >>= 1
    return path


def _anchor_text(commitment: Commitment) -> str:
    return json.dumps(commitment.to_json(), separators=(",", ":"))


def certificate_text(
    address: Address, entry: Entry, salt: bytes, path: Sequence[str], commitment: Commitment
) -> str:
    """Return the certificate (design, section 5) of one entry as one line of JSON without white space.

    `path` is the inclusion path, hashes in hex from the leaf up.
    """
    return _certificate(address, entry, salt, path, commitment.anchor.size, _anchor_text(commitment))


@dataclass(frozen=True)
class CertifiedBatch:
    """A batch under its commitment, as publishers take it. Erased entries are `None`; their leaves remain."""

    commitment: Commitment
    entries: Sequence[Entry | None]
    salts: Sequence[bytes]
    leaves: Sequence[bytes]

    @classmethod
    def of_rows(cls, commitment: Commitment, rows: Sequence[StoredEntry]) -> "CertifiedBatch":
        """Build one from a whole batch's rows, none of them erased."""
        entries = [row.entry for row in rows]
        salts = [row.salt for row in rows]
        return cls(commitment, entries, salts, leaves(entries, salts))

    @cached_property
    def tree(self) -> Tree:
        """The RFC 9162 tree over the leaves."""
        return Tree(self.leaves)

    @cached_property
    def _hex_levels(self) -> list[list[str]]:
        """Every level that has siblings, from the leaves up."""
        return [[node.hex() for node in level] for level in self.tree.levels[:-1]]

    @cached_property
    def _rests(self) -> list[str]:
        """The rest of the path above `_OWN_LEVELS` for each node there, joined as it stands in a certificate."""
        upper = self._hex_levels[_OWN_LEVELS:]
        nodes = range((len(self.leaves) - 1 >> _OWN_LEVELS) + 1)
        return ['","'.join(_siblings(upper, place)) for place in nodes]

    @cached_property
    def _anchor_text(self) -> str:
        return _anchor_text(self.commitment)

    def address(self, index: int) -> Address:
        """Return the address of the entry at `index`."""
        return Address(self.commitment.anchor.log, self.commitment.anchor.seq, index)

    def certificate(self, index: int) -> str:
        """Return the certificate (design, section 5) of the entry at `index` as one line of JSON without white space.

        Raises `KeyError` for an erased entry.
        """
        entry = self.entries[index]
        if entry is None:
            raise KeyError(index)
        path = _siblings(self._hex_levels[:_OWN_LEVELS], index)
        rest = self._rests[index >> _OWN_LEVELS]
        if rest:
            path.append(rest)
        return _certificate(
            self.address(index),
            entry,
            self.salts[index],
            path,
            self.commitment.anchor.size,
            self._anchor_text,
        )

    def certificates(self, sources: frozenset[str] | None = None) -> Iterator[tuple[int, Entry, str]]:
        """Yield (index, entry, certificate) of every entry there is, in order, of `sources` or of all."""
        for index, entry in enumerate(self.entries):
            if entry is not None and (sources is None or entry.source in sources):
                yield index, entry, self.certificate(index)
