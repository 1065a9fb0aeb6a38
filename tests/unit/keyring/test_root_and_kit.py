"""The root key's file and the recovery kit."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring, kit_of, write_recovery_kit
from recvault.adapters.root_keyfile import PREFIX, RootKeyFile
from recvault.adapters.system import CountingEntropy, FixedClock, SystemEntropy
from recvault.domain.errors import KeyringError
from recvault.domain.ports.keyring import KeyKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "recvault" / "root.key"


@pytest.fixture
def root(path: Path) -> RootKeyFile:
    return RootKeyFile.create(path, CountingEntropy())


def test_a_new_root_key_is_private_and_reads_back(path: Path, root: RootKeyFile) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = RootKeyFile(path)
    assert again.id == root.id == hashlib.sha256(CountingEntropy().bytes(32)).hexdigest()[:16]
    assert again.derive(b"salt", b"info") == root.derive(b"salt", b"info")
    assert path.read_text() == f"{PREFIX} {base64.b64encode(root.secret()).decode()}\n"


def test_salt_and_use_part_what_is_derived(root: RootKeyFile) -> None:
    derived = {root.derive(salt, info) for salt in (b"1", b"2") for info in (b"1", b"2")}
    assert len(derived) == 4
    assert {len(key) for key in derived} == {32}


def test_an_existing_root_key_is_never_overwritten(path: Path, root: RootKeyFile) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyringError, match="not overwritten"):
        RootKeyFile.create(path, SystemEntropy())
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610])
def test_a_root_key_open_to_others_is_refused(path: Path, root: RootKeyFile, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyringError, match="chmod 600"):
        RootKeyFile(path)
    path.chmod(0o400)
    assert RootKeyFile(path).id == root.id


def test_a_root_key_inside_the_data_is_refused(tmp_path: Path, path: Path, root: RootKeyFile) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(KeyringError, match="move it elsewhere"):
        RootKeyFile.create(data / "deep" / "root.key", SystemEntropy(), outside=[data])
    assert list(data.iterdir()) == []
    (tmp_path / "link").symlink_to(data)
    (data / "root.key").write_bytes(path.read_bytes())
    (data / "root.key").chmod(0o600)
    for inside in (data / "root.key", tmp_path / "link" / "root.key", data / "x" / ".." / "root.key"):
        with pytest.raises(KeyringError, match="move it elsewhere"):
            RootKeyFile(inside, outside=[tmp_path / "other", data])
    assert RootKeyFile(path, outside=[data]).id == root.id


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"recvault-root-v1", b"recvault-root-v1 AAAA", b"recvault-root-v2 " + b"A" * 43 + b"=",
     b"recvault-root-v1 " + b"A" * 43 + b"= more", b"recvault-root-v1 " + b"*" * 44],
)  # fmt: skip
def test_what_is_no_root_key_is_refused(path: Path, root: RootKeyFile, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyringError, match="no root key file"):
        RootKeyFile(path)


def test_a_missing_root_key_says_what_to_do(path: Path) -> None:
    with pytest.raises(KeyringError, match="recovery kit"):
        RootKeyFile(path)


def keyring(base: Path, root: RootKeyFile, *, create: bool = True) -> FileKeyring:
    return FileKeyring(directory=base / "keys", root=root, clock=FixedClock(), entropy=SystemEntropy(), create=create)


def test_the_kit_brings_the_keyring_back(tmp_path: Path, path: Path, root: RootKeyFile) -> None:
    keys = keyring(tmp_path, root)
    keys.ensure("index/1", KeyKind.MAC)
    mac = keys.mac("index/1", b"m")
    kit = tmp_path / "kit.txt"
    write_recovery_kit(kit, kit_of(root, SystemEntropy()), keys)
    assert stat.S_IMODE(kit.stat().st_mode) == 0o600
    path.unlink()
    page = kit.read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if line.startswith(PREFIX))
    path.write_text(line)
    path.chmod(0o600)
    assert keyring(tmp_path, RootKeyFile(path), create=False).mac("index/1", b"m") == mac
    assert root.id in page
    assert "Print this page" in page
    assert "Tulosta tämä sivu" in page
    assert max(len(line) for line in page.splitlines() if str(path) not in line) <= 100


def test_the_kit_is_of_this_keyring_new_and_outside_the_data(tmp_path: Path, root: RootKeyFile) -> None:
    keys = keyring(tmp_path, root)
    other = RootKeyFile.create(tmp_path / "other.key", SystemEntropy())
    with pytest.raises(KeyringError, match="does not open this keyring"):
        write_recovery_kit(tmp_path / "kit.txt", kit_of(other, SystemEntropy()), keys)
    with pytest.raises(KeyringError, match="must not lie inside"):
        write_recovery_kit(
            tmp_path / "keys" / "kit.txt", kit_of(root, SystemEntropy()), keys, outside=[tmp_path / "keys"]
        )
    (tmp_path / "kit.txt").write_text("older")
    with pytest.raises(KeyringError, match="choose a new file"):
        write_recovery_kit(tmp_path / "kit.txt", kit_of(root, SystemEntropy()), keys)
    assert (tmp_path / "kit.txt").read_text() == "older"


def test_confirming_the_backup_outlives_the_process(tmp_path: Path, root: RootKeyFile) -> None:
    keyring(tmp_path, root).confirm_backup()
    assert keyring(tmp_path, root, create=False).backup_confirmed() is True
