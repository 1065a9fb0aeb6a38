"""The audit log's Merkle tree (RFC 6962, 2.1) in tiles, as C2SP tlog-tiles lays them out.

Pure computation. A tile of level L holds up to 256 hashes, each of a complete subtree of 256**L leaves, from the left; only
the last tile of a level is ever unfinished. So every complete subtree can be had from one tile, and a proof from a few,
without reading the leaves. A level that is not begun has no tile. Who keeps tiles, and what a leaf says, is left to others.
Verifying raises AuditFailure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from recvault.domain.errors import AuditFailure
from recvault.domain.merkle import DIGEST, node_hash

WIDTH = 256
"""Hashes of a finished tile."""

BITS = 8
"""Levels of the tree in one level of tiles."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962, 2.1)."""

Place = tuple[int, int]
"""A tile's level and its position in the level, from 0."""

ReadTile = Callable[[Place], bytes]
"""Gives a tile's hashes one after the other, 32 bytes each; empty when there is no such tile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """What became of a tree: its size and root, and the tiles that are new or longer than before."""

    size: int
    root: bytes
    tiles: Mapping[Place, bytes]


def edge(size: int) -> list[Place]:
    """The unfinished tiles of a tree of ``size`` leaves, from the level of the leaves up."""
    places = []
    for level in range(levels(size)):
        entries = size >> (BITS * level)
        if entries % WIDTH:
            places.append((level, entries // WIDTH))
    return places


def levels(size: int) -> int:
    """How many levels of tiles a tree of ``size`` leaves has."""
    count = 0
    while size >> (BITS * count):
        count += 1
    return count


def grow(size: int, tiles: Mapping[Place, bytes], leaves: Sequence[bytes]) -> Growth:
    """Adds leaf hashes to a tree of ``size`` leaves, of which ``tiles`` holds those at the :func:`edge`."""
    open_tiles = _opened(size, tiles)
    changed: dict[Place, bytes] = {}
    level, risen = 0, list(leaves)
    while risen:
        position, held = (size >> (BITS * level)) // WIDTH, open_tiles.get(level, b"")
        whole = held + b"".join(risen)
        risen = []
        for start in range(0, len(whole), WIDTH * DIGEST):
            tile = whole[start : start + WIDTH * DIGEST]
            changed[(level, position)] = tile
            if len(tile) == WIDTH * DIGEST:
                risen.append(subtree_root(tile))
                position, tile = position + 1, b""
            open_tiles[level] = tile
        level += 1
    return Growth(size=size + len(leaves), root=_root_of_edge(open_tiles), tiles=changed)


def root_at_edge(size: int, tiles: Mapping[Place, bytes]) -> bytes:
    """The root of a tree from the tiles at its edge; AuditFailure when one of them is missing or too short."""
    return _root_of_edge(_opened(size, tiles)) if size else EMPTY_ROOT


def subtree_root(hashes: bytes) -> bytes:
    """The root over a power of two of hashes that stand one after the other."""
    sha256, pair = hashlib.sha256, 2 * DIGEST
    while len(hashes) > DIGEST:
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)])
    return hashes


def root_of(size: int, read: ReadTile) -> bytes:
    """The root of the first ``size`` leaves of a tree that has at least as many."""
    return _span(0, size, read) if size else EMPTY_ROOT


def inclusion(index: int, size: int, read: ReadTile) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962, 2.1.1: the hashes beside the way from a leaf to the root, from below."""
    if not 0 <= index < size:
        raise AuditFailure(f"there is no leaf {index} in a tree of {size}; name one that is in it")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_span(middle, high, read))
            high = middle
        else:
            proof.append(_span(low, middle, read))
            low = middle
    return proof[::-1]


def consistency(old: int, size: int, read: ReadTile) -> list[bytes]:
    """PROOF(old, D[size]) of RFC 6962, 2.1.2; empty for an empty old tree and for an equal one."""
    if not 0 <= old <= size:
        raise AuditFailure(f"a tree of {size} leaves does not follow one of {old}; name a smaller one")
    if old in (0, size):
        return []
    proof: list[bytes] = []
    low, high, whole = 0, size, True
    while old < high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_span(middle, high, read))
            high = middle
        else:
            proof.append(_span(low, middle, read))
            low, whole = middle, False
    if not whole:
        proof.append(_span(low, high, read))
    return proof[::-1]


