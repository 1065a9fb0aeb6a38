"""A data directory of an earlier program opens, migrates forward, serves, plays and destroys; a newer one is refused."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from recvault.adapters.database import head_revision
from tests.servers.run import free_ports
from tests.upgrade import at_0002
from tests.upgrade.at_0002 import ENVIRONMENT, Earlier


@pytest.fixture
def earlier(tmp_path: Path) -> Earlier:
    return at_0002.make(tmp_path)


def recvault(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recvault", *words],
        cwd=home,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def done(home: Path, *words: str) -> str:
    ran = recvault(home, *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def revision(earlier: Earlier) -> str:
    with closing(sqlite3.connect(earlier.database)) as rows:
        return str(rows.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@contextmanager
def served(home: Path) -> Iterator[httpx.Client]:
    port = free_ports(1)
    environment = ENVIRONMENT | {"RECVAULT__SERVER__PORT": str(port)}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recvault", "serve"],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            _until_ready(client, process, home)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def _until_ready(client: httpx.Client, process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, (home / "log").read_text("utf-8")
        assert time.monotonic() < deadline
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_earlier_directory_migrates_serves_plays_and_destroys(earlier: Earlier) -> None:
    assert revision(earlier) == at_0002.REVISION
    with served(earlier.home) as client:
        assert revision(earlier) == head_revision()
        vera = {"Authorization": f"Bearer {earlier.verifier_token}"}
        found = client.post("/v1/communications/search", json={"purpose": "verification"}, headers=vera)
        assert [row["id"] for row in found.json()["rows"]] == [earlier.live.id]
        why = {"purpose": "verification", "reason": "complaint"}
        opened = client.post(f"/v1/communications/{earlier.live.id}/open", json=why, headers=vera)
        assert opened.status_code == 200, opened.text
        playback = opened.json()["playback"]
        assert client.get(playback, headers=vera).content == earlier.live.content
        part = client.get(playback, headers=vera | {"Range": "bytes=20000-39999"})
        assert (part.status_code, part.content) == (206, earlier.live.content[20000:40000])
        again = client.post(
            "/v1/communications",
            files=[
                ("metadata", (None, b'{"source_id": "live-1", "channel": "call"}', "application/json")),
                ("content", ("call.wav", earlier.live.content, "audio/x-wav")),
            ],
            headers={"Authorization": f"Bearer {earlier.source_token}"},
        )
        assert (again.status_code, again.json()["id"]) == (200, earlier.live.id)

    # Signed before the ledger kept what was signed: a person says so once more.
    refused = recvault(earlier.home, "purge", "--now")
    assert refused.returncode == 3 and "the ledger has another digest of its version, or none" in refused.stdout
    done(earlier.home, "policy", "sign", "--as", "paula")
    assert "destroyed" in done(earlier.home, "purge", "--now")
    done(earlier.home, "certificate", "export", earlier.overdue.id, "--out", "certificate.json")
    done(earlier.home, "certificate", "public-key", "--out", "key.txt")
    done(earlier.home, "certificate", "verify", "certificate.json", "--key", "key.txt")
    done(earlier.home, "audit", "verify")
    done(earlier.home, "ledger", "verify")
    objects = [path.parent.name for path in (earlier.home / "recvault-data" / "objects").rglob("original.1")]
    assert objects == [earlier.live.id]


COMMANDS = (
    ("serve",),
    ("worker",),
    ("purge", "--now"),
    ("search", "--as", "vera", "--purpose", "verification"),
    ("init",),
)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_older_program_refuses_and_changes_nothing(earlier: Earlier) -> None:
    done(earlier.home, "policy", "sign", "--as", "paula")
    done(earlier.home, "purge", "--now")
    with closing(sqlite3.connect(earlier.database)) as rows:
        rows.execute("UPDATE alembic_version SET version_num = '9999'")
        rows.commit()
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = contents(earlier.home)
    for words in COMMANDS:
        refused = recvault(earlier.home, *words)
        assert refused.returncode == 1, (words, refused.stdout)
        assert "newer than this program" in refused.stderr, (words, refused.stderr)
        assert "install the version of recvault that wrote it" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert contents(earlier.home) == before
    assert revision(earlier) == "9999"


def contents(home: Path) -> dict[str, bytes]:
    """Every file but the database's scratch files."""
    paths = (path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock")))
    return {os.fspath(path.relative_to(home)): path.read_bytes() for path in paths}
