"""A real PostgreSQL with its defaults (fsync on), run by a user without rights, and fresh databases in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.servers.run import MissingServer, free_ports, shared

_INSTALL = "apt-get install -y --no-install-recommends postgresql"
_USER = "recvault"


def programs() -> Path:
    """Debian keeps them out of the path, by version."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name))
    found = shutil.which("postgres")
    if found is None:
        raise MissingServer(f"PostgreSQL lacks initdb and postgres: {_INSTALL}")
    return Path(found).resolve().parent


def server() -> dict[str, str]:
    """``port``, ``password`` and ``directory`` (of the unix socket) of the run's server, started at first
    use.
    """
    programs()
    return shared("postgresql", _start)


def url(facts: dict[str, str], database: str) -> str:
    """For SQLAlchemy with psycopg 3."""
    return f"postgresql+psycopg://{_USER}:{facts['password']}@127.0.0.1:{facts['port']}/{database}"


@contextmanager
def fresh_database() -> Iterator[str]:
    """The address of a new, empty database that is dropped afterwards."""
    facts = server()
    name = f"t_{secrets.token_hex(6)}"
    admin = url(facts, "postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield url(facts, name)
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _start(directory: Path) -> dict[str, str]:
    where = programs()
    home = directory / "pg"
    home.mkdir(mode=0o700)
    user = "nobody" if os.geteuid() == 0 else None
    password, port = secrets.token_hex(16), free_ports(1)
    word = home / "word"
    word.touch(0o600)
    word.write_text(password)
    if user:
        shutil.chown(home, user)
        shutil.chown(word, user)

    def run(*command: str | Path) -> None:
        done = subprocess.run(
            command,
            user=user,
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr}; see {home}/log")

    data, control = home / "data", where / "pg_ctl"
    run(where / "initdb", "-D", data, "-U", _USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
        f"--pwfile={word}")  # fmt: skip
    stop = ["-D", str(data), "-m", "fast", "-w", "stop"]
    (home / "stop.json").write_text(json.dumps({"command": [str(control), *stop], "user": user}))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home}"
    run(control, "-D", data, "-l", home / "log", "-o", options, "-w", "-t", "60", "start")
    return {"port": str(port), "password": password, "directory": str(home)}
