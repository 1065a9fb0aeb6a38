"""Thousands of keys: a century of days must not slow down the wrapping of one data key.

The bounds are a tenth of what an idle small machine does, so that a busy one does not fail.
"""

from __future__ import annotations

import time
from pathlib import Path

from recvault.adapters.keyring import FileKeyring
from recvault.adapters.keyring.records import KeyTable
from recvault.adapters.keyring.sealed import seal_table
from recvault.adapters.keyring.uses import new_record
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import START, SystemClock, SystemEntropy
from recvault.domain.ports.keyring import KeyKind

KEYS = 5_000
WRAPS = 5_000


def test_five_thousand_keys(tmp_path: Path) -> None:
    entropy = SystemEntropy()
    root = RootKeyFile.create(tmp_path / "root", entropy)
    ids = [f"day/{number:05d}/1" for number in range(KEYS)]
    keys = {key_id: new_record(key_id, KeyKind.WRAP, now=START, entropy=entropy) for key_id in ids}
    sealed = seal_table(KeyTable(serial=KEYS, keys=keys), root=root, entropy=entropy)
    for place in ("a", "b"):
        (tmp_path / place).mkdir(mode=0o700)
        (tmp_path / place / "keyring.sealed").write_bytes(sealed)
        (tmp_path / place / "keyring.sealed").chmod(0o600)
    keyring = FileKeyring(
        directory=tmp_path / "a", root=root, clock=SystemClock(), entropy=entropy, replicas={"b": tmp_path / "b"}
    )

    began = time.perf_counter()
    wrapped = [keyring.wrap(key_id, bytes(32), b"") for key_id in ids[:WRAPS]]
    for key_id, item in zip(ids, wrapped, strict=False):
        keyring.unwrap(key_id, item, b"")
    assert 2 * WRAPS / (time.perf_counter() - began) > 2_000, "wraps and unwraps a second"

    began = time.perf_counter()
    for number in range(5):
        keyring.ensure(f"frozen/{number}/1", KeyKind.WRAP)
    keyring.destroy(ids[:100])
    assert (time.perf_counter() - began) / 6 < 2.0, "seconds for one change in two places"
    assert len(keyring.list()) == KEYS + 5
