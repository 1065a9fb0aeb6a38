"""The hook on one host, the archive on another, TLS between them, and a cable that is pulled: in the middle of an upload, and
for what would be a day; then the archive wakes and is swamped. Everything is stored once, in order, and nothing stays behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recvault.interfaces.hook import enrolment
from recvault.interfaces.hook.agent import LONGEST_RETRY_AFTER, LONGEST_WAIT
from recvault.interfaces.hook.spool import READY, REFUSED, SIDECAR, Spool
from recvault.interfaces.hook.submit import submit
from tests.support.two_hosts import ARCHIVE, Host, certificate, hosts_missing, two_hosts

ROOT = Path(__file__).parents[2]
PORT, TLS_PORT = 8470, 8443
CALLS = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Pair:
    """Both hosts; what a company runs on them can be started and ended."""

    home: Path
    telephony: Host
    archive: Host
    processes: ExitStack

    @property
    def spool(self) -> Spool:
        return Spool(self.home / "spool")

    def recvault(self, host: Host, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return host.run(sys.executable, "-m", "recvault", *words, cwd=self.home)

    def must(self, host: Host, *words: str | Path) -> str:
        done = self.recvault(host, *words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def serve(self) -> subprocess.Popen[bytes]:
        """The archive, once it answers."""
        words = (sys.executable, "-m", "recvault", "serve", "--all")
        process = self._keep(self.archive.start(*words, cwd=self.home, log=self.home / "archive.log"))
        look = f"import socket; socket.create_connection(('127.0.0.1', {PORT}), 1)"
        eventually(lambda: self.archive.run(sys.executable, "-c", look, cwd=self.home).returncode == 0, 60)
        return process

    def agent(self) -> subprocess.Popen[bytes]:
        words = (sys.executable, "-m", "recvault", "hook", "agent", "--spool", self.home / "spool")
        return self._keep(self.telephony.start(*words, cwd=self.home, log=self.home / "agent.log"))

    def end_tls(self) -> None:
        words = (
            sys.executable,
            "-m",
            "tests.support.tls_end",
            ARCHIVE,
            str(TLS_PORT),
            *certificate(self.home, ARCHIVE),
        )
        self._keep(self.archive.start(*words, str(PORT), cwd=ROOT, log=self.home / "tls.log"))

    def _keep(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        self.processes.callback(ended, process)
        return process

    def submit(self, ref: str, content: bytes) -> None:
        """Seals a call, as ``recvault hook submit`` does."""
        file = self.home / f"{ref}.wav"
        file.write_bytes(content)
        submit(file, {"source_id": ref}, spool=self.spool, enrolment=enrolment.require(self.spool))

    def told(self) -> list[dict[str, object]]:
        """What the agent logged."""
        log = self.home / "agent.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def rows(self) -> list[tuple[str, int]]:
        """Ids and lengths in the order in which they were stored."""
        with sqlite3.connect(self.home / "recvault-data" / "recvault.db") as connection:
            return list(connection.execute("select id, length from communications order by stored_at, id"))


def ended(process: subprocess.Popen[bytes]) -> None:
    """Told to end, and waited for."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def eventually(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.1)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """An archive that serves, and a hook enrolled with it."""
    if missing := hosts_missing():
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with two_hosts() as (telephony, archive), ExitStack() as processes:
        pair = Pair(home=tmp_path, telephony=telephony, archive=archive, processes=processes)
        (tmp_path / "recvault.toml").write_text("[sources]\nnotice_ref = 'n'\nbalancing_test_ref = 'b'\n")
        pair.must(archive, "init")
        pair.must(archive, "keys", "confirm-backup")
        pair.must(archive, "source", "add", "pbx", "--token-file", tmp_path / "token")
        pair.serve()
        pair.end_tls()
        enrol = ("hook", "enrol", "--url", f"https://{ARCHIVE}:{TLS_PORT}", "--ca-file", tmp_path / "tls.pem")
        names = ("--token-file", tmp_path / "token", "--spool", tmp_path / "spool")
        eventually(lambda: pair.recvault(telephony, *enrol, *names).returncode == 0, 30)
        yield pair


def test_a_cable_pulled_in_mid_upload_and_put_back(pair: Pair) -> None:
    """Once so briefly that the connection outlives it, once for good: the upload is given up and begins anew."""
    big = os.urandom(1024 * 1024) * 48
    for ref, wait in (("short cut", 2.0), ("long cut", 0.0)):
        pair.submit(ref, big)
        before = pair.archive.received()
        agent = pair.agent()
        eventually(lambda: pair.archive.received() - before > 4_000_000, 30)  # noqa: B023
        pair.archive.cable(plugged=False)
        assert pair.archive.received() - before < len(big), "the cut came too late"
        if wait:
            time.sleep(wait)
        else:
            eventually(lambda: any(line["event"] == "not-delivered" for line in pair.told()), 100)
        assert len(pair.spool.names()) == 1
        pair.archive.cable(plugged=True)
        eventually(lambda: pair.spool.names() == [], 100)
        ended(agent)
    assert [length for _, length in pair.rows()] == [len(big), len(big)]
    assert pair.spool.names(REFUSED) == []


def test_an_archive_that_sleeps_for_a_day_is_swamped_when_it_wakes(pair: Pair) -> None:
    """Every wait in the day is noted in the spool, so that the day passes by setting these notes back."""
    sleeping = pair.processes.pop_all()
    sleeping.close()
    sent = {}
    for number in range(CALLS):
        content = os.urandom(200 + number)
        sent[hashlib.sha256(content).hexdigest()] = len(content)
        pair.submit(f"call-{number}", content)
    for _ in range(12):
        assert pair.recvault(pair.telephony, "hook", "agent", "--once", "--spool", pair.home / "spool").returncode == 75
    assert len(pair.spool.names()) == CALLS and pair.spool.names(REFUSED) == []
    waits = [entry.sidecar for name in pair.spool.names() if (entry := pair.spool.entry(name)) and entry.sidecar]
    now = datetime.now(UTC)
    assert max(sidecar.tries for sidecar in waits) >= 12
    tried = [sidecar.next_try - now for sidecar in waits if sidecar.next_try]
    assert timedelta(seconds=LONGEST_WAIT / 2 - 60) < max(tried) <= timedelta(seconds=LONGEST_RETRY_AFTER)
    a_day_goes_by(pair.spool)

    pair.serve()
    pair.end_tls()
    agent = pair.agent()
    eventually(lambda: pair.spool.names() == [], 200)
    ended(agent)
    assert pair.spool.names(REFUSED) == [] and list((pair.spool.root / READY).iterdir()) == []
    lengths = [length for _, length in pair.rows()]
    assert lengths == sorted(lengths), "the oldest comes first, and each once"
    assert lengths == sorted(sent.values())
    assert [line["event"] for line in pair.told()].count("delivered") == CALLS


def a_day_goes_by(spool: Spool) -> None:
    """Sets back what the spool knows of times."""
    for name in spool.names():
        path = spool.root / READY / (name + SIDECAR)
        noted = json.loads(path.read_text())
        if noted["next_try"]:
            noted["next_try"] = (datetime.fromisoformat(noted["next_try"]) - timedelta(days=1)).isoformat()
        noted["created_at"] = (datetime.fromisoformat(noted["created_at"]) - timedelta(days=1)).isoformat()
        path.write_text(json.dumps(noted))
