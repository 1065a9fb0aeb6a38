"""A stranger verifies a certificate with what docs/CERTIFICATE.md gives: the program printed there, and OpenSSL."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recvault.domain.destruction import Destruction
from recvault.interfaces.cli.evidence import public_pem
from tests.support.archives import World, make_world

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "CERTIFICATE.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "certificate"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "verify.py"
    path.write_text(program, encoding="utf-8")
    return path


def verified(script: Path, certificate: Path, key: Path) -> dict[str, Any] | None:
    """What the program prints of a genuine certificate, None when it ends with an error."""
    run = subprocess.run(
        [sys.executable, "-I", script, certificate, key], capture_output=True, text=True, check=False, timeout=60
    )
    if run.returncode:
        return None
    body: dict[str, Any] = json.loads(run.stdout[run.stdout.index("{") :])
    return body


def destroyed(world: World) -> Destruction:
    receipt = world.store("call-1")
    world.later(days=190)
    world.archive.purge.run("worker-1")
    world.later(seconds=61)
    world.archive.purge.run("worker-1")
    with world.archive.database.read() as unit:
        return unit.destructions.get(receipt.id)


@pytest.mark.parametrize("stage", ["inaccessible", "complete"])
def test_the_example_verifies(script: Path, stage: str) -> None:
    body = verified(script, EXAMPLE / f"{stage}.json", EXAMPLE / "public-key.pem")
    assert body is not None and body["stage"] == stage
    assert body["item"] in PAGE and body["shredded_at"] in PAGE


def test_the_example_belongs_together() -> None:
    complete = json.loads(base64.b64decode(json.loads((EXAMPLE / "complete.json").read_bytes())["payload"]))
    first = (EXAMPLE / "inaccessible.json").read_bytes()
    assert complete["inaccessible_certificate_sha256"] == hashlib.sha256(first).hexdigest()


def test_a_certificate_of_the_archive_verifies_and_an_altered_one_does_not(script: Path, tmp_path: Path) -> None:
    world = make_world()
    item = destroyed(world)
    key, file = tmp_path / "key.pem", tmp_path / "certificate.json"
    key.write_bytes(public_pem(world.archive.certificates.public_key()))
    for text in (item.certificate_inaccessible, item.certificate_complete):
        assert text is not None
        file.write_text(text, encoding="utf-8")
        body = verified(script, file, key)
        assert body is not None and body["item"] == item.communication_id
        envelope = json.loads(text)
        payload = base64.b64decode(envelope["payload"]).replace(b'"2027-', b'"2026-', 1)
        file.write_text(json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}), encoding="utf-8")
        assert verified(script, file, key) is None
    assert verified(script, EXAMPLE / "complete.json", key) is None  # another archive's key


def test_every_field_is_explained() -> None:
    item = destroyed(make_world())
    for text in (item.certificate_inaccessible or "", item.certificate_complete or ""):
        body = json.loads(base64.b64decode(json.loads(text)["payload"]))
        names = set(body) | set(body["claims"]) | set(body.get("evidence", {}))
        names -= {"evidence", "claims", "note"}
        assert [name for name in sorted(names) if not re.search(rf"`[a-z_.]*\b{name}`", PAGE)] == []


def test_the_salted_digest_is_of_the_object() -> None:
    world = make_world()
    receipt = world.store("call-1")
    (version,) = world.archive.store.list_versions(f"{receipt.id}/")
    digest = hashlib.sha256(b"".join(world.archive.store.get(version.name, version.version_id))).digest()
    world.later(days=190)
    world.archive.purge.run("worker-1")
    with world.archive.database.read() as unit:
        text = unit.destructions.get(receipt.id).certificate_inaccessible or ""
    evidence = json.loads(base64.b64decode(json.loads(text)["payload"]))["evidence"]
    salted = hashlib.sha256(bytes.fromhex(evidence["salt"]) + digest).hexdigest()
    assert evidence["streams"][0]["salted_sha256"] == salted
