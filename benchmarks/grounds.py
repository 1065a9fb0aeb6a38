"""The two grounds that are measured: the embedded default, and PostgreSQL with Ceph RGW, each an archive made for real.

Leaves to ``tests.servers`` how servers are started, and to the program itself everything else: the archive is initialised
and served as an operator would. The keyring, the ledger and what is compared with lie on the same disk.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy.engine import make_url

from benchmarks.bare import Bare, FolderBare, S3Bare
from recvault import bootstrap
from recvault.config import Config, load
from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import Source, actor_of
from tests.servers.ceph import ceph
from tests.servers.postgresql import fresh_database
from tests.servers.run import ROOT, free_ports

POLICY = ROOT / "config" / "retention.toml"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """An initialised archive, who may use it, and the bare way to the same store."""

    name: str
    config_file: Path
    port: int
    source: Source
    source_token: str
    listener: Actor
    listener_token: str
    bare: Bare

    def config(self) -> Config:
        """The archive's configuration."""
        return load(self.config_file, _environment())


@contextmanager
def embedded(directory: Path) -> Iterator[Ground]:
    """SQLite and a folder: what ``recvault init`` makes unless told otherwise."""
    bare = FolderBare(directory / "bare")
    yield _make("SQLite + folder", directory, {}, bare)


@contextmanager
def cluster(directory: Path) -> Iterator[Ground]:
    """PostgreSQL and Ceph RGW, both with their defaults for durability."""
    directory.mkdir(parents=True)
    store = ceph()
    bucket, other = store.make_bucket(), store.make_bucket()
    with fresh_database() as url:
        database = make_url(url)
        secrets = {"access": store.access_key, "secret": store.secret_key, "password": str(database.password)}
        for name, secret in secrets.items():
            (directory / name).touch(0o600)
            (directory / name).write_text(secret)
        address = f"postgresql://{database.username}@{database.host}:{database.port}/{database.database}"
        sections: dict[str, dict[str, object]] = {
            "database": {"url": address, "password_file": str(directory / "password")},
            "store": {
                "kind": "s3",
                "endpoint": store.endpoint,
                "region": store.region,
                "bucket": bucket,
                "access_key_file": str(directory / "access"),
                "secret_key_file": str(directory / "secret"),
                "tls": False,
            },
            "residency": {"allowed_endpoints": [store.endpoint]},
        }
        yield _make("PostgreSQL + Ceph", directory, sections, S3Bare(store, other))


@contextmanager
def serving(ground: Ground) -> Iterator[int]:
    """The real server with its worker in a process of its own; gives its pid."""
    command = [sys.executable, "-m", "recvault", "--config", str(ground.config_file), "serve", "--all"]
    with (ground.config_file.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _await_ready(ground.port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _make(name: str, directory: Path, sections: Mapping[str, Mapping[str, object]], bare: Bare) -> Ground:
    port = free_ports(1)
    config_file = directory / "recvault.toml"
    _write_config(config_file, directory, port, sections)
    config = load(config_file, _environment())
    bootstrap.initialise(config, recovery_kit=directory / "kit" / "kit.txt")
    with bootstrap.build(config) as archive:
        archive.keyring.confirm_backup()
        bootstrap.start(archive)
        source, token = archive.sources.add("bench", by="system:bench")
        roles = (Role.VERIFIER, Role.PRIVACY_HANDLER)
        person = archive.accounts.add_user(
            "bench",
            display_name="bench",
            password=None,
            grants=tuple(Grant(role=role) for role in roles),
            by="system:bench",
        )
        archive.retention.sign(actor_of(person), archive.retention.active().version)
        listener_token = archive.sessions.issue_token("bench", by="system:bench")
    return Ground(
        name=name,
        config_file=config_file,
        port=port,
        source=source,
        source_token=token,
        listener=actor_of(person),
        listener_token=listener_token,
        bare=bare,
    )


def _write_config(file: Path, directory: Path, port: int, sections: Mapping[str, Mapping[str, object]]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kit").mkdir()
    night = datetime.now().astimezone() + timedelta(hours=12)  # the nightly purge stays out of the way
    common: dict[str, dict[str, object]] = {
        "controller": {"name": "Esimerkki Oy"},
        "server": {"port": port},
        "data": {"directory": str(directory / "data")},
        "keyring": {"directory": str(directory / "keyring"), "root_key_file": str(directory / "root" / "root.key")},
        "ledger": {"second_directory": str(directory / "ledger")},
        "retention": {"policy_file": str(POLICY)},
        "purge": {"nightly_at": f"{night:%H:%M}"},
        "log": {"level": "info"},
    }
    lines: list[str] = []
    for name, keys in {**common, **sections}.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    file.touch(0o600)
    file.write_text("\n".join(lines), encoding="utf-8")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT__")}


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the server did not become ready; see server.log beside its configuration")
