"""Each configuration shipped in config/ runs as it stands: a new archive, a source, an upload, playback, a purge foretold.

Only what belongs to this machine comes from the environment: addresses, names of bucket and database, directories.
Everything else is what the file says, as the processes read it: ``recvault serve``, ``recvault worker``, the commands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import make_url

from tests.servers.ceph import Ceph
from tests.servers.run import free_ports
from tests.support.archives import wav
from tests.support.authority import Authority, make_authority
from tests.support.mail_server import PASSWORD, Postbox, mail_server
from tests.support.serving import BOUNDARY, multipart

SHIPPED = Path(__file__).parents[2] / "config"
CALL = wav(bytes(range(256)) * 4000)
LONG_CALL = wav(bytes(range(256)) * 80_000)
"""20 MB: above the buffer and above one part of a multipart upload."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One shipped file on this machine: what the environment adds, and the processes that run."""

    file: Path
    home: Path
    environment: Mapping[str, str]
    processes: tuple[tuple[str, ...], ...]

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            [*self.program(), *map(str, words)],
            cwd=self.home,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def program(self) -> list[str]:
        return [sys.executable, "-m", "recvault", "--config", str(self.file)]

    def token(self, name: str) -> dict[str, str]:
        return {"Authorization": "Bearer " + (self.home / name).read_text().strip()}

    @contextmanager
    def running(self) -> Iterator[list[httpx.Client]]:
        """All processes; a client for each that serves."""
        with ExitStack() as ending:
            clients = []
            for number, words in enumerate(self.processes):
                log = self.home / f"log-{number}"
                port = free_ports(1)
                process = subprocess.Popen(
                    [*self.program(), *words],
                    cwd=self.home,
                    env={**self.environment, "RECVAULT__SERVER__PORT": str(port)},
                    stdin=subprocess.DEVNULL,
                    stdout=ending.enter_context(log.open("wb")),
                    stderr=subprocess.STDOUT,
                )
                ending.callback(end, process)
                if words[0] == "serve":
                    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
                    clients.append(ending.enter_context(client))
                    until(lambda client=client: ready(client), process, log)  # type: ignore[misc]
            yield clients


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


# --- the three sites


