"""A real PostgreSQL is put back to an older state, or a standby that lagged is promoted, under a running server process: it
serves nothing until the ledger was replayed, and then everything that the ledger knows holds again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.cluster import Cluster, cluster, room
from tests.servers.run import free_ports
from tests.support.archives import eventually
from tests.support.serving import BOUNDARY, multipart
from tests.system.test_backup_postgresql import set_up
from tests.system.test_cli import Shell, ingest, recording
from tests.system.test_cli_processes import running

WAVE = b"RIFF\x10\0\0\0WAVEfmt "


@dataclass
class Site:
    """An archive whose rows are in a cluster of its own, with a server process."""

    shell: Shell
    at: Cluster
    port: int

    def upload(self, ref: str) -> httpx.Response:
        """As a telephony host does it."""
        told = {
            "source_id": ref,
            "channel": "call",
            "direction": "inbound",
            "started_at": "2026-11-22T10:00:00+02:00",
        }
        token = (self.shell.home / "pbx-token").read_text().strip()
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        }
        body = multipart(("metadata", told), ("content", WAVE + ref.encode()))
        return httpx.post(f"http://127.0.0.1:{self.port}/v1/communications", content=body, headers=headers, timeout=120)

    def faults(self) -> dict[str, str]:
        """What keeps the server from being ready; everything while it does not listen."""
        try:
            found: dict[str, str] = httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=120).json()["faults"]
        except httpx.TransportError:
            return {"server": "down"}
        return found

    def hold(self, communication: str) -> None:
        words = ["--reason", "claim", "--review-on", "2028-01-01", "--as", "paula"]
        self.shell.value("hold", "place", "--communication", communication, *words)

    def holds(self) -> int:
        return len(self.shell.value("hold", "list", "--as", "paula")["rows"])


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return Shell(home=home, captured=capsys)


@pytest.fixture
def clusters() -> Iterator[Path]:
    with room() as place:
        yield place


@pytest.fixture
def site(shell: Shell, clusters: Path) -> Iterator[Site]:
    with ExitStack() as opened:
        at = opened.enter_context(cluster(clusters / "first"))
        port = free_ports(1)
        word = shell.home / "word"
        word.touch(0o600)
        word.write_text(at.word)
        at.query("CREATE DATABASE recvault")
        (shell.home / "recvault.toml").write_text(
            f'[database]\nurl = "{at.url("recvault")}"\npassword_file = "{word}"\n[server]\nport = {port}\n', "utf-8"
        )
        set_up(shell)
        opened.enter_context(running(shell.home, "serve"))
        made = Site(shell=shell, at=at, port=port)
        eventually(lambda: not made.faults(), 120)
        yield made


def refused(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of a server whose database is behind."""
    assert answer.status_code == 503 and answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == "/problems/database-behind" and "recvault ledger replay" in document["detail"]
    return document


def serves_nothing_until_replayed(site: Site, held: int) -> None:
    """The server process runs all the while; so do commands, and only two of them work."""
    eventually(lambda: site.faults() == {"database": "database-behind"}, 60)
    refused(site.upload("while behind"))
    assert site.shell("search", "--purpose", "verification", "--as", "vera").code == 75
    looked = site.shell("doctor", "--json").value()
    assert any("recvault ledger replay" in str(finding) for finding in looked["findings"])
    assert site.shell.value("ledger", "verify")["database_behind"] == held
    told = site.shell.value("ledger", "replay")
    assert (told["followed"], len(told["holds_placed"]), told["sweeping"]) == (held, held, False)
    eventually(lambda: not site.faults(), 60)
    assert site.upload("after the replay").status_code == 201
    assert site.holds() == held
    assert site.shell.value("ledger", "replay")["followed"] == 0


def test_an_older_copy_under_a_running_server_serves_nothing_until_replayed(site: Site) -> None:
    """The copy is of the same cluster and timeline: only the ledger tells."""
    calls = [ingest(site.shell, recording(site.shell, f"{n}.wav", WAVE + bytes([n]))) for n in range(2)]
    site.at.stop()
    copy = site.at.home / "copy"
    shutil.copytree(site.at.data, copy)
    site.at.start()
    for call in calls:
        site.hold(call)
    lost = site.upload("after the copy").json()["id"]
    assert site.upload("after the copy").status_code == 200
    site.at.stop()
    shutil.rmtree(site.at.data)
    shutil.move(copy, site.at.data)
    site.at.own(site.at.data)
    site.at.data.chmod(0o700)
    site.at.start()
    serves_nothing_until_replayed(site, len(calls))
    orphans = [row["id"] for row in site.shell.value("restore", "orphans")["rows"]]
    assert lost in orphans, "acknowledged, in the store, its row lost: it is told, not swept"


def test_a_standby_that_lagged_is_promoted_under_a_running_server(site: Site, clusters: Path) -> None:
    call = ingest(site.shell, recording(site.shell, "a.wav", WAVE + b"a"))
    second = Cluster(home=clusters / "second", word=site.at.word, port=site.at.port)
    second.prepare()
    passwords = second.home / "pgpass"
    passwords.touch(0o600)
    passwords.write_text(f"127.0.0.1:{site.at.port}:*:recvault:{site.at.word}\n")
    second.own(passwords)
    source = f"host=127.0.0.1 port={site.at.port} user=recvault passfile={passwords}"
    second.run("pg_basebackup", "-D", second.data, "-R", "-X", "stream", "-c", "fast", "-d", source)
    site.hold(call)  # the standby never hears of it
    site.at.stop("immediate")
    second.start()
    try:
        second.query("SELECT pg_promote(true, 30)")
        serves_nothing_until_replayed(site, 1)
        site.at.data.rename(site.at.home / "old")
    finally:
        second.stop("immediate")


def test_a_standby_that_lost_nothing_serves_at_once_and_is_not_swept_under(site: Site, clusters: Path) -> None:
    """A new timeline, the same head: what a lagging standby may have lost besides is for two people to judge."""
    call = ingest(site.shell, recording(site.shell, "a.wav", WAVE + b"a"))
    site.hold(call)
    second = Cluster(home=clusters / "second", word=site.at.word, port=site.at.port)
    second.prepare()
    site.at.stop()
    shutil.copytree(site.at.data, second.data)
    (second.data / "standby.signal").touch()
    second.own(second.data)
    second.data.chmod(0o700)
    second.start()
    try:
        second.query("SELECT pg_promote(true, 30)")
        eventually(lambda: not site.faults(), 60)
        assert site.upload("after the change").status_code == 201
        assert site.holds() == 1
        swept = site.shell("doctor", "--json").value()
        assert any("sweeper is off" in str(finding) for finding in swept["findings"])
    finally:
        second.stop("immediate")
