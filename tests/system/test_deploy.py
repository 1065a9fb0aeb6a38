"""What is shipped in deploy/: units as systemd reads them, and the proxy as Caddy runs it."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest

from recvault.domain.access import Role
from recvault.interfaces.cli.source_certificates import read_certificate
from recvault.interfaces.hook.client import ArchiveClient
from tests.servers.run import free_ports
from tests.support.archives import World, configuration, make_world, memory_parts, wav
from tests.support.installed import program
from tests.support.marks import PASSING, SEALED, marks_in
from tests.support.serving import BOUNDARY, Served, multipart, serve

ROOT = Path(__file__).parents[2]
API = ROOT / "deploy" / "systemd" / "recvault-api.service"
WORKER = ROOT / "deploy" / "systemd" / "recvault-worker.service"
HOOK = ROOT / "deploy" / "hook" / "recvault-hook.service"
UNITS = pytest.mark.parametrize("unit", [API, WORKER, HOOK], ids=lambda path: path.stem)
CADDYFILE = ROOT / "deploy" / "caddy" / "Caddyfile"
FOR_SOURCES = CADDYFILE.with_name("sources.caddy")
INSTALLED = "/opt/recvault/bin/recvault"


# --- systemd


class Unit(configparser.RawConfigParser):
    """A unit file: keys as they are, and every value of those that stand several times."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read(path)
        self.lines = path.read_text("utf-8").splitlines()

    def all(self, key: str) -> list[str]:
        return [line.partition("=")[2] for line in self.lines if line.startswith(f"{key}=")]


@UNITS
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    ours = Path(sys.executable).with_name("recvault")
    copy.write_text(unit.read_text("utf-8").replace(INSTALLED, str(ours)))
    command = [program("systemd-analyze", "systemd"), "verify", "--man=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert (done.returncode, done.stderr) == (0, "")


@UNITS
def test_systemd_finds_little_exposed(unit: Path) -> None:
    """Of ten; what is left is the network, local sockets and the file system that the processes need."""
    command = [program("systemd-analyze", "systemd"), "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stdout[-300:]


@UNITS
def test_keys_and_plaintext_reach_no_disk(unit: Path) -> None:
    service = Unit(unit)["Service"]
    wanted = {
        "LimitCORE": "0",
        "MemorySwapMax": "0",
        "UMask": "0077",
        "PrivateTmp": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "CapabilityBoundingSet": "",
        "MemoryDenyWriteExecute": "yes",
    }
    assert {key: service[key] for key in wanted} == wanted
    assert service["User"] not in ("", "root")


def test_api_and_worker_are_confined_alike() -> None:
    own = {"ExecStart", "TimeoutStopSec"}
    api, worker = dict(Unit(API)["Service"]), dict(Unit(WORKER)["Service"])
    assert {key for key in api if api[key] != worker.get(key)} == own and api.keys() == worker.keys()


@UNITS
def test_the_command_of_a_unit_is_one_of_the_program(unit: Path) -> None:
    words = Unit(unit)["Service"]["ExecStart"].split()
    assert words[0] == INSTALLED
    command = [word for word in words[1:] if not word.startswith(("-", "/"))]
    done = subprocess.run([sys.executable, "-m", "recvault", *command, "--help"], capture_output=True, check=False)
    assert done.returncode == 0


def test_units_load_the_credentials_that_the_shipped_configurations_name() -> None:
    def named(name: str) -> set[str]:
        return set(re.findall(r'"credential:([a-z-]+)"', (ROOT / "config" / name).read_text("utf-8"))) - {"NAME"}

    for path in (API, WORKER):
        unit = Unit(path)
        loaded = {value.partition(":")[0] for value in unit.all("LoadCredential")}
        assert loaded == named("single-server.toml")
        possible = {value.partition(":")[0] for value in unit.all("#LoadCredential")}
        assert loaded | possible == named("cluster.toml")


@cache
def calls_of(group: str) -> frozenset[str]:
    """The system calls of one of systemd's groups."""
    command = [program("systemd-analyze", "systemd"), "syscall-filter", group]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500).stdout
    found: set[str] = set()
    for line in (line.strip() for line in said.splitlines()[1:]):
        if line and not line.startswith("#"):
            found |= calls_of(line) if line.startswith("@") else {line}
    return frozenset(found)


@pytest.mark.slow
def test_the_filter_of_system_calls_lets_the_program_work(tmp_path: Path) -> None:
    """The whole walk of the demo (hook, API, worker, purge), its calls noted and compared with the filter."""
    allowed, *refused = Unit(API).all("SystemCallFilter")
    assert Unit(HOOK).all("SystemCallFilter") == Unit(API).all("SystemCallFilter")
    free = calls_of(allowed).difference(
        *(calls_of(name) for line in refused for name in line.removeprefix("~").split())
    )
    trace = tmp_path / "trace"
    command = [program("strace", "strace"), "-f", "-qq", "-o", str(trace), sys.executable, "-m", "recvault"]
    command += ["demo", "--once", "--data", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    used = set(re.findall(r"^\d+ +([a-z_0-9]+)\(", trace.read_text("utf-8", "replace"), re.MULTILINE))
    # SQLite gives its files to the owner of the database when it runs as root; the units do not.
    assert len(used) > 50 and used - free <= {"fchown"}


WITHOUT_WRITABLE_CODE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "recvault", "demo", "--once", "--data", sys.argv[1]])
"""


@pytest.mark.slow
def test_the_program_works_without_memory_that_is_writable_and_code(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute asks for, by the kernel's own switch (Linux 6.3)."""
    command = [sys.executable, "-c", WITHOUT_WRITABLE_CODE, str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]


