"""Backups and the proof of destruction from the command line, as an operator and an auditor use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.test_cli import Shell, ingest, made, old_call, recording, shell

__all__ = ["made", "shell"]


@pytest.fixture(autouse=True)
def configured(shell: Shell) -> None:
    """Where backups lie."""
    (shell.home / "recvault.toml").write_text('[backup]\ndirectory = "backups"\n', "utf-8")


def remove_database(home: Path) -> None:
    for file in (home / "recvault-data").glob("recvault.db*"):
        file.unlink()


def test_made_listed_and_looked_through(shell: Shell) -> None:
    ingest(shell, recording(shell))
    made_now = shell.value("backup", "create")
    listed = shell.value("backup", "list")["backups"]
    assert [one["name"] for one in listed] == [made_now["name"]]
    told = shell.value("backup", "verify")
    assert (told["rows"], told["opened"], told["faults"]) == (1, 1, [])
    assert "in order" in shell("backup", "verify", made_now["name"]).out


def test_a_lost_database_comes_back_and_what_came_later_is_told(shell: Shell) -> None:
    kept = ingest(shell, recording(shell))
    name = shell.value("backup", "create")["name"]
    later = ingest(shell, recording(shell, "later.wav", b"RIFF\x10\0\0\0WAVEfmt and another"))
    shell.value(
        "hold", "place", "--communication", kept, "--reason", "claim", "--review-on", "2028-01-01", "--as", "paula"
    )
    said = shell("backup", "restore", name, "--json")
    assert said.code == 3 and "there already" in said.problem()["detail"]
    remove_database(shell.home)
    shell.value("backup", "restore", name)
    refused = shell("search", "--purpose", "verification", "--as", "vera", "--json")
    assert refused.code == 75 and "replay" in refused.problem()["detail"]
    shell.value("ledger", "replay")
    assert len(shell.value("hold", "list", "--as", "paula")["rows"]) == 1, (
        "the ledger remembers what the backup did not"
    )
    found = [row["id"] for row in shell.value("search", "--purpose", "verification", "--as", "vera")["rows"]]
    assert found == [kept] and later not in found


def test_no_backup_opens_what_was_destroyed_and_the_auditor_sees_it(shell: Shell) -> None:
    old = old_call(shell)
    kept = ingest(shell, recording(shell))
    name = shell.value("backup", "create")["name"]
    before = shell.value("prove-destruction", name)
    assert (before["copied"], before["alive_and_open"], before["beyond_reach"]) == (2, 2, 0)
    purged = shell.value("purge", "--now")
    assert old in purged["destroyed"] and kept not in purged["destroyed"]
    after = shell.value("prove-destruction")
    assert (after["beyond_reach"], after["alive_and_open"], after["violations"]) == (1, 1, [])
    assert after["keys_tried"] > 0


def test_sealing_for_other_tools_asks_nothing_of_the_database(shell: Shell) -> None:
    remove_database(shell.home)
    command = [sys.executable, "-m", "recvault", "backup"]
    sealed = subprocess.run(
        [*command, "seal"], input=b"a segment" * 5000, cwd=shell.home, capture_output=True, check=True
    )
    assert b"a segment" not in sealed.stdout
    back = subprocess.run([*command, "unseal"], input=sealed.stdout, cwd=shell.home, capture_output=True, check=True)
    assert back.stdout == b"a segment" * 5000
    cut = subprocess.run(
        [*command, "unseal"], input=sealed.stdout[:-1], cwd=shell.home, capture_output=True, check=False
    )
    assert cut.returncode == 1 and b"cut short" in cut.stderr
    assert not list((shell.home / "recvault-data").glob("recvault.db*"))
