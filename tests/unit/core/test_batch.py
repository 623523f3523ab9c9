"""Sealed and certified batches: order, counts, times and proofs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.address import Address
from bal.core.batch import seal
from bal.core.certified import CertifiedBatch
from bal.core.entry import Erasure, canonical, leaf, leaves
from bal.core.instant import instant_text
from chaincode.anchor import GENESIS
from chaincode.errors import ContractError
from chaincode.merkle import verify_inclusion
from tests.unit.store.rows import RULES, START, batch, committed, reading

WORD = Erasure("dso-b", "bal-1:0:0", "ab" * 32, "operator", 'asked: "now"', START + 9)


def test_a_batch_tells_what_it_covers() -> None:
    sealed = batch([reading("1", 5), reading("2", 1), WORD._replace(received_at=START), reading("3", 3)])
    anchor = sealed.anchor
    assert (anchor.size, sealed.size, anchor.seq, anchor.previous) == (4, 4, 0, GENESIS)
    assert anchor.counts == {"dso-a": 3, "dso-b": 1}
    assert anchor.rules == {"dso-a": RULES, "dso-b": RULES}
    assert anchor.first == instant_text(START)
    assert anchor.last == instant_text(sealed.entries[0].timestamp)
    assert anchor.root == sealed.tree.root.hex()
    assert [row.address for row in sealed.stored_entries()] == [Address("bal-1", 0, n) for n in range(4)]
    assert [leaf(row.entry, row.salt) for row in sealed.stored_entries()] == list(sealed.leaves)


def test_batches_are_chained_by_their_anchors() -> None:
    first = batch([reading("1")])
    second = batch([reading("2")], first.anchor)
    assert second.seq == 1
    assert second.anchor.previous == first.anchor.hash


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"entries": [], "salts": [], "leaves": []}, ValueError),
        ({"log": "No Name"}, ContractError),
        ({"seq": 1}, ContractError),
        ({"previous": "ab"}, ContractError),
        ({"rules": {}}, KeyError),
        ({"rules": {"dso-a": "short"}}, ContractError),
    ],
)
def test_what_the_contract_would_refuse_is_not_sealed(
    change: dict[str, object], error: type[Exception]
) -> None:
    entries = [reading("1")]
    members: dict[str, object] = {
        "log": "bal-1",
        "seq": 0,
        "previous": GENESIS,
        "entries": entries,
        "salts": [b"s" * 16],
        "leaves": leaves(entries, [b"s" * 16]),
        "rules": {"dso-a": RULES},
        "receipts": (),
        "sealed_at": 0,
    }
    with pytest.raises(error):
        seal(**{**members, **change})  # type: ignore[arg-type]


@given(size=st.integers(1, 40))
def test_every_certificate_of_a_batch_proves_its_entry(size: int) -> None:
    entries = [reading(str(number), number) if number % 3 else WORD for number in range(size)]
    sealed = batch(entries)
    certified = CertifiedBatch.of_rows(committed(sealed.anchor), sealed.stored_entries())
    assert tuple(certified.leaves) == sealed.leaves
    made = list(certified.certificates())
    assert [index for index, _, _ in made] == list(range(size))
    for index, entry, text in made:
        certificate = json.loads(text)
        assert certificate["address"] == str(certified.address(index)) == f"bal-1:0:{index}"
        assert json.dumps(certificate["entry"], sort_keys=True, separators=(",", ":")).encode() == canonical(
            entry
        )
        path = [bytes.fromhex(node) for node in certificate["path"]]
        assert path == sealed.tree.path(index)
        digest = leaf(entry, bytes.fromhex(certificate["salt"]))
        root = bytes.fromhex(certificate["anchor"]["root"])
        assert verify_inclusion(digest, index, certificate["tree_size"], path, root)


def test_a_certificate_is_one_line_without_white_space() -> None:
    sealed = batch([reading("1", quality="1.4.6 bal.period"), reading("2")])
    text = CertifiedBatch.of_rows(committed(sealed.anchor), sealed.stored_entries()).certificate(0)
    assert text == json.dumps(json.loads(text), separators=(",", ":"))
    assert list(json.loads(text)) == ["version", "address", "entry", "salt", "tree_size", "path", "anchor"]


def test_what_is_erased_has_no_certificate_and_the_others_keep_theirs() -> None:
    sealed = batch([reading(str(number), number, source=f"s-{number % 2}") for number in range(5)])
    entries = [None if number == 2 else entry for number, entry in enumerate(sealed.entries)]
    certified = CertifiedBatch(committed(sealed.anchor), entries, sealed.salts, sealed.leaves)
    with pytest.raises(KeyError):
        certified.certificate(2)
    assert [index for index, _, _ in certified.certificates()] == [0, 1, 3, 4]
    assert [index for index, _, _ in certified.certificates(frozenset({"s-0"}))] == [0, 4]
    assert certified.tree.root.hex() == sealed.anchor.root