# --- Caddy


class Proxy:
    """Caddy before a server, as the shipped file has it; ``log`` is what it wrote."""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.port, self.log = free_ports(1), directory / "log"
        self.config = CADDYFILE
        self.certificate, key = directory / "site.pem", directory / "site.key"
        command = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {self.certificate}"
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([program("openssl", "openssl"), *command.split(), *names], check=True, capture_output=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "RECVAULT_SITE": f"https://localhost:{self.port}",
            "RECVAULT_TLS": f"{self.certificate} {key}",
            "RECVAULT_UPSTREAM": f"127.0.0.1:{upstream}",
        }

    def caddy(self, *words: str) -> list[str]:
        return [program("caddy", "caddy"), *words, "--config", str(self.config), "--adapter", "caddyfile"]

    def client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=f"https://localhost:{self.port}", verify=trust, timeout=120)

    @contextmanager
    def running(self) -> Iterator[httpx.Client]:
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.caddy("run"), env=self.environment, stdout=log, stderr=log)
        try:
            with self.client() as client:
                deadline = time.monotonic() + 120
                while True:
                    assert process.poll() is None and time.monotonic() < deadline, self.log.read_text()
                    try:
                        client.get("/healthz")
                        break
                    except httpx.TransportError:
                        time.sleep(0.1)
                yield client
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def world() -> Iterator[World]:
    made = make_world()
    with made.archive:
        yield made


def test_caddy_understands_its_file(tmp_path: Path) -> None:
    proxy = Proxy(tmp_path, 8470)
    done = subprocess.run(proxy.caddy("validate"), env=proxy.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for file in (CADDYFILE, FOR_SOURCES):
        formatted = subprocess.run(
            [program("caddy", "caddy"), "fmt", str(file)], capture_output=True, text=True, check=True
        )
        assert formatted.stdout == file.read_text("utf-8")


def upload(client: httpx.Client, token: str, content: bytes) -> httpx.Response:
    said = {
        "source_id": SEALED["source id"],
        "channel": "call",
        "started_at": "2026-11-22T11:00:00Z",
        "filename": SEALED["file name"],
        "remote": {"tel": "040 123 4501", "name": SEALED["remote name"]},
    }
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "User-Agent": PASSING["user agent"],
        "Cookie": f"c={PASSING['cookie']}",
        "Referer": f"https://{PASSING['referer']}.example/",
    }
    body = multipart(("metadata", said), ("content", content))
    return client.post(f"/v1/communications?q={PASSING['query']}", content=body, headers=headers)


def test_upload_and_playback_through_the_proxy_leave_no_mark_in_its_log(world: World, tmp_path: Path) -> None:
    call = wav(SEALED["content"].encode() + bytes(3_000_000))
    vera = {"Authorization": "Bearer " + world.archive.sessions.issue_token(Role.VERIFIER.value, by="system:test")}
    with ExitStack() as server:
        served = server.enter_context(serve(world.archive))
        proxy = Proxy(tmp_path, served.port)
        with proxy.running() as client:
            stored = upload(client, world.token, call)
            assert stored.status_code == 201, stored.text
            assert "max-age" in stored.headers["strict-transport-security"] and "server" not in stored.headers
            why = {"purpose": "verification", "reason": "complaint"}
            playback = client.post(f"{stored.headers['location']}/open", json=why, headers=vera).json()["playback"]
            ranged = client.get(playback, headers=vera | {"Range": "bytes=1000-1999"})
            assert (ranged.status_code, ranged.content) == (206, call[1000:2000])
            assert client.get(playback + "?" + PASSING["query"], headers=vera).content == call
            refuse_what_is_inside(client, served)
            server.close()
            assert client.get(playback + "?" + PASSING["query"], headers=vera).status_code == 502
        grant = playback.rpartition("/")[2]
        said = proxy.log.read_text("utf-8")
        secrets = [grant, world.token, vera["Authorization"].split()[1]]
    assert marks_in(said.encode()) == [] and [secret for secret in secrets if secret in said] == []
    entries = [json.loads(line) for line in said.splitlines()]
    assert [entry["request"]["uri"] for entry in entries if entry.get("status") == 201] == ["/v1/communications"]
    errors = [entry for entry in entries if entry.get("logger", "").startswith("http.log.error")]
    assert errors and all("headers" not in entry["request"] for entry in entries if "request" in entry)
    assert {entry["request"]["uri"] for entry in errors} == {"/v1/playback/"}