def check_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """AuditFailure unless the leaf's hash stands at ``index`` under the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise AuditFailure(f"the proof names leaf {index} of a tree of {size}; take it again from its issuer")
    at, last, found = index, size - 1, leaf
    for other in proof:
        if not last:
            raise AuditFailure("the proof of inclusion is too long; take it again from its issuer")
        if at & 1 or at == last:
            found = node_hash(other, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, other)
        at, last = at >> 1, last >> 1
    if last or found != root:
        raise AuditFailure(f"leaf {index} is not in the tree that was signed: entry or proof was altered")


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """AuditFailure unless the tree of ``size`` begins with the old one (RFC 9162, 2.1.4.2)."""
    if old > size:
        raise AuditFailure(f"the log went back: from {old} leaves to {size}")
    if old in (0, size):
        if proof or (old == size and old_root != root) or (old == 0 and old_root != EMPTY_ROOT):
            raise AuditFailure(f"the log forked: two trees of {size} leaves differ, or an empty one has a proof")
        return
    nodes = list(proof)
    if old & (old - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        raise AuditFailure("the proof of consistency is empty; take it again from its issuer")
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = nodes[0]
    for other in nodes[1:]:
        if not last:
            raise AuditFailure("the proof of consistency is too long; take it again from its issuer")
        if at & 1 or at == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, other)
        at, last = at >> 1, last >> 1
    if last or first != old_root or second != root:
        raise AuditFailure(f"the log forked: its tree of {size} leaves does not begin with that of {old}")


def leaf_hashes(data: Iterable[bytes]) -> list[bytes]:
    """The hashes of leaves from what they say."""
    return [hashlib.sha256(b"\x00" + one).digest() for one in data]


def _opened(size: int, tiles: Mapping[Place, bytes]) -> dict[int, bytes]:
    """The unfinished tile of each level, as long as the size wants it."""
    found: dict[int, bytes] = dict.fromkeys(range(levels(size)), b"")
    for level, position in edge(size):
        wanted = (size >> (BITS * level)) % WIDTH * DIGEST
        held = tiles.get((level, position), b"")
        if len(held) != wanted:
            raise AuditFailure(
                f"tile {position} of level {level} of the audit tree holds {len(held) // DIGEST} hashes instead of "
                f"{wanted // DIGEST}: the database was altered; compare it with a backup"
            )
        found[level] = held
    return found


def _root_of_edge(open_tiles: Mapping[int, bytes]) -> bytes:
    """Folds the complete subtrees at the edge, the smallest first."""
    found: bytes | None = None
    for _, held in sorted(open_tiles.items()):
        count = end = len(held) // DIGEST
        while count:
            low = count & -count
            part = subtree_root(held[(end - low) * DIGEST : end * DIGEST])
            found = part if found is None else node_hash(part, found)
            count, end = count - low, end - low
    return EMPTY_ROOT if found is None else found


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _span(low: int, high: int, read: ReadTile) -> bytes:
    """The root over leaves ``low`` to ``high``, where ``low`` is a multiple of the smallest power of two not below the
    span."""
    count = high - low
    if count & (count - 1) == 0:
        return _subtree(count.bit_length() - 1, low, read)
    middle = low + _split(count)
    return node_hash(_span(low, middle, read), _span(middle, high, read))


def _subtree(height: int, low: int, read: ReadTile) -> bytes:
    """The root of the complete subtree of 2**height leaves that begins at leaf ``low``."""
    level, width = height // BITS, 1 << height % BITS
    first = low >> (BITS * level)
    place = (level, first // WIDTH)
    start = first % WIDTH * DIGEST
    hashes = read(place)[start : start + width * DIGEST]
    if len(hashes) != width * DIGEST:
        raise AuditFailure(
            f"tile {place[1]} of level {level} of the audit tree is missing or too short: the database was altered; "
            "compare it with a backup"
        )
    return subtree_root(hashes)
