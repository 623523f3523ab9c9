"""Merkle trees: reference vectors, agreement with the RFC's own recursion, and what must not verify."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.errors import ContractError
from chaincode.merkle import (
    TILE,
    Tree,
    consistency_proof,
    leaf_hash,
    path_in,
    path_length,
    path_through_tile,
    root,
    root_from_path,
    tile_roots,
    verify_consistency,
    verify_inclusion,
)

# The reference tree of certificate-transparency: inputs, root at every size, inclusion and consistency proofs.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [leaf_hash(data) for data in INPUTS]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


# RFC 9162 2.1.1, 2.1.3.1 and 2.1.4.1, word for word, hashing included: nothing of chaincode.merkle is used.
def rfc_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def rfc_mth(d: Sequence[bytes]) -> bytes:
    if not d:
        return sha256().digest()
    if len(d) == 1:
        return d[0]
    k = rfc_split(len(d))
    return sha256(b"\x01" + rfc_mth(d[:k]) + rfc_mth(d[k:])).digest()


def rfc_path(m: int, d: Sequence[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = rfc_split(len(d))
    if m < k:
        return [*rfc_path(m, d[:k]), rfc_mth(d[k:])]
    return [*rfc_path(m - k, d[k:]), rfc_mth(d[:k])]


def rfc_subproof(m: int, d: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [rfc_mth(d)]
    k = rfc_split(len(d))
    if m <= k:
        return [*rfc_subproof(m, d[:k], whole), rfc_mth(d[k:])]
    return [*rfc_subproof(m - k, d[k:], False), rfc_mth(d[:k])]


def some_leaves(size: int) -> list[bytes]:
    return [leaf_hash(index.to_bytes(4, "big")) for index in range(size)]


def test_reference_roots() -> None:
    assert root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Tree([]).root == root([])
    for size, expected in enumerate(ROOTS, 1):
        assert root(LEAVES[:size]).hex() == Tree(LEAVES[:size]).root.hex() == expected


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_reference_inclusion(index: int, size: int, expected: list[str]) -> None:
    path = [bytes.fromhex(node) for node in expected]
    assert Tree(LEAVES[:size]).path(index) == path
    assert verify_inclusion(LEAVES[index], index, size, path, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("first", "second", "expected"), CONSISTENCY)
def test_reference_consistency(first: int, second: int, expected: list[str]) -> None:
    proof = [bytes.fromhex(node) for node in expected]
    old, new = bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[second - 1])
    assert consistency_proof(LEAVES[:second], first) == proof
    assert verify_consistency(first, second, old, new, proof)


def test_every_small_tree_agrees_with_the_rfc() -> None:
    for size in range(1, 36):
        leaves = some_leaves(size)
        tree = Tree(leaves)
        assert tree.root == root(leaves) == rfc_mth(leaves)
        assert tree.size == size
        for index in range(size):
            path = rfc_path(index, leaves)
            assert tree.path(index) == path
            assert len(path) == path_length(index, size)
            assert root_from_path(leaves[index], index, size, path) == tree.root
        for first in range(1, size + 1):
            proof = rfc_subproof(first, leaves, True)
            assert consistency_proof(leaves, first) == proof
            assert verify_consistency(first, size, root(leaves[:first]), tree.root, proof)


@pytest.mark.parametrize("seed", range(6))
def test_random_trees_agree_with_the_rfc(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.randrange(36, 1500)
    leaves = [chance.randbytes(32) for _ in range(size)]
    tree = Tree(leaves)
    assert tree.root == rfc_mth(leaves)
    for _ in range(5):
        index = chance.randrange(size)
        path = rfc_path(index, leaves)
        assert tree.path(index) == path
        assert verify_inclusion(leaves[index], index, size, path, tree.root)
        first = chance.randrange(1, size + 1)
        proof = rfc_subproof(first, leaves, True)
        assert consistency_proof(leaves, first) == proof
        assert verify_consistency(first, size, rfc_mth(leaves[:first]), tree.root, proof)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 769, 1025, 4096, 4097])
def test_one_tile_gives_the_same_path(size: int) -> None:
    leaves = some_leaves(size)
    tree = Tree(leaves)
    roots = tile_roots(leaves)
    assert root(roots) == tree.root
    for index in {0, size // 2, size - 1, min(size - 1, 255), min(size - 1, 256)}:
        tile = leaves[index // TILE * TILE :][:TILE]
        assert path_through_tile(tile, roots, index, size) == tree.path(index)


def test_a_tile_that_does_not_fit_is_refused() -> None:
    leaves = some_leaves(600)
    roots = tile_roots(leaves)
    for tile, some_roots, index, size in (
        (leaves[:255], roots, 0, 600),
        (leaves[:256], roots[:2], 0, 600),
        (leaves[:256], roots, 520, 600),
        (leaves[:256], roots, 600, 600),
        (leaves[:256], roots, -1, 600),
    ):
        with pytest.raises(ContractError) as refused:
            path_through_tile(tile, some_roots, index, size)
        assert refused.value.code == "bounds"


def test_levels_serve_other_forms_of_the_nodes() -> None:
    tree = Tree(some_leaves(37))
    levels = [[node.hex() for node in level] for level in tree.levels]
    assert levels[-1] == [tree.root.hex()]
    assert path_in(levels, 36) == [node.hex() for node in tree.path(36)]


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_outside_the_tree_is_refused(index: int) -> None:
    with pytest.raises(ContractError):
        Tree(some_leaves(5)).path(index)
    with pytest.raises(ContractError):
        path_length(index, 5)
    assert not verify_inclusion(some_leaves(5)[0], index, 5, [], root(some_leaves(5)))


@pytest.mark.parametrize("first", [0, -1, 6])
def test_no_consistency_with_what_is_no_beginning(first: int) -> None:
    leaves = some_leaves(5)
    with pytest.raises(ContractError):
        consistency_proof(leaves, first)
    assert not verify_consistency(first, 5, root([]), root(leaves), [])


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


@given(st.integers(1, 300), st.data())
def test_a_changed_bit_is_found(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    tree = Tree(leaves)
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    path = tree.path(index)
    assert verify_inclusion(leaves[index], index, size, path, tree.root)
    assert not verify_inclusion(flip(leaves[index], bit), index, size, path, tree.root)
    assert not verify_inclusion(leaves[index], index, size, path, flip(tree.root, bit))
    assert not verify_inclusion(leaves[index], index, size, [*path, tree.root], tree.root)
    assert not verify_inclusion(leaves[index], index, size, [tree.root, *path], tree.root)
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        assert not verify_inclusion(
            leaves[index], index, size, [*path[:place], flip(path[place], bit), *path[place + 1 :]], tree.root
        )
        assert not verify_inclusion(leaves[index], index, size, path[:-1], tree.root)
        assert not verify_inclusion(leaves[index], index, size, path[1:], tree.root)
    if len(path) > 1:
        assert not verify_inclusion(leaves[index], index, size, path[::-1], tree.root)


def turns(index: int, size: int) -> list[bool]:
    """Tell on which side each hash of the path joins, straight from PATH of RFC 9162 2.1.3.1."""
    if size == 1:
        return []
    k = rfc_split(size)
    return [*turns(index, k), False] if index < k else [*turns(index - k, size - k), True]


@given(st.integers(1, 300), st.data())
def test_another_place_or_size_fails_unless_it_is_the_same_path(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    tree = Tree(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = tree.path(index)
    for other in range(size):
        if other != index:
            assert not verify_inclusion(leaves[index], other, size, path, tree.root)
    # A root does not hold its size: with a path of equal length *and* equal turns the same bytes prove the same
    # thing. That is why a certificate's tree size must equal its anchor's, and the anchor's size is hashed.
    for other_size in range(index + 1, size + 40):
        same = turns(index, other_size) == turns(index, size)
        assert verify_inclusion(leaves[index], index, other_size, path, tree.root) == same


def test_nodes_and_leaves_are_never_mistaken_for_one_another() -> None:
    leaves = some_leaves(4)
    tree = Tree(leaves)
    inner = tree.levels[1][0]
    assert leaf_hash(leaves[0] + leaves[1]) != inner
    assert not verify_inclusion(leaves[0], 0, 4, [leaves[1] + tree.levels[1][1]], tree.root)
    # 64 bytes as one "hash" would hash to the same bytes as two nodes: lengths are checked.
    assert not verify_inclusion(
        leaves[0][:31], 0, 4, [leaves[0][31:] + leaves[1], tree.levels[1][1]], tree.root
    )


@given(st.integers(2, 200), st.data())
def test_a_changed_consistency_proof_is_found(size: int, data: st.DataObject) -> None:
    leaves = some_leaves(size)
    first = data.draw(st.integers(1, size - 1))
    bit = data.draw(st.integers(0, 255))
    old, new = root(leaves[:first]), root(leaves)
    proof = consistency_proof(leaves, first)
    assert verify_consistency(first, size, old, new, proof)
    place = data.draw(st.integers(0, len(proof) - 1))
    changed = [*proof[:place], flip(proof[place], bit), *proof[place + 1 :]]
    assert not verify_consistency(first, size, old, new, changed)
    assert not verify_consistency(first, size, flip(old, bit), new, proof)
    assert not verify_consistency(first, size, old, flip(new, bit), proof)
    assert not verify_consistency(first, size, old, new, proof[:-1])
    assert not verify_consistency(first, size, old, new, [*proof, new])
    assert not verify_consistency(first, size, old, new, [])
    assert not verify_consistency(size, first, new, old, proof)
