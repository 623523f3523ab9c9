"""What may be erased, and the note that says so."""

from __future__ import annotations

import pytest

from bal.core.address import Address
from bal.core.certified import CertifiedBatch
from bal.core.entry import Erasure, StoredEntry
from bal.core.errors import Invalid, Refused
from bal.verify.erasure import erasure_of
from tests.unit.store.rows import START
from tests.unit.verify.proofs import certified


@pytest.fixture
def made() -> CertifiedBatch:
    return certified(9)


def row(made: CertifiedBatch, index: int = 4) -> StoredEntry:
    entry = made.entries[index]
    assert entry is not None
    return StoredEntry(Address("bal-1", 1, index), entry, made.salts[index])


def test_the_note_names_address_and_leaf(made: CertifiedBatch) -> None:
    note = erasure_of(
        row(made), made.tree.path(4), made.commitment, who="DSO A", why="asked", received_at=START
    )
    assert note == Erasure("dso-a", "bal-1:1:4", made.leaves[4].hex(), "DSO A", "asked", START)


def test_an_erasure_is_not_erased(made: CertifiedBatch) -> None:
    with pytest.raises(Refused, match="only readings"):
        erasure_of(row(made, 8), made.tree.path(8), made.commitment, who="a", why="b", received_at=START)


def test_what_is_not_anchored_is_not_erased(made: CertifiedBatch) -> None:
    with pytest.raises(Refused, match="not anchored yet"):
        erasure_of(row(made), made.tree.path(4), None, who="a", why="b", received_at=START)


def test_a_tampered_row_is_not_erased(made: CertifiedBatch) -> None:
    honest = row(made)
    for changed in (
        honest._replace(salt=bytes(16)),
        honest._replace(entry=honest.entry._replace(value="9")),  # type: ignore[call-arg]
        honest._replace(address=Address("bal-1", 1, 5)),
        honest._replace(address=Address("bal-1", 2, 4)),
        honest._replace(address=Address("bal-2", 1, 4)),
    ):
        with pytest.raises(Invalid, match="not what was anchored"):
            erasure_of(changed, made.tree.path(4), made.commitment, who="a", why="b", received_at=START)
    with pytest.raises(Invalid):
        erasure_of(honest, made.tree.path(4)[1:], made.commitment, who="a", why="b", received_at=START)


@pytest.mark.parametrize("text", ["", " ", "a" * 501, "a\nb", "a\x00", "\ud800"])
def test_who_and_why_are_said_in_printable_words(made: CertifiedBatch, text: str) -> None:
    for who, why in ((text, "asked"), ("operator", text)):
        with pytest.raises(Refused, match="printable"):
            erasure_of(row(made), made.tree.path(4), made.commitment, who=who, why=why, received_at=START)
