"""The recovery kit as typed by hand: every single error is told with its row, and nothing else is taken for a kit."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from recvault.adapters.keyring import FileKeyring, Kit, KitKind, kit_of, read_kit, recovery_public, write_recovery_kit
from recvault.adapters.keyring.kit import rows
from recvault.adapters.keyring.sealed import open_table, open_with_recovery, read_header, seal_table
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain.errors import KeyringError, Tampered
from recvault.domain.ports.keyring import KeyKind

SECRET = hashlib.sha256(b"kit").digest()


@pytest.fixture(params=list(KitKind))
def kit(request: pytest.FixtureRequest) -> Kit:
    return Kit(kind=request.param, secret=SECRET)


def test_typed_rows_are_read_whatever_the_gaps_and_the_order(kit: Kit) -> None:
    printed = rows(kit)
    for typed in (
        "\n".join(printed),
        "\n".join(reversed(printed)).upper(),
        "\n".join(f"> {' '.join(row.split())}" for row in printed),
        "\n".join("{}: {}{} {}".format(*row.split()) for row in printed),
        "my notes\r\n" + "\r\n".join(printed) + "\r\n\r\nsigned",
    ):
        assert read_kit(typed) == kit


def test_every_wrong_digit_but_one_in_256_is_told_with_its_row(kit: Kit) -> None:
    printed = rows(kit)
    tried = missed = 0
    for number, row in enumerate(printed, start=1):
        for position in range(8, len(row)):
            for digit in "0123456789abcdef":
                if row[position] in (" ", digit):
                    continue
                tried += 1
                typed = [*printed[: number - 1], row[:position] + digit + row[position + 1 :], *printed[number:]]
                try:
                    missed += read_kit("\n".join(typed)).secret != SECRET
                except KeyringError as fault:
                    assert f"rows {number} hold a typing error" in str(fault)
    assert tried == 8 * 10 * 15 and missed < tried / 64


def test_rows_that_changed_places_are_told(kit: Kit) -> None:
    printed = rows(kit)
    one, two = printed[2].split(), printed[5].split()
    printed[2], printed[5] = " ".join([one[0], *two[1:]]), " ".join([two[0], *one[1:]])
    with pytest.raises(KeyringError, match="rows 3, 6 hold a typing error"):
        read_kit("\n".join(printed))


def test_missing_rows_are_told(kit: Kit) -> None:
    with pytest.raises(KeyringError, match="rows 2, 8 cannot be read"):
        read_kit("\n".join(row for row in rows(kit) if row.split()[0] not in ("2", "8")))


@pytest.mark.parametrize("text", ["", "hello", "9 0000 0000 00"])
def test_what_is_no_kit_says_what_to_type(text: str) -> None:
    with pytest.raises(KeyringError, match="type its eight rows"):
        read_kit(text)


@pytest.mark.parametrize("line", ["recvault-root-v1", "recvault-root-v1 AAAA", "recvault-root-v1 " + "*" * 44])
def test_a_line_that_is_not_whole_is_told(line: str) -> None:
    with pytest.raises(KeyringError, match="line is not whole"):
        read_kit(f"page\n  {line}\n")


def ring(base: Path, root: RootKeyFile) -> FileKeyring:
    return FileKeyring(
        directory=base / "a", root=root, clock=FixedClock(), entropy=SystemEntropy(), place="a", create=True
    )


def test_the_page_reads_back_with_its_id(tmp_path: Path) -> None:
    root = RootKeyFile.create(tmp_path / "root", SystemEntropy())
    keyring = ring(tmp_path, root)
    write_recovery_kit(tmp_path / "kit.txt", kit_of(root, SystemEntropy()), keyring)
    page = (tmp_path / "kit.txt").read_text("utf-8")
    assert read_kit(page) == Kit(kind=KitKind.ROOT, secret=root.secret(), id=root.id)
    without = "\n".join(line for line in page.splitlines() if not line.startswith("recvault-root"))
    assert read_kit(without) == read_kit(page), "the rows alone do as well"


def test_a_recovery_key_opens_every_file_written_after_it(tmp_path: Path) -> None:
    entropy = SystemEntropy()
    root = RootKeyFile.create(tmp_path / "root", entropy)
    keyring = ring(tmp_path, root)
    keyring.ensure("index/1", KeyKind.MAC)
    kit = Kit(kind=KitKind.RECOVERY, secret=entropy.bytes(32))
    other = Kit(kind=KitKind.RECOVERY, secret=entropy.bytes(32))
    sealed = tmp_path / "a" / "keyring.sealed"
    with pytest.raises(KeyringError, match="has no recovery key"):
        open_with_recovery(sealed.read_bytes(), kit.secret)
    public = recovery_public(kit)
    assert public is not None
    keyring.confirm_backup()
    keyring.set_recovery(public)
    keyring.set_recovery(public)
    assert keyring.recovery_public == public and not keyring.backup_confirmed(), "its kit is to be confirmed"
    table = open_with_recovery(sealed.read_bytes(), kit.secret)
    assert table == open_table(sealed.read_bytes(), root=root) and table.live("index/1").secret is not None
    with pytest.raises(KeyringError, match="not the one of this keyring"):
        open_with_recovery(sealed.read_bytes(), other.secret)
    header = read_header(sealed.read_bytes())
    assert header.recovery is not None and kit.secret not in sealed.read_bytes()
    again = seal_table(table, root=root, entropy=entropy)
    assert read_header(again).recovery != header.recovery, "each file has a key of its own"
    with pytest.raises((Tampered, KeyringError)):
        open_with_recovery(again.partition(b"\n")[0] + b"\n" + sealed.read_bytes().partition(b"\n")[2], kit.secret)