def test_the_desk_opens_through_the_proxy_under_its_name_alone(tmp_path: Path) -> None:
    parts, proxy = memory_parts(), Proxy(tmp_path, 0)
    parts.config = configuration(
        SERVER__PUBLIC_URL=proxy.environment["RECVAULT_SITE"],
        SERVER__TRUSTED_PROXIES='["127.0.0.1"]',
        ACCESS__SECOND_FACTOR="required",
    )
    world = make_world(parts=parts)
    with world.archive, serve(world.archive) as served:
        proxy.environment["RECVAULT_UPSTREAM"] = f"127.0.0.1:{served.port}"
        with proxy.running() as client:
            page = client.get("/sign-in")
            assert page.status_code == 200 and len(page.headers.get_list("strict-transport-security")) == 1
            wrong = client.post(
                "/sign-in", data={"name": "x", "password": "y"}, headers={"Origin": "https://evil.example"}
            )
            assert wrong.status_code == 403
            own = {"Origin": str(client.base_url)}
            assert client.post("/sign-in", data={"name": "x", "password": "y"}, headers=own).status_code == 401
            forged = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "evil.example"}
            assert client.get("/sign-in", headers=forged).status_code == 200, "the proxy says it better"
        assert served.client.get("/sign-in", headers={"X-Forwarded-Proto": "https"}).status_code == 403


def own_certificate(directory: Path, name: str) -> Path:
    """A certificate that its source signed itself, and its key, as the hook wants them: one file."""
    file, key = directory / f"{name}.pem", directory / f"{name}.key"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    words = [*command.split(), "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(file)]
    subprocess.run([program("openssl", "openssl"), *words], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + key.read_bytes())
    file.chmod(0o600)
    return file


def test_a_source_comes_in_with_its_certificate_alone(tmp_path: Path) -> None:
    parts, proxy = memory_parts(), Proxy(tmp_path, 0)
    parts.config = configuration(
        SERVER__PUBLIC_URL=proxy.environment["RECVAULT_SITE"],
        SERVER__TRUSTED_PROXIES='["127.0.0.1"]',
        ACCESS__SECOND_FACTOR="required",
    )
    world = make_world(parts=parts)
    proxy.config = tmp_path / "Caddyfile"
    proxy.config.write_text(CADDYFILE.read_text("utf-8").replace("# import sources.caddy", f"import {FOR_SOURCES}"))
    door = free_ports(1)
    proxy.environment["RECVAULT_SOURCES_SITE"] = f"https://localhost:{door}"
    own, others = own_certificate(tmp_path, "pbx"), own_certificate(tmp_path, "stranger")
    token = tmp_path / "token"
    token.write_text(world.token)
    token.chmod(0o600)
    fingerprint, ends = read_certificate(own.read_bytes())
    der = ssl.PEM_cert_to_DER_cert(own.read_text("ascii").partition("-----BEGIN PRIVATE")[0])
    forged = {"Client-Cert": f":{base64.b64encode(der).decode()}:"}
    with world.archive, serve(world.archive) as served:
        proxy.environment["RECVAULT_UPSTREAM"] = f"127.0.0.1:{served.port}"
        world.archive.sources.bind("pbx", fingerprint, not_after=ends, by="system:test")

        def status(certificate: Path | None, port: int) -> int:
            client = ArchiveClient(
                url=f"https://localhost:{port}",
                token_file=token,
                ca_file=proxy.certificate,
                certificate_file=certificate,
            )
            try:
                return client.edge_key().status
            finally:
                client.close()

        with proxy.running() as client:
            assert [status(one, door) for one in (own, others, None)] == [200, 401, 401]
            assert status(own, proxy.port) == 401, "nobody is asked for a certificate at the desk's name"
            bearer = {"Authorization": f"Bearer {world.token}"}
            for port in (door, proxy.port):
                answer = client.get(f"https://localhost:{port}/v1/edge-key", headers=bearer | forged)
                assert (answer.status_code, answer.json()["type"]) == (401, "/problems/certificate-required")
            assert client.get(f"https://localhost:{door}/sign-in").status_code == 404
            assert served.client.get("/v1/edge-key", headers=bearer | forged).status_code == 401


def refuse_what_is_inside(client: httpx.Client, served: Served) -> None:
    """Gauges and the plain page are for the machine itself."""
    assert served.client.get("/metrics").status_code == 200
    assert client.get("/metrics").status_code == 404
    assert client.get("/", follow_redirects=False).status_code in (403, 404)
