"""A PostgreSQL cluster of one test's own, which it may stop, copy, restore and start again."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.servers.postgresql import programs
from tests.servers.run import free_ports

ROLE = "recvault"


@dataclass(kw_only=True)
class Cluster:
    """A data directory, run by a user without rights. ``word`` is the password of its only role."""

    home: Path
    word: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(default_factory=lambda: free_ports(1))

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.home / "data"

    @property
    def word_file(self) -> Path:
        """The password in a private file."""
        return self.home / "word"

    def url(self, database: str) -> str:
        """As the configuration takes it: without the password."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """The home directory with its password."""
        self.home.mkdir()
        self.word_file.touch(0o600)
        self.word_file.write_text(self.word)
        self.own(self.home)

    def create(self) -> None:
        """An empty cluster that others may replicate from."""
        self.prepare()
        word_copy = self.home / "initial-word"
        shutil.copy(self.word_file, word_copy)
        self.own(word_copy)
        self.run(
            "initdb", "-D", self.data, "-U", ROLE, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
            f"--pwfile={word_copy}",
        )  # fmt: skip
        word_copy.unlink()

    def start(self, *options: str) -> None:
        """Starts and waits until it answers."""
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.home}", *options]
        told = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in settings)])
        self.run("pg_ctl", "-D", self.data, "-l", self.home / "log", "-o", told, "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops; harmless when it does not run."""
        with suppress(RuntimeError):
            self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Runs one statement; its rows."""
        address = f"{self.url(database)}?password={self.word}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def run(self, name: str, *words: str | Path) -> None:
        """One of PostgreSQL's programs as the server's user; RuntimeError with what it said."""
        with tempfile.TemporaryFile() as said:  # a file, since the server that stays would keep a pipe open
            done = subprocess.run(
                [programs() / name, *words],
                user=_user(),
                check=False,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{name} failed: {said.read().decode()}; see {self.home}/log")

    def client(self, name: str, *words: str) -> tuple[Sequence[str], dict[str, str]]:
        """A client program's command, and an environment that lets it in."""
        command = [str(programs() / name), "-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-w", *words]
        return command, {**os.environ, "PGPASSWORD": self.word}

    def own(self, *paths: Path) -> None:
        """Gives files, and all below directories, to the server's user."""
        for path in paths:
            for one in (path, *(path.rglob("*") if path.is_dir() else ())):
                if (user := _user()) is not None:
                    shutil.chown(one, user)


@contextmanager
def room() -> Iterator[Path]:
    """A directory that the server's user may pass, which pytest's own are not."""
    place = Path(tempfile.mkdtemp(prefix="recvault-pg-"))
    place.chmod(0o711)
    try:
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def cluster(home: Path, *options: str) -> Iterator[Cluster]:
    """A fresh one in a new directory of a :func:`room`, that runs, and is stopped afterwards."""
    made = Cluster(home=home)
    made.create()
    made.start(*options)
    try:
        yield made
    finally:
        made.stop("immediate")


def _user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None
