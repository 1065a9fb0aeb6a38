"""An installation as a company would have it: two API processes and a worker that are started anew when they die,
PostgreSQL of its own (it is restarted), and Ceph behind the lying proxy. Left to others: load, trouble and the count."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from recvault.config import Config, load
from tests.servers import postgresql
from tests.servers.ceph import Ceph
from tests.support.lying_proxy import LyingProxy, lying_proxy

ROOT = Path(__file__).parents[2]
APIS = 2

_CONFIG = """
[server]
port = {port}
[database]
url = "postgresql://recvault@127.0.0.1:{database_port}/soak"
password_file = "database-password"
pool_size = 6
[store]
kind = "s3"
endpoint = "{endpoint}"
region = "{region}"
bucket = "{bucket}"
access_key_file = "access-key"
secret_key_file = "secret-key"
tls = false
read_timeout_seconds = 2
retries = 2
[residency]
allowed_endpoints = ["{endpoint}"]
[keyring]
cache_seconds = 1
[purge]
guard_items = 1000000
lease_seconds = 30
batch_size = 40
[retention]
policy_file = "{policy}"
[sources]
notice_ref = "2026-01"
balancing_test_ref = "2026-01"
[log]
format = "json"
level = "warning"
"""


class Kept:
    """A process that is started anew whenever it ends, until it is let go; ``killed`` counts kills on purpose."""

    def __init__(self, home: Path, name: str, *words: str) -> None:
        self._home = home
        self._words = words
        self._log = home / f"{name}.log"
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.killed = 0
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        with self._log.open("ab") as log:
            while not self._over.is_set():
                self._process = start(self._home, log.fileno(), *self._words)
                self.starts += 1
                self._process.wait()
                self._over.wait(0.3)

    def kill(self) -> None:
        """SIGKILL; it comes back."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self.killed += 1

    def let_go(self) -> None:
        """SIGTERM, and then SIGKILL; it does not come back."""
        self._over.set()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._thread.join(10)

    def log(self) -> list[dict[str, object]]:
        """What it said, as far as it is JSON (the first lines of a start may not be)."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def start(home: Path, log: int, *words: str) -> subprocess.Popen[bytes]:
    """``recvault`` with these words in the installation's directory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT__")}
    command = [sys.executable, "-m", "recvault", *words]
    return subprocess.Popen(command, cwd=home, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@dataclass
class Installation:
    """``ports`` of the API processes; tokens of a source, a verifier and a privacy handler."""

    home: Path
    proxy: LyingProxy
    ports: list[int]
    tokens: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)
    database_restarts: int = 0

    def recvault(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A command to its end."""
        with (self.home / "commands.log").open("ab") as log:
            process = start(self.home, log.fileno(), *words)
            return subprocess.CompletedProcess(words, process.wait(120))

    def must(self, *words: str) -> None:
        done = self.recvault(*words)
        assert done.returncode == 0, (words, (self.home / "commands.log").read_text()[-2000:])

    def config(self) -> Config:
        with chdir(self.home):  # what its relative paths start from
            return load(Path("recvault.toml"), {})

    def restart_database(self) -> None:
        """As after a crash: nothing is written out before it stops."""
        order = json.loads((self.home / "pg" / "stop.json").read_text())
        control, data = order["command"][0], self.home / "pg" / "data"
        subprocess.run(
            [control, "-D", data, "-m", "immediate", "-w", "-t", "60", "-l", self.home / "pg" / "log", "restart"],
            user=order["user"], check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.database_restarts += 1


@contextmanager
def installation(ceph: Ceph) -> Iterator[Installation]:
    """Installed, signed, and serving."""
    with ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="rv-soak-", dir="/tmp")))
        home.chmod(0o755)  # PostgreSQL runs as another user
        proxy = opened.enter_context(lying_proxy(ceph.endpoint))
        facts = postgresql._start(home)
        opened.callback(_stop_database, home)
        _secrets(
            home, {"database-password": facts["password"], "access-key": ceph.access_key, "secret-key": ceph.secret_key}
        )
        with psycopg.connect(
            f"postgresql://recvault:{facts['password']}@127.0.0.1:{facts['port']}/postgres", autocommit=True
        ) as connection:
            connection.execute("CREATE DATABASE soak")
        made = Installation(home=home, proxy=proxy, ports=[_free_port() for _ in range(APIS)])
        text = _CONFIG.format(
            port=made.ports[0], database_port=facts["port"], endpoint=proxy.endpoint, region=ceph.region,
            bucket=ceph.make_bucket(versioned=True), policy=ROOT / "config" / "retention.toml",
        )  # fmt: skip
        (home / "recvault.toml").write_text(text, "utf-8")
        _set_up(made)
        for number, port in enumerate(made.ports):
            made.kept[f"api-{number}"] = Kept(home, f"api-{number}", "serve", "--port", str(port))
        made.kept["worker"] = Kept(home, "worker", "worker")
        opened.callback(_let_go, made)
        for port in made.ports:
            _await(port)
        yield made


def _set_up(made: Installation) -> None:
    made.must("init")
    made.must("keys", "confirm-backup")
    made.must("source", "add", "pbx", "--token-file", "source-token")
    for role in ("verifier", "privacy-handler"):
        made.must("user", "add", role, "--role", role, "--token-file", f"{role}-token")
    made.must("policy", "sign", "--as", "privacy-handler")
    for name in ("source", "verifier", "privacy-handler"):
        made.tokens[name] = (made.home / f"{name}-token").read_text().strip()


def _let_go(made: Installation) -> None:
    for process in made.kept.values():
        process.let_go()


def _secrets(home: Path, words: dict[str, str]) -> None:
    for name, word in words.items():
        (home / name).touch(0o600)
        (home / name).write_text(word)


def _stop_database(home: Path) -> None:
    order = json.loads((home / "pg" / "stop.json").read_text())
    command = ["immediate" if word == "fast" else word for word in order["command"]]
    subprocess.run(command, user=order["user"], check=False, cwd="/", stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await(port: int) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, "the API did not come up"
            time.sleep(0.2)
        else:
            return
