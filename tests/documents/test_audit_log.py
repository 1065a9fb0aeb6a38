"""A stranger verifies an entry of the audit log with what docs/AUDIT-LOG.md gives: the program printed there, and OpenSSL."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recvault.domain.access import Role
from recvault.domain.purpose import Purpose
from recvault.services.log_proofs import LogProofs
from tests.support.archives import make_world

PAGE = (Path(__file__).parents[2] / "docs" / "AUDIT-LOG.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def test_the_printed_program_verifies_what_an_archive_proves(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    script, file = tmp_path / "verify.py", tmp_path / "proof.json"
    script.write_text(program, encoding="utf-8")
    world = make_world()
    with world.archive as archive:
        for number in range(3):
            receipt = world.store(f"call-{number}")
            archive.retrieval.open(world.actor(Role.TRAINER), receipt.id, Purpose.TRAINING)
        archive.audit.sequence()
        checkpoint = archive.checkpoints.publish()
        assert checkpoint is not None
        key = archive.checkpoints.key().text()
        proof = json.loads(LogProofs(database=archive.database).of_entry("7", checkpoint))

    def said(document: object, with_key: str = key) -> str | None:
        file.write_text(json.dumps(document), encoding="utf-8")
        run = subprocess.run(
            [sys.executable, "-I", script, file, with_key], capture_output=True, text=True, check=False, timeout=60
        )
        return None if run.returncode else run.stdout

    told = said(proof)
    assert told is not None
    assert json.loads(told) == {"index": 7, "size": checkpoint.size, "entry": proof["entry"]}
    for altered in (
        {"index": 8},
        {"entry": proof["entry"] | {"actor": "nobody"}},
        {"proof": proof["proof"][:-1]},
        {"checkpoint": proof["checkpoint"].replace(f"\n{checkpoint.size}\n", f"\n{checkpoint.size + 1}\n")},
    ):
        assert said(proof | altered) is None, altered
    assert said({name: value for name, value in proof.items() if name not in ("entry", "salt")}) is not None
    assert said(proof, key.replace("+", "x+", 1)) is None