@pytest.fixture(params=["recvault.toml", "single-server.toml", "cluster.toml"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
    file = SHIPPED / request.param
    if request.param == "recvault.toml":
        return Site(file=file, home=tmp_path, environment=plain, processes=(("serve", "--all"),))
    box: Postbox = request.getfixturevalue("box")
    ceph: Ceph = request.getfixturevalue("ceph")
    database: str = request.getfixturevalue("new_pg_url")()
    halls = "bc" if request.param == "cluster.toml" else "b"
    here = outside(tmp_path, database, ceph, halls) | mailing(request.getfixturevalue("authority"), box)
    if request.param == "single-server.toml":
        here["RECVAULT__KEYRING__ROOT_KEY_FILE"] = str(tmp_path / "root.key")
        processes: tuple[tuple[str, ...], ...] = (("serve",), ("worker",))
    else:
        # The root key stays the credential that the file names; the first 'init' writes it there.
        processes = (("serve",), ("serve",), ("worker",))
    return Site(file=file, home=tmp_path, environment=plain | here, processes=processes)


def outside(home: Path, database: str, ceph: Ceph, halls: str) -> dict[str, str]:
    """What belongs to this machine: a PostgreSQL, a Ceph over TLS with its own authority, directories, credentials.
    ``halls``: letters of those that hold replicas of the keyring."""
    credentials = home / "credentials"
    credentials.mkdir(mode=0o700)
    url = make_url(database)
    secrets = {
        "database-password": url.password or "",
        "store-access-key": ceph.access_key,
        "store-secret-key": ceph.secret_key,
        "mail-password": PASSWORD,
    }
    for name, secret in secrets.items():
        file = credentials / name
        file.touch(0o400)
        file.write_text(secret)
    for hall in ("a", "b", "c"):
        (home / f"hall-{hall}").mkdir(mode=0o700)
    replicas = ", ".join(f'{{ directory = "{home}/hall-{hall}/keyring", place = "hall-{hall}" }}' for hall in halls)
    return {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "RECVAULT__DATA__DIRECTORY": str(home / "data"),
        "RECVAULT__DATABASE__URL": f"postgresql://{url.username}@{url.host}:{url.port}/{url.database}",
        "RECVAULT__STORE__ENDPOINT": ceph.tls_endpoint,
        "RECVAULT__STORE__REGION": ceph.region,
        "RECVAULT__STORE__BUCKET": ceph.make_bucket(),
        "RECVAULT__STORE__CA_FILE": str(ceph.ca_file),
        "RECVAULT__RESIDENCY__ALLOWED_ENDPOINTS": ceph.tls_endpoint,
        "RECVAULT__KEYRING__DIRECTORY": str(home / "hall-a" / "keyring"),
        "RECVAULT__KEYRING__REPLICAS": f"[{replicas}]",
        "RECVAULT__LEDGER__SECOND_DIRECTORY": str(home / "hall-b" / "ledger"),
        "RECVAULT__RETENTION__POLICY_FILE": str(home / "retention.toml"),
    }


def mailing(authority: Authority, box: Postbox) -> dict[str, str]:
    """The mail server of this machine; what is said to it is what the file says."""
    return {
        "RECVAULT__MAIL__HOST": "localhost",
        "RECVAULT__MAIL__PORT": str(box.port),
        "RECVAULT__MAIL__CA_FILE": str(authority.file),
    }


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return make_authority(tmp_path / "authority")


@pytest.fixture
def box(authority: Authority) -> Iterator[Postbox]:
    """Takes mail from the user that the shipped files name, over STARTTLS only."""
    with mail_server(starttls=authority.server("localhost"), sign_in=True, user="recvault") as started:
        yield started


# --- the journey


def upload(site: Site, client: httpx.Client, source_id: str, content: bytes, started: datetime) -> httpx.Response:
    said = {
        "source_id": source_id,
        "channel": "call",
        "started_at": started.isoformat(),
        "ended_at": (started + timedelta(minutes=5)).isoformat(),
        "remote": {"tel": "040 123 4501"},
    }
    headers = site.token("pbx") | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return client.post(
        "/v1/communications", content=multipart(("metadata", said), ("content", content)), headers=headers
    )


def gauges(client: httpx.Client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.split(" ") for line in lines)}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_archive_of_a_shipped_configuration(site: Site, request: pytest.FixtureRequest) -> None:
    site.run("init", "--recovery-kit", site.home / "kit.txt")
    site.run("keys", "confirm-backup")
    site.run("config", "check")
    mailed(site, request)
    for name, role in (("vera", "verifier"), ("paula", "privacy-handler")):
        site.run("user", "add", name, "--role", role, "--token-file", site.home / name)
    site.run("policy", "sign", "--as", "paula")
    site.run("source", "add", "pbx", "--token-file", site.home / "pbx")
    now = datetime.now(UTC)
    with site.running() as clients:
        first, last = clients[0], clients[-1]
        for source_id, content in (("call-1", CALL), ("long-1", LONG_CALL)):
            stored = upload(site, first, source_id, content, now - timedelta(hours=1))
            assert stored.status_code == 201, stored.text
            again = upload(site, last, source_id, content, now - timedelta(hours=1))
            assert (again.status_code, again.json()["id"]) == (200, stored.json()["id"])
            play(site, first, last, stored.json()["id"], content)
        assert upload(site, last, "old-1", CALL, now - timedelta(days=3000)).status_code == 201
        foretold = json.loads(site.run("purge", "--dry-run", "--json"))
        assert (foretold["due"], foretold["destroyed"]) == (1, [])
        well(site, clients)


def mailed(site: Site, request: pytest.FixtureRequest) -> None:
    """A test message goes out as the file says; without a server it is printed."""
    told = json.loads(site.run("mail", "test", "operations@company.example", "--json"))
    assert told["sent"] == ("RECVAULT__MAIL__HOST" in site.environment)
    if told["sent"]:
        box: Postbox = request.getfixturevalue("box")
        assert box.envelopes == [("archive@company.example", ["operations@company.example"])]
        assert box.mails[0]["From"] == "Archive <archive@company.example>" and box.signed_in == [True]


def play(site: Site, opener: httpx.Client, player: httpx.Client, communication_id: str, content: bytes) -> None:
    """Opened at one process, played from another."""
    why = {"purpose": "verification", "case_ref": "CASE-000001"}
    vera = site.token("vera")
    opened = opener.post(f"/v1/communications/{communication_id}/open", json=why, headers=vera).json()
    ranged = player.get(opened["playback"], headers=vera | {"Range": "bytes=70000-99999"})
    assert (ranged.status_code, ranged.content) == (206, content[70000:100000])
    assert player.get(opened["playback"], headers=vera).content == content


def well(site: Site, clients: list[httpx.Client]) -> None:
    """Every process sees the same archive in order, and the worker alive."""
    deadline = time.monotonic() + 120
    while any(gauges(client)["recvault_last_tick_age_seconds"] > 60 for client in clients):
        assert time.monotonic() < deadline
        time.sleep(1)
    for client in clients:
        told = gauges(client)
        for name in ("database_reachable", "store_reachable", "place_in_order", "keyring_in_step"):
            assert told[f"recvault_{name}"] == 1, name
        assert (told["recvault_due"], told["recvault_overdue"]) == (1, 1)
