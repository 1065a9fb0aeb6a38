"""A stranger verifies a certificate with what docs/CERTIFICATE.md gives: the program printed there, and OpenSSL."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import CertificateInvalid
from recvault.interfaces.cli.evidence import public_pem, raw_public_key
from recvault.services.certificate_checks import verify_certificate
from tests.support.archives import World, make_world
from tests.support.certificates import certificate_of

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
    """One of three, certified to the end."""
    receipt = world.store("call-1")
    world.store("call-2"), world.store("call-3")
    world.later(days=190)
    world.archive.purge.run("worker-1")
    world.later(seconds=61)
    world.archive.purge.run("worker-1")
    with world.archive.database.read() as unit:
        return unit.destructions.get(receipt.id)


def content(file: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the leaf of a file about one communication."""
    proof = json.loads(file)
    return json.loads(base64.b64decode(proof["certificate"]["payload"])), json.loads(base64.b64decode(proof["leaf"]))


@pytest.mark.parametrize("stage", ["inaccessible", "complete"])
def test_the_example_verifies(script: Path, stage: str) -> None:
    body = verified(script, EXAMPLE / f"{stage}.json", EXAMPLE / "public-key.pem")
    assert body is not None and body["stage"] == stage and body["count"] == 5
    assert body["leaf"]["item"] in PAGE and body["leaf"]["shredded_at"] in PAGE
    public = raw_public_key((EXAMPLE / "public-key.pem").read_bytes())
    assert verify_certificate((EXAMPLE / f"{stage}.json").read_bytes(), public)["item"] == body["leaf"]["item"]


@pytest.mark.parametrize("stage", ["inaccessible", "complete"])
def test_what_earlier_versions_issued_verifies(script: Path, stage: str) -> None:
    file, key = EXAMPLE / "earlier" / f"{stage}.json", EXAMPLE / "earlier" / "public-key.pem"
    body = verified(script, file, key)
    assert body is not None and body["stage"] == stage and body["schema"] == "recvault/certificate/v1"
    assert verify_certificate(file.read_bytes(), raw_public_key(key.read_bytes())) == body


def test_the_example_belongs_together() -> None:
    first, second = ((EXAMPLE / f"{stage}.json").read_text("utf-8") for stage in ("inaccessible", "complete"))
    leaf = base64.b64decode(json.loads(first)["leaf"])
    assert content(second)[1]["leaf_inaccessible"] == hashlib.sha256(b"\0" + leaf).hexdigest()


def altered(file: str) -> Iterator[str]:
    """The file with another document, leaf, place or proof."""
    proof = json.loads(file)
    payload = base64.b64decode(proof["certificate"]["payload"]).replace(b'"2027-', b'"2026-', 1)
    certificate = proof["certificate"] | {"payload": base64.b64encode(payload).decode()}
    leaf = base64.b64decode(proof["leaf"]).replace(b'"2027-', b'"2026-', 1)
    yield json.dumps(proof | {"certificate": certificate})
    yield json.dumps(proof | {"leaf": base64.b64encode(leaf).decode()})
    yield json.dumps(proof | {"index": proof["index"] ^ 1})
    yield json.dumps(proof | {"proof": proof["proof"][:-1]})
    yield json.dumps(proof | {"proof": [*proof["proof"], proof["proof"][0]]})


def test_a_certificate_of_the_archive_verifies_and_an_altered_one_does_not(script: Path, tmp_path: Path) -> None:
    world = make_world()
    item = destroyed(world)
    key, file = tmp_path / "key.pem", tmp_path / "certificate.json"
    public = world.archive.certificates.public_key()
    key.write_bytes(public_pem(public))
    for stage in (Stage.INACCESSIBLE, Stage.COMPLETE):
        text = certificate_of(world.archive, item.communication_id, stage)
        file.write_text(text, encoding="utf-8")
        body = verified(script, file, key)
        assert body is not None and body["leaf"]["item"] == item.communication_id
        for wrong in altered(text):
            file.write_text(wrong, encoding="utf-8")
            assert verified(script, file, key) is None
            with pytest.raises(CertificateInvalid):
                verify_certificate(wrong.encode(), public)
    assert verified(script, EXAMPLE / "complete.json", key) is None  # another archive's key


@pytest.mark.parametrize("size", range(1, 12))
def test_the_program_follows_every_way_in_trees_of_every_shape(script: Path, tmp_path: Path, size: int) -> None:
    world = make_world()
    ids = sorted(world.store(f"call-{number}").id for number in range(size))
    world.later(days=190)
    world.archive.purge.run("worker-1")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.json"
    key.write_bytes(public_pem(world.archive.certificates.public_key()))
    for place in {0, size // 2, size - 1}:
        file.write_text(certificate_of(world.archive, ids[place]), encoding="utf-8")
        body = verified(script, file, key)
        assert body is not None and (body["leaf"]["item"], body["count"]) == (ids[place], size)


def test_every_field_is_explained() -> None:
    world = make_world()
    item = destroyed(world)
    for stage in (Stage.INACCESSIBLE, Stage.COMPLETE):
        body, leaf = content(certificate_of(world.archive, item.communication_id, stage))
        names = set(body) | set(body["claims"]) | set(leaf) | set(leaf.get("evidence", {}))
        names -= {"evidence", "claims", "note"}
        assert [name for name in sorted(names) if not re.search(rf"`[a-z_.]*\b{name}`", PAGE)] == []


def test_the_salted_digest_is_of_the_object() -> None:
    world = make_world()
    receipt = world.store("call-1")
    (version,) = world.archive.store.list_versions(f"{receipt.id}/")
    digest = hashlib.sha256(b"".join(world.archive.store.get(version.name, version.version_id))).digest()
    world.later(days=190)
    world.archive.purge.run("worker-1")
    evidence = content(certificate_of(world.archive, receipt.id))[1]["evidence"]
    salted = hashlib.sha256(bytes.fromhex(evidence["salt"]) + digest).hexdigest()
    assert evidence["streams"][0]["salted_sha256"] == salted
