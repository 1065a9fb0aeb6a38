"""The ceremonies of docs/KEYS.md, run as the document says: its blocks of commands and settings, in their order.

Paths of the document are moved below the test's directory, dates in names are today's; ``systemctl`` has nothing to restart.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import structlog

from recvault import bootstrap
from recvault.adapters.root_keyfile import RootKeyFile
from recvault.adapters.system import FixedClock, SystemClock
from recvault.bootstrap.keys import restore
from recvault.config import load
from recvault.domain.accounts import PeriodKey
from recvault.domain.errors import KeyringError
from recvault.domain.ports.keyring import KeyKind
from recvault.interfaces.cli import doctor, run
from tests.servers.softhsm import SoftToken

TEXT = (Path(__file__).parents[2] / "docs" / "KEYS.md").read_text("utf-8")
BLOCK = re.compile(r"^```(sh|toml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^ {4}[1-8]   [0-9a-f]{4} [0-9a-f]{4}   [0-9a-f]{2}$", re.MULTILINE)

CONFIGURATION = """\
[data]
directory = "{home}/data"
[ledger]
second_directory = "{home}/ledger"
place = "a"
[store]
place = "a"
[places]
a = {{ country = "FI", site = "one" }}
b = {{ country = "FI", site = "two" }}
[keyring]
directory = "{home}/keys-a"
place = "a"
root = "keyfile"
root_key_file = "{home}/etc/root.key"
replicas = []
"""


def blocks(heading: str) -> list[tuple[str, str]]:
    """The kinds and texts of a section's blocks."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return BLOCK.findall(section)


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A home, and what the document's commands do in it."""

    home: Path
    captured: pytest.CaptureFixture[str]

    def moved(self, text: str) -> str:
        """The document's paths and dates as this test's."""
        for there, here in (
            ("/etc/recvault", "etc"),
            ("/media/stick", "stick"),
            ("/run/recvault", "run"),
            ("/srv", "srv"),
        ):
            text = text.replace(there, str(self.home / here))
        return text.replace("2026-11-22-1", f"{datetime.now(UTC):%Y-%m-%d}-1")

    def run(self, commands: str, *, fails: bool = False) -> str:
        """Runs commands line by line until one fails: recvault's in this process, the others by a shell."""
        said, code = "", 0
        for line in self.moved(commands).splitlines():
            if code == 0 and line and not line.startswith(("systemctl", "#")):
                code, told = self._recvault(line) if line.startswith("recvault ") else _shell(line)
                said += told
        assert (code != 0) is fails, said
        return said

    def doctor(self, part: str) -> str:
        """What the doctor says of a part."""
        _, said = self._recvault("recvault doctor --json")
        findings = json.loads(said)["findings"]
        return " ".join(f"{each['grade']} {each['told']} {each['mend']}" for each in findings if each["part"] == part)

    def _recvault(self, line: str) -> tuple[int, str]:
        self.captured.readouterr()
        code = run(shlex.split(line)[1:])
        said = self.captured.readouterr()
        return code, said.out + said.err

    def set(self, settings: str) -> None:
        """Puts a block of settings into the configuration's [keyring]."""
        file = self.home / "etc" / "recvault.toml"
        text = file.read_text("utf-8")
        for line in self.moved(settings).splitlines()[1:]:
            key = line.partition(" = ")[0]
            text, found = re.subn(rf"^{key} = .*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
            text = text if found else f"{text}{line}\n"
        file.write_text(text, "utf-8")

    def follow(self, heading: str, first: int = 0, last: int | None = None) -> str:
        """Does what a section says, from its ``first`` block to before its ``last``; the output of all."""
        said = ""
        for kind, text in blocks(heading)[first:last]:
            if kind == "toml":
                self.set(text)
            else:
                said += self.run(text)
        return said

    def kit(self, name: str = "kit.txt") -> str:
        """The rows on the page in the stick's file."""
        return "\n".join(ROW.findall((self.home / "stick" / name).read_text("utf-8")))

    def type(self, kit: str) -> None:
        """Types a kit's rows as a person does: in capitals here and there, with other gaps."""
        file = self.home / "run" / "kit.txt"
        file.write_text("my kit\n" + kit.upper().replace("   ", " ") + "\n")
        file.chmod(0o600)


def _shell(line: str) -> tuple[int, str]:
    ran = subprocess.run(["sh", "-euc", line], capture_output=True, text=True, timeout=500, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Machine]:
    for name in ("etc", "stick", "run", "srv"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "etc" / "recvault.toml").write_text(CONFIGURATION.format(home=tmp_path), "utf-8")
    for name in [name for name in os.environ if name.startswith("RECVAULT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECVAULT_CONFIG", str(tmp_path / "etc" / "recvault.toml"))
    monkeypatch.chdir(tmp_path)
    yield Machine(home=tmp_path, captured=capsys)
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()


def begin(machine: Machine) -> str:
    """A new archive as the document makes it; its kit."""
    first, _, rest = blocks("A new archive")[0][1].partition("\n")
    machine.run(first)
    kit = machine.kit()
    machine.run(rest)
    return kit


def with_token(machine: Machine, token: SoftToken) -> None:
    """The token's settings, with ``root`` as it is."""
    settings = blocks("A new archive")[1][1].replace('root = "pkcs11"\n', "")
    settings = settings.replace("/usr/lib/softhsm/libsofthsm2.so", str(token.library))
    machine.set(settings)
    shutil.copy(token.pin_file, machine.home / "etc" / "token-pin")


def test_every_command_of_the_document_is_run_here() -> None:
    told = {line for _, text in BLOCK.findall(TEXT) for line in text.splitlines() if line.startswith("recvault")}
    words = {" ".join(word for word in line.split()[1:4] if not word.startswith(("-", "/"))) for line in told}
    assert {"init", "keys copy", "keys copies", "keys restore", "keys replica add", "keys root change"} <= words
    assert {"keys root finish", "keys replica drop", "keys replica check", "keys confirm-backup"} <= words


def test_places_come_go_and_are_lost(machine: Machine) -> None:
    begin(machine)
    assert "in step" in machine.follow("A place comes in")
    sealed = machine.home / "srv" / "keys-b" / "keyring.sealed"
    assert sealed.read_bytes() == (machine.home / "keys-a" / "keyring.sealed").read_bytes()
    machine.follow("A place goes in order")
    assert not sealed.exists()
    machine.run("recvault keys replica add b")
    sealed.parent.rename(machine.home / "smashed")
    assert "mount its disk" in machine.run("recvault keys replica check", fails=True)
    said = machine.follow("A place is lost", last=1)
    assert "b (broken)" in said and "lost since" in said
    machine.follow("A place is lost", first=1)
    assert sealed.exists()
    assert '"how": "broken"' in machine.follow("The register, for strangers")


def test_the_own_place_is_lost_and_replaced(machine: Machine) -> None:
    begin(machine)
    machine.follow("A place comes in")
    shutil.rmtree(machine.home / "keys-a")
    for heading, first, last in (("A place is lost", 0, 1), ("A place is lost", 1, None)):
        for _, text in blocks(heading)[first:last]:
            machine.run(re.sub(r" b\b", " a", text))
    assert (machine.home / "keys-a" / "keyring.sealed").exists()
    assert "lost since" in machine.run("recvault keys replica list")
    assert machine.doctor("keyring").startswith("good in step in 2 places")
    assert "places lost with what they held: a" in machine.doctor("offline copies")


def test_an_offline_copy_is_taken_and_destroyed(machine: Machine) -> None:
    begin(machine)
    assert "out there" in machine.follow("An offline copy", last=1)
    assert machine.doctor("offline copies").startswith("good 1, within")
    assert "destroyed" in machine.follow("An offline copy", first=1)


def test_a_copy_past_its_days_is_told_and_not_taken_unasked(machine: Machine) -> None:
    kit = begin(machine)
    machine.follow("An offline copy", last=1)
    later = SystemClock().now() + timedelta(days=15)
    config = load(machine.home / "etc" / "recvault.toml", os.environ)
    with bootstrap.build(config, clock=FixedClock(later)) as archive:
        (told,) = [finding for finding in doctor.look_at(archive) if finding.part == "offline copies"]
    assert told.grade is doctor.Grade.FAULT and "past their days" in told.told
    shutil.rmtree(machine.home / "keys-a")
    machine.type(kit)
    (copy,) = (machine.home / "stick").glob("keyring-copy-*")
    back = partial(restore, config, machine.home / "run" / "kit.txt", copy=copy, new_kit=None, clock=FixedClock(later))
    with pytest.raises(KeyringError, match="say --expired"):
        back(expired=False)
    assert not (machine.home / "keys-a" / "keyring.sealed").exists()
    _, done = back(expired=True)
    assert done.written and done.lost and done.copy is not None


def test_what_died_after_the_copy_dies_again(machine: Machine) -> None:
    """The database remembers the end of a day's key; a copy from before brings the key back for a moment only."""
    kit = begin(machine)
    key_id = "day/2020-01-01/1"
    config = load(machine.home / "etc" / "recvault.toml", os.environ)
    with bootstrap.build(config) as archive, archive.database.begin() as unit:
        now = archive.clock.now()
        archive.keyring.ensure(key_id, KeyKind.WRAP)
        unit.period_keys.add(PeriodKey(key_id=key_id, period="2020-01-01", generation=1, created_at=now))
        unit.commit()
    machine.follow("An offline copy", last=1)
    with bootstrap.build(config) as archive, archive.database.begin() as unit:
        archive.keyring.destroy([key_id])
        unit.period_keys.mark_closing(key_id, now)
        unit.period_keys.mark_destroyed(key_id, now)
        unit.commit()
    shutil.rmtree(machine.home / "keys-a")
    machine.type(kit)
    said = machine.follow("The whole machine is lost")
    assert f"Destroyed again, as the database says: {key_id}" in said
    with bootstrap.build(config) as archive:
        assert archive.keyring.info(key_id).destroyed_at is not None


def test_the_kit_brings_a_lost_key_file_back(machine: Machine) -> None:
    kit = begin(machine)
    before = RootKeyFile(machine.home / "etc" / "root.key").id
    (machine.home / "etc" / "root.key").unlink()
    assert "recovery kit" in machine.run("recvault keys status", fails=True)
    machine.type(f"{kit[:8]}{'0' if kit[8] != '0' else '1'}{kit[9:]}")
    assert "rows 1 hold a typing error" in machine.run("recvault keys restore --kit /run/recvault/kit.txt", fails=True)
    machine.type(kit)
    assert before in machine.follow("The key file is lost")


def test_the_kit_and_a_copy_bring_back_a_lost_machine(machine: Machine) -> None:
    kit = begin(machine)
    machine.follow("An offline copy", last=1)
    before = RootKeyFile(machine.home / "etc" / "root.key").id
    (machine.home / "etc" / "root.key").unlink()
    for name in ("data", "keys-a", "ledger"):
        (machine.home / name).rename(machine.home / f"burnt-{name}")
    machine.type(kit)
    restoring, rest = blocks("The whole machine is lost")[0][1].split("\n", 1)
    said = machine.run(restoring)
    assert before in said and "certificates name it as lost" in said and "not there yet" in said
    for name in ("data", "ledger"):
        (machine.home / f"burnt-{name}").rename(machine.home / name)
    assert "not there yet" not in machine.run(restoring)
    assert before in machine.run(rest)
    assert "lost since" in machine.run("recvault keys replica list")


def settle(machine: Machine, block: int) -> None:
    """With the former settings nothing opens any more; then come the new ones."""
    assert "under another root key" in machine.run("recvault keys status", fails=True)
    machine.follow("The root key is changed", block, block + 1)


def test_the_root_key_is_changed_from_file_to_file(machine: Machine) -> None:
    old_kit = begin(machine)
    machine.follow("A place comes in")
    former = (machine.home / "keys-a" / "keyring.sealed").read_bytes()
    machine.follow("The root key is changed", last=1)
    settle(machine, 1)
    assert "not confirmed" in machine.run("recvault keys status")
    finish = "recvault keys root finish --from keyfile --key-file /etc/recvault/root.key"
    assert "kit is not confirmed" in machine.run(finish, fails=True)
    assert "is not destroyed" in machine.doctor("root key")
    machine.follow("The root key is changed", 2, 3)
    assert "is not destroyed" not in machine.doctor("root key")
    assert not (machine.home / "etc" / "root.key").exists()
    assert former != (machine.home / "keys-a" / "keyring.sealed").read_bytes()
    machine.type(old_kit)
    assert "holds another root key" in machine.run("recvault keys restore --kit /run/recvault/kit.txt", fails=True)


def test_the_root_key_goes_into_a_token_and_comes_back(machine: Machine, soft_token: SoftToken) -> None:
    begin(machine)
    machine.follow("A place comes in")
    with_token(machine, soft_token)
    machine.follow("The root key is changed", 3, 4)
    settle(machine, 4)
    assert "in the token recvault" in machine.follow("The root key is changed", 5, 6)
    assert not (machine.home / "etc" / "root.key").exists()
    machine.follow("The root key is changed", 6, 7)
    settle(machine, 7)
    assert "root-3.key" in machine.follow("The root key is changed", 8, 9)
    assert "holds no key" in machine.run(
        "recvault keys root finish --from pkcs11 --token-key recvault-root", fails=True
    )


def test_a_new_archive_on_a_token_whose_token_is_lost(machine: Machine, soft_token: SoftToken) -> None:
    with_token(machine, soft_token)
    machine.set('[keyring]\nroot = "pkcs11"\n')
    kit = begin(machine)
    assert not (machine.home / "etc" / "root.key").exists()
    machine.follow("A place comes in")
    shutil.rmtree(soft_token.tokens)
    soft_token.tokens.mkdir(mode=0o700)
    assert "connected" in machine.run("recvault keys status", fails=True)
    machine.set('[keyring]\nroot = "keyfile"\n')
    machine.type(kit)
    said = machine.follow("The token is lost")
    assert "the key file" in said and said.count("yes") >= 2
    machine.type(kit)
    again = "recvault keys restore --kit /run/recvault/kit.txt --recovery-kit /media/stick/kit-9.txt"
    machine.run("rm /etc/recvault/root.key")
    assert "recovery key" in machine.run(again, fails=True), "the kit ended with its use"
