"""Merkle trees against RFC 9162: known roots, every proof of every size, and what must be refused."""

from __future__ import annotations

import hashlib

import pytest

from recvault.domain.errors import CertificateInvalid
from recvault.domain.merkle import inclusion_proof, leaf_hash, node_hash, proven_root, tree_root

# The leaves and roots that implementations of Certificate Transparency test each other with (RFC 6962 test data, sizes 1-8).
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(by_definition(hashes[:split]), by_definition(hashes[split:]))


def grown(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(size)]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_everybody_knows(size: int) -> None:
    assert tree_root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size - 1]


def test_leaf_and_node_cannot_be_taken_for_each_other() -> None:
    left, right = grown(2)
    assert leaf_hash(left + right) != node_hash(left, right)
    assert leaf_hash(b"x") == hashlib.sha256(b"\x00x").digest()


@pytest.mark.parametrize("size", [*range(1, 34), 255, 256, 257, 1000])
def test_every_leaf_is_proven(size: int) -> None:
    hashes = grown(size)
    root = tree_root(hashes)
    assert root == by_definition(hashes)
    for index in range(size):
        proof = inclusion_proof(hashes, index)
        assert len(proof) <= max(size - 1, 1).bit_length()
        assert proven_root(hashes[index], index=index, size=size, proof=proof) == root


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11])
def test_nothing_else_is_proven(size: int) -> None:
    hashes = grown(size)
    root, stranger = tree_root(hashes), leaf_hash(b"stranger")
    for index in range(size):
        proof = inclusion_proof(hashes, index)
        assert proven_root(stranger, index=index, size=size, proof=proof) != root
        for other in range(size):
            if other != index:
                assert led_to(hashes[index], other, size, proof) != root
        for at in range(len(proof)):
            assert led_to(hashes[index], index, size, [*proof[:at], stranger, *proof[at + 1 :]]) != root
        assert led_to(hashes[index], index, size, [*proof, stranger]) is None
        if proof:
            assert led_to(hashes[index], index, size, proof[:-1]) is None


def led_to(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    try:
        return proven_root(leaf, index=index, size=size, proof=proof)
    except CertificateInvalid:
        return None


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_place_outside_of_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(CertificateInvalid, match="outside"):
        proven_root(leaf_hash(b"x"), index=index, size=size, proof=[])
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_proof(grown(size), index)


def test_an_empty_tree_has_no_root() -> None:
    with pytest.raises(ValueError, match="needs a leaf"):
        tree_root([])
