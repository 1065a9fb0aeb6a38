"""PostgreSQL's own tools, sealed as they write: a base backup and the write-ahead log bring the database back to a moment.

As docs/OPERATIONS.md tells it, command by command.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recvault import bootstrap
from recvault.config import load
from tests.servers.cluster import Cluster, cluster, room
from tests.system.test_cli import Said, Shell, ingest, recording

SLOT = "recvault_backup"
BACKUP = (sys.executable, "-m", "recvault", "backup")


def configured(home: Path, at: Cluster, name: str = "recvault.toml") -> Path:
    """The configuration of the archive whose rows are in the cluster."""
    file = home / name
    file.write_text(
        f'[database]\nurl = "{at.url("recvault")}"\npassword_file = "{home}/word"\n[backup]\ndirectory = "backups"\n',
        "utf-8",
    )
    return file


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return Shell(home=home, captured=capsys)


@contextmanager
def receiving(at: Cluster, directory: Path) -> Iterator[None]:
    """``pg_receivewal`` as it runs beside the archive."""
    command, environment = at.client("pg_receivewal", "-D", str(directory), "--slot", SLOT, "--synchronous")
    subprocess.run([*command, "--create-slot"], env=environment, check=True, capture_output=True)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def finish_segment(at: Cluster, directory: Path) -> None:
    """Waits until what was written so far lies in a finished segment."""
    at.query("CREATE TABLE IF NOT EXISTS nothing (at timestamptz)")
    before = {path.name for path in directory.iterdir() if "." not in path.name}
    at.query("SELECT pg_switch_wal()")
    end = time.monotonic() + 120
    while not {path.name for path in directory.iterdir() if "." not in path.name} - before:
        assert time.monotonic() < end, "no segment was finished"
        time.sleep(0.1)


def beat(file: Path) -> None:
    """The worker's sign of life."""
    with bootstrap.build(load(file, {})) as archive:
        archive.gauges.beat()


def sealed_base(at: Cluster, home: Path) -> Path:
    """``pg_basebackup | recvault backup seal``."""
    target = home / "backups" / "base-20261122.recvault-backup"
    target.parent.mkdir(exist_ok=True)
    command, environment = at.client("pg_basebackup", "-D", "-", "-Ft", "-X", "none", "-c", "fast")
    with (
        target.open("xb") as file,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as base,
    ):
        subprocess.run([*BACKUP, "seal"], stdin=base.stdout, stdout=file, check=True)
    assert base.returncode == 0
    return target


def restored(base: Path, home: Path, place: Path, moment: str) -> Cluster:
    """A cluster recovered to the moment."""
    new = Cluster(home=place, word=(home / "word").read_text())
    new.prepare()
    new.data.mkdir(mode=0o700)
    with base.open("rb") as file:
        opened = subprocess.run([*BACKUP, "unseal"], stdin=file, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", str(new.data)], input=opened.stdout, check=True)
    segments = place / "segments"
    subprocess.run([*BACKUP, "unseal-wal", str(segments)], check=True, capture_output=True)
    (new.data / "recovery.signal").touch()
    with (new.data / "postgresql.auto.conf").open("a") as conf:
        conf.write(f"restore_command = 'cp {segments}/%f %p'\nrecovery_target_time = '{moment}'\n")
        conf.write("recovery_target_action = 'promote'\n")
    new.own(new.data, segments)
    new.start()
    end = time.monotonic() + 60
    while new.query("SELECT pg_is_in_recovery()") != [(False,)]:
        assert time.monotonic() < end, "the recovery did not end"
        time.sleep(0.2)
    return new


@pytest.fixture
def servers() -> Iterator[Path]:
    with room() as place:
        yield place


def test_the_database_comes_back_to_a_moment(shell: Shell, servers: Path) -> None:
    home = shell.home
    wal = home / "wal"
    wal.mkdir(mode=0o700)
    with cluster(servers / "first") as first:
        (home / "word").touch(0o600)
        (home / "word").write_text(first.word)
        first.query("CREATE DATABASE recvault")
        file = configured(home, first)
        set_up(shell)
        with receiving(first, wal):
            before = ingest(shell, recording(shell, "a.wav", b"RIFF\x10\0\0\0WAVEfmt a"))
            base = sealed_base(first, home)
            between = ingest(shell, recording(shell, "b.wav", b"RIFF\x10\0\0\0WAVEfmt b"))
            beat(file)
            moment = str(first.query("SELECT now()::text")[0][0])
            time.sleep(1)
            after = ingest(shell, recording(shell, "c.wav", b"RIFF\x10\0\0\0WAVEfmt c"))
            shell.value(
                "hold",
                "place",
                "--communication",
                before,
                "--reason",
                "claim",
                "--review-on",
                "2028-01-01",
                "--as",
                "paula",
            )
            finish_segment(first, wal)
            assert shell.value("backup", "seal-wal", wal)["sealed"]
        for sealed in (home / "backups").iterdir():
            assert b"asiakas" not in sealed.read_bytes() and b"recvault/" not in sealed.read_bytes()[2000:]

        new = restored(base, home, servers / "second", moment)
        try:
            copy = configured(home, new, "copy.toml")
            told = shell.value("backup", "verify", "--copy", copy)
            assert (told["rows"], told["opened"], told["faults"]) == (2, 2, [])
            first.stop()
            configured(home, new)
            refused: Said = shell("search", "--purpose", "verification", "--as", "vera", "--json")
            shell.value("ledger", "replay")
            found = {row["id"] for row in shell.value("search", "--purpose", "verification", "--as", "vera")["rows"]}
            assert found == {before, between} and after not in found
            assert len(shell.value("hold", "list", "--as", "paula")["rows"]) == 1
            assert refused.code == 75 and "replay" in refused.problem()["detail"]
        finally:
            new.stop("immediate")


def set_up(shell: Shell) -> None:
    """People, a source, a customer, a signed policy."""
    (shell.home / "customers.csv").write_text("asiakasnumero;nimi;puhelin\n1001;Mallikauppa Oy;0401234501\n", "utf-8")
    for words in (
        "init",
        "keys confirm-backup",
        "user add paula --role privacy-handler --token-file paula-token",
        "user add vera --role verifier --token-file vera-token",
        "source add pbx --token-file pbx-token --notice notice-1 --balancing-test test-1",
        "customer import customers.csv",
        "policy sign --as paula",
    ):
        said = shell(*words.split())
        assert said.code == 0, (words, said.err)
