"""Sealing a stream in memory, against raw AES-256-GCM of the same library; and what its two SHA-256 have to do with it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from cryptography.cobblestone import Cobblestone256Encryptor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.results import Goal, Result, compare
from recvault.bootstrap import HASH_THREADS
from recvault.sealing.container import Sealer

BLOCK = 1024 * 1024
BLOCKS = 96
GOAL = Goal(least=0.6)


def measure(*, quick: bool) -> Iterator[Result]:
    """Whole sealing as the archive does it, then its parts."""
    data, key, turns = os.urandom(BLOCK), os.urandom(32), 7 if quick else 25
    aead, nonce = AESGCM(key), os.urandom(12)
    with ThreadPoolExecutor(HASH_THREADS) as helper:

        def sealing() -> None:
            sealer = Sealer(key=key, context=b"bench", helper=helper)
            for _ in range(BLOCKS):
                sealer.update(data)
            sealer.finish()

        def bare_sealing() -> None:
            cipher = Cobblestone256Encryptor(key, b"bench")
            for _ in range(BLOCKS):
                cipher.update(data)
            cipher.finalize()

        def raw() -> None:
            for _ in range(BLOCKS):
                aead.encrypt(nonce, data, None)

        def raw_with_digests() -> None:
            plain, sealed = hashlib.sha256(), hashlib.sha256()
            for _ in range(BLOCKS):
                plain.update(data)
                sealed.update(aead.encrypt(nonce, data, None))

        def row(
            name: str, ours: Callable[[], None], reference: str, bare: Callable[[], None], goal: Goal | None
        ) -> Result:
            return compare(
                name,
                unit="MB/s",
                ours=lambda: _rate(ours),
                reference=reference,
                bare=lambda: _rate(bare),
                turns=turns,
                seconds=5 if quick else 60,
                goal=goal,
            )

        yield row("sealing a stream (with both SHA-256)", sealing, "raw AES-256-GCM", raw, GOAL)
        yield row("sealing without digests", bare_sealing, "raw AES-256-GCM", raw, GOAL)
        yield row("sealing a stream", sealing, "AES-256-GCM + the same SHA-256", raw_with_digests, None)


def _rate(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return BLOCKS * BLOCK / 1e6 / (time.perf_counter() - started)
