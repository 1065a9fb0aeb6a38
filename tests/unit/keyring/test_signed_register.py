"""The register of places, signed apart from its seal: a stranger verifies it with the public key of certificates."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain.errors import CertificateInvalid
from recvault.domain.ports.keyring import KeyKind, Loss
from recvault.services.certificates import SIGNING_KEY
from recvault.services.places_register import signed_register, verify_register


@pytest.fixture
def keyring(tmp_path: Path) -> FileKeyring:
    clock, entropy = FixedClock(), SystemEntropy()
    made = FileKeyring(
        directory=tmp_path / "own",
        replicas={"second": tmp_path / "second"},
        root=RootKeyFile.create(tmp_path / "root" / "root.key", entropy=entropy),
        clock=clock,
        entropy=entropy,
        create=True,
    )
    made.ensure(SIGNING_KEY, KeyKind.SIGN)
    return made


def test_it_names_the_places_and_what_was_lost(keyring: FileKeyring, tmp_path: Path) -> None:
    clock, public = FixedClock(), keyring.public(SIGNING_KEY)
    before = verify_register(signed_register(keyring, clock), public)
    assert before["places"] == [{"in_step": True, "place": "primary"}, {"in_step": True, "place": "second"}]
    (tmp_path / "second").rename(tmp_path / "gone")
    keyring.lose_place("second", Loss.STOLEN)
    after = verify_register(signed_register(keyring, clock), public)
    assert [one["place"] for one in _list(after["places"])] == ["primary"]
    assert [(one["place"], one["how"], one["found_at"]) for one in _list(after["lost"])] == [("second", "stolen", None)]
    assert int(str(after["serial"])) > int(str(before["serial"]))


def test_an_altered_one_another_key_and_another_document_are_refused(keyring: FileKeyring) -> None:
    file, public = signed_register(keyring, FixedClock()), keyring.public(SIGNING_KEY)
    envelope = json.loads(file)
    payload = base64.b64decode(envelope["payload"]).replace(b"second", b"fourth")
    altered = json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}).encode()
    for bad, key in ((altered, public), (file, bytes(32)), (b"{}", public), (b"no json", public)):
        with pytest.raises(CertificateInvalid):
            verify_register(bad, key)


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
