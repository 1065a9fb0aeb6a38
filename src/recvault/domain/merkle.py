"""Merkle trees as in RFC 9162 (Certificate Transparency 2.0), 2.1: SHA-256, a byte before what is hashed tells leaf from node.

Pure computation over digests. What a leaf says, and who signs the root, is left to whoever grows the tree. Verifying raises
CertificateInvalid; an empty tree is refused, because nothing is proven by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from recvault.domain.errors import CertificateInvalid

DIGEST = 32
"""Bytes of a hash."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node from those of its two children (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over the leaves' hashes, in their order. ValueError when there are none."""
    if not leaves:
        raise ValueError("a tree needs a leaf")
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the path from leaf ``index`` to the root, from below (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < len(leaves):
        raise ValueError("there is no such leaf")
    level, proof = list(leaves), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):  # the last of an odd level rises as it is
            proof.append(level[sibling])
        level, index = _above(level), index // 2
    return proof


def proven_root(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf's hash and its proof lead to in a tree of ``size`` leaves (RFC 9162, 2.1.3.2).

    CertificateInvalid when the proof does not fit the tree's shape.
    """
    if not 0 <= index < size:
        raise CertificateInvalid("the proof names a place outside of the tree; take the file again from its issuer")
    path, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise CertificateInvalid("the proof is longer than the tree is high; take the file again from its issuer")
        if path & 1 or path == last:
            found = node_hash(sibling, found)
            while not path & 1 and path:
                path, last = path >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        path, last = path >> 1, last >> 1
    if last:
        raise CertificateInvalid("the proof ends below the root; take the file again from its issuer")
    return found


def _above(level: Sequence[bytes]) -> list[bytes]:
    paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*paired, level[-1]] if len(level) % 2 else paired
