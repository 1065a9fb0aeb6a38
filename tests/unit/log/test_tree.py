"""The tree in tiles against RFC 6962 as it is written down there, and against known answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.errors import AuditFailure
from recvault.domain.log_tree import (
    EMPTY_ROOT,
    Place,
    check_consistency,
    check_inclusion,
    consistency,
    edge,
    grow,
    inclusion,
    leaf_hashes,
    root_at_edge,
    root_of,
)

# --- RFC 6962, 2.1, word by word


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = below(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = below(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_growth(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = below(len(leaves))
    if m <= k:
        return [*naive_growth(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_growth(m - k, leaves[k:], False), naive_root(leaves[:k])]


def below(n: int) -> int:
    """The largest power of two below n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


# --- ours


class Tree:
    """Grown as a sequencer grows it, from tiles that are kept."""

    def __init__(self) -> None:
        self.tiles: dict[Place, bytes] = {}
        self.size, self.root = 0, EMPTY_ROOT

    def add(self, leaves: Iterable[bytes]) -> None:
        growth = grow(self.size, {place: self.tiles[place] for place in edge(self.size)}, leaf_hashes(leaves))
        self.tiles |= growth.tiles
        self.size, self.root = growth.size, growth.root

    def tile(self, place: Place) -> bytes:
        return self.tiles.get(place, b"")


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4) for number in range(count)]


BATCHES = st.lists(st.one_of(st.integers(1, 9), st.integers(250, 260), st.integers(500, 520)), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(BATCHES, st.data())
def test_a_tree_grown_in_batches_is_the_tree_of_the_standard(batches: list[int], data: st.DataObject) -> None:
    leaves, tree, roots = numbered(sum(batches)), Tree(), {0: EMPTY_ROOT}
    for batch in batches:
        tree.add(leaves[tree.size : tree.size + batch])
        roots[tree.size] = tree.root
        assert tree.root == naive_root(leaves[: tree.size]) == root_at_edge(tree.size, tree.tiles)
    size = data.draw(st.integers(1, tree.size))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    root = root_of(size, tree.tile)
    assert root == naive_root(leaves[:size])
    path = inclusion(index, size, tree.tile)
    assert path == naive_path(index, leaves[:size])
    check_inclusion(leaf_hashes([leaves[index]])[0], index=index, size=size, proof=path, root=root)
    growth = consistency(old, size, tree.tile)
    assert growth == (naive_growth(old, leaves[:size]) if old else [])
    check_consistency(old, root_of(old, tree.tile), size, root, growth)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 600), st.data())
def test_a_proof_that_is_altered_proves_nothing(size: int, data: st.DataObject) -> None:
    leaves, tree = numbered(size), Tree()
    tree.add(leaves)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    leaf, path, growth = (
        leaf_hashes([leaves[index]])[0],
        inclusion(index, size, tree.tile),
        consistency(old, size, tree.tile),
    )
    other = data.draw(st.binary(min_size=32, max_size=32))
    at = data.draw(st.integers(0, len(path) - 1))
    for bad in (path[:-1], [*path, other], [*path[:at], other, *path[at + 1 :]]):
        with pytest.raises(AuditFailure):
            check_inclusion(leaf, index=index, size=size, proof=bad, root=tree.root)
    with pytest.raises(AuditFailure):
        check_inclusion(leaf, index=(index + 1) % size, size=size, proof=path, root=tree.root)
    before = root_of(old, tree.tile)
    at = data.draw(st.integers(0, len(growth) - 1))
    for bad in (growth[:-1], [*growth, other], [*growth[:at], other, *growth[at + 1 :]]):
        with pytest.raises(AuditFailure):
            check_consistency(old, before, size, tree.root, bad)
    with pytest.raises(AuditFailure):
        check_consistency(old, other, size, tree.root, growth)


def test_known_answers() -> None:
    """The eight leaves and roots that implementations of Certificate Transparency test with."""
    leaves = [
        bytes.fromhex(text)
        for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    roots = (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
    tree = Tree()
    for leaf, root in zip(leaves, roots, strict=True):
        tree.add([leaf])
        assert tree.root.hex() == root
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_tree_of_three_levels_of_tiles() -> None:
    tree = Tree()
    tree.add(numbered(65_537))
    assert sorted({level for level, _ in tree.tiles}) == [0, 1, 2]
    assert edge(tree.size) == [(0, 256), (1, 1), (2, 0)][::2]
    for old in (1, 255, 256, 65_535, 65_536):
        check_consistency(old, root_of(old, tree.tile), tree.size, tree.root, consistency(old, tree.size, tree.tile))


def test_what_is_missing_or_contradicts_is_said() -> None:
    tree = Tree()
    tree.add(numbered(300))
    with pytest.raises(AuditFailure, match="tile 1 of level 0 of the audit tree holds 0 hashes instead of 44"):
        root_at_edge(300, {(1, 0): tree.tiles[(1, 0)]})
    with pytest.raises(AuditFailure, match="missing or too short"):
        root_of(301, tree.tile)
    with pytest.raises(AuditFailure, match="went back: from 300 leaves to 5"):
        check_consistency(300, tree.root, 5, tree.root, [])
    with pytest.raises(AuditFailure, match="forked: two trees of 300"):
        check_consistency(300, tree.root, 300, EMPTY_ROOT, [])
    with pytest.raises(AuditFailure, match="there is no leaf 300"):
        inclusion(300, 300, tree.tile)
