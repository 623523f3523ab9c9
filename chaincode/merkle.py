"""Merkle trees over SHA-256 as RFC 9162 section 2.1 (and RFC 6962 before it) defines them.

A tree is built level by level; a last node without a neighbour is promoted unchanged. That is the RFC's tree, by
induction over its n leaves. One leaf is its own root in both. For n > 1 the RFC takes k = 2**h, the largest power of two
below n, and hashes the roots of the first k and of the other n - k leaves. Level by level, up to height h, no pair
reaches over leaf k, since k is a multiple of every run paired there: the two parts are built as if they stood alone. At
height h the first k leaves have become one node, the RFC's, as perfect trees are the same in both; the others, at most k,
have become one node too, the RFC's by induction, promoted from where it was alone. The next level pairs these two.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, TypeVar

from chaincode.errors import ContractError

HASH_SIZE: Final = 32
#: Leaves in one tile: a power of two, so that tile roots are nodes of the whole tree.
TILE: Final = 256
_EMPTY_ROOT: Final = sha256(b"").digest()

T = TypeVar("T")


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data), RFC 9162 2.1.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right), RFC 9162 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Return the level over `level`, a last odd node promoted."""
    digest = sha256
    pairs = iter(level)
    nodes = [digest(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
    if len(level) & 1:
        nodes.append(level[-1])
    return nodes


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; without leaves SHA-256 of nothing."""
    if not leaves:
        return _EMPTY_ROOT
    level = leaves
    while len(level) > 1:
        level = _above(level)
    return level[0]


class Tree:
    """Hold all levels over some leaf hashes: `levels[0]` the leaves, `levels[-1]` the root alone."""

    __slots__ = ("levels", "root", "size")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        level = list(leaves)
        self.size: int = len(level)
        self.levels: list[list[bytes]] = [level]
        while len(level) > 1:
            level = _above(level)
            self.levels.append(level)
        self.root: bytes = level[0] if level else _EMPTY_ROOT

    def path(self, index: int) -> list[bytes]:
        """Return the inclusion path of leaf `index`, from the leaf upwards (RFC 9162 2.1.3.1)."""
        return path_in(self.levels, index)


def path_in(levels: Sequence[Sequence[T]], index: int) -> list[T]:
    """Return the path of `index` from a tree's levels, whatever form its nodes have there (bytes or hex)."""
    if not 0 <= index < len(levels[0]):
        raise ContractError("bounds", f"leaf {index} lies outside a tree of {len(levels[0])}")
    path: list[T] = []
    for level in levels[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index >>= 1
    return path


def path_length(index: int, size: int) -> int:
    """Return how many hashes the inclusion path of leaf `index` in a tree of `size` leaves has."""
    if not 0 <= index < size:
        raise ContractError("bounds", f"leaf {index} lies outside a tree of {size}")
    # Below the height where the ways to this leaf and to the last leaf part every node has a neighbour; above it
    # the way runs along the right edge, where only the set bits of the index have one (on their left).
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count()


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that `path` leads to from leaf hash `leaf` (RFC 9162 2.1.3.2).

    Raise ContractError: bounds for an index outside the tree, malformed for a path of another length than the RFC's
    or a hash that is not 32 bytes.
    """
    if len(path) != path_length(index, size):
        raise ContractError("malformed", "the path has another length than its index and tree size require")
    if len(leaf) != HASH_SIZE or any(len(node) != HASH_SIZE for node in path):
        raise ContractError("malformed", f"a hash of a proof has {HASH_SIZE} bytes")
    fn, sn, r = index, size - 1, leaf
    for node in path:
        if fn & 1 or fn == sn:
            r = node_hash(node, r)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            r = node_hash(r, node)
        fn >>= 1
        sn >>= 1
    return r


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether leaf hash `leaf` stands at `index` of the tree with `size` leaves and `root` (RFC 9162 2.1.3.2)."""
    try:
        return root_from_path(leaf, index, size, path) == root
    except ContractError:
        return False


def tile_roots(leaves: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the runs of 256 leaf hashes, the last run perhaps shorter."""
    return [root(leaves[start : start + TILE]) for start in range(0, len(leaves), TILE)]


def path_through_tile(
    tile_leaves: Sequence[bytes], tile_roots: Sequence[bytes], index: int, size: int
) -> list[bytes]:
    """Return `Tree.path(index)` from the leaves of the one tile that holds `index` and the roots of all tiles.

    Raise ContractError (bounds) where the tile, the roots, the index and the size do not belong together.
    """
    if not 0 <= index < size:
        raise ContractError("bounds", f"leaf {index} lies outside a tree of {size}")
    tile = index // TILE
    if len(tile_roots) != -(-size // TILE) or len(tile_leaves) != min(TILE, size - tile * TILE):
        raise ContractError("bounds", f"tile {tile} or the tile roots do not fit a tree of {size}")
    return Tree(tile_leaves).path(index % TILE) + Tree(tile_roots).path(tile)


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the first `first` leaf hashes are the beginning of `leaves` (RFC 9162 2.1.4.1).

    `first` is 1 to the number of leaves, else ContractError (bounds); equal sizes need no proof: [].
    """
    if not 1 <= first <= len(leaves):
        raise ContractError("bounds", f"{first} leaves are no beginning of {len(leaves)}")
    proof: list[bytes] = []
    start, end, whole = 0, len(leaves), True
    while first != end - start:
        split = 1 << (end - start - 1).bit_length() - 1
        if first <= split:
            proof.append(root(leaves[start + split : end]))
            end = start + split
        else:
            proof.append(root(leaves[start : start + split]))
            start += split
            first -= split
            whole = False
    if not whole:
        proof.append(root(leaves[start:end]))
    proof.reverse()
    return proof


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether the tree of `first` leaves is the beginning of that of `second` (RFC 9162 2.1.4.2)."""
    if not 1 <= first <= second or any(len(node) != HASH_SIZE for node in proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    nodes = list(proof) if first & (first - 1) else [first_root, *proof]
    if not proof:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = nodes[0]
    for node in nodes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(node, fr), node_hash(node, sr)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            sr = node_hash(sr, node)
        fn >>= 1
        sn >>= 1
    return sn == 0 and fr == first_root and sr == second_root
