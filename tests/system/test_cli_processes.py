"""The long-running commands as processes: they serve, they tick, and they end when told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from tests.servers.run import free_ports

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}


def recvault(home: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "recvault", *words],
        cwd=home,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh archive on a free port that logs in JSON."""
    port = free_ports(1)
    (tmp_path / "recvault.toml").write_text(f"[server]\nport = {port}\n[log]\nformat = 'json'\n", "utf-8")
    recvault(tmp_path, "init")
    recvault(tmp_path, "keys", "confirm-backup")
    return tmp_path


@contextmanager
def running(home: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recvault", *words],
            cwd=home,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)


def lines(home: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (home / "log").read_text("utf-8").splitlines()]


def eventually(home: Path, process: subprocess.Popen[bytes], event: str) -> None:
    deadline = time.monotonic() + 120
    while not any(line.get("event") == event for line in lines(home)):
        assert process.poll() is None, (home / "log").read_text("utf-8")
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_all_answers_ticks_and_stops(home: Path, number: signal.Signals) -> None:
    port = int((home / "recvault.toml").read_text("utf-8").split("port = ")[1].split()[0])
    pool = urllib3.PoolManager(retries=urllib3.Retry(total=120, backoff_factor=0.1, backoff_max=0.5))
    with running(home, "serve", "--all") as process:
        ready = pool.request("GET", f"http://127.0.0.1:{port}/readyz")
        assert (ready.status, ready.json()["status"]) == (200, "ready")
        pool.request("GET", f"http://127.0.0.1:{port}/v1/playback/not-for-the-log")
        eventually(home, process, "tick")
        process.send_signal(number)
        assert process.wait(30) == 0
    said = [line["event"] for line in lines(home)]
    assert said[0] == "worker started"
    assert said[-1] == "worker stopped"
    assert "not-for-the-log" not in (home / "log").read_text("utf-8")


def test_a_taken_port_is_told(home: Path) -> None:
    port = int((home / "recvault.toml").read_text("utf-8").split("port = ")[1].split()[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with running(home, "serve") as process:
            assert process.wait(30) == 75
    assert "cannot listen" in (home / "log").read_text("utf-8")


def test_the_worker_alone_ticks_and_stops(home: Path) -> None:
    with running(home, "worker") as process:
        eventually(home, process, "tick")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert lines(home)[-1]["event"] == "worker stopped"


def test_an_archive_that_must_not_start_does_not(home: Path) -> None:
    with (home / "recvault.toml").open("a", encoding="utf-8") as config:
        config.write("[places.local]\ncountry = 'SE'\nsite = 'elsewhere'\n")
    with running(home, "serve", "--all") as process:
        assert process.wait(30) == 3
    said = (home / "log").read_text("utf-8")
    assert "Traceback" not in said
    assert "does not start here" in said
