"""The compose file: valid, confined, without secrets; what it names is there, and its scripts do their work.

Containers are not run: what runs in them (the program, its configuration, the two scripts) is run without them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from minio import Minio

from recvault.config import load, read_secret
from tests.servers.ceph import Ceph
from tests.servers.run import free_ports
from tests.support.installed import program

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The compose file as docker-compose understands it, with all profiles; valid by its schema."""
    command = [
        program("docker-compose", "docker-compose"),
        "-f",
        str(COMPOSE / "compose.yaml"),
        "--profile",
        "commands",
    ]
    done = subprocess.run([*command, "config"], capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    # The same package brings Debian's own reader of YAML.
    reader = [
        program("/usr/bin/python3", "python3-yaml"),
        "-c",
        "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))",
    ]
    read = subprocess.run(reader, input=done.stdout, capture_output=True, text=True, check=True, timeout=500)
    return dict(json.loads(read.stdout))


def test_containers_of_the_archive_are_confined(composed: dict[str, Any]) -> None:
    for name in ("api", "worker", "recvault"):
        service = composed["services"][name]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "user" not in service
        assert service["security_opt"] == ["no-new-privileges:true"] and service["ulimits"] == {"core": 0}
        assert service["mem_limit"] == service["memswap_limit"], "no swap"
    assert [name for name, service in composed["services"].items() if service.get("privileged")] == []
    assert [name for name, service in composed["services"].items() if service.get("ports")] == ["store"]
    assert [port["target"] for port in composed["services"]["store"]["ports"]] == [443]


def test_no_secret_stands_in_the_compose_file(composed: dict[str, Any]) -> None:
    words = re.compile(r"password|secret|token|key", re.IGNORECASE)
    for service in composed["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not words.search(name) or str(value).startswith("/credentials/"), name


def test_files_that_the_compose_file_names_are_there(composed: dict[str, Any]) -> None:
    for service in composed["services"].values():
        if build := service.get("build"):
            assert Path(build["context"]) == ROOT and (ROOT / build["dockerfile"]).is_file()
        for volume in service["volumes"]:
            source = str(volume).partition(":")[0] if isinstance(volume, str) else str(volume["source"])
            if source.startswith("/") and not source.endswith("/certificates"):
                assert Path(source).exists(), source
    for dockerfile in COMPOSE.glob("Dockerfile*"):
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile.read_text("utf-8"), re.MULTILINE):
            assert [name for name in line.split() if not (ROOT / name).exists()] == []


def test_the_configuration_in_the_containers_is_in_order(composed: dict[str, Any]) -> None:
    config = load(COMPOSE / "recvault.toml", {"CREDENTIALS_DIRECTORY": "/credentials/recvault"})
    mounted = [str(volume).split(":")[1] for volume in composed["services"]["api"]["volumes"]]
    replicas = [replica.directory for replica in config.keyring.replicas]
    kept = [config.data.directory, config.keyring.directory, config.keyring.root_key_file, *replicas]
    for path in (*kept, config.ledger.second_directory, config.retention.policy_file):
        assert any(path.is_relative_to(where) for where in mounted), path
    # Keys lie in volumes of their own, so that a copy of the data does not bring them along.
    homes = [max((where for where in mounted if path.is_relative_to(where)), key=len) for path in kept[:3]]
    assert len(set(homes)) == 3
    site = composed["services"]["proxy"]["environment"]["RECVAULT_SITE"]
    assert site == config.server.public_url


def test_setup_makes_secrets_that_the_program_takes(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("gives files to other users, which takes root")
    for _ in range(2):
        command = ["/bin/sh", str(COMPOSE / "setup.sh")]
        subprocess.run(
            command, env={"PATH": os.environ["PATH"], "ROOT": str(tmp_path)}, check=True, capture_output=True
        )
    made = {str(path.relative_to(tmp_path / "credentials")): path for path in tmp_path.glob("credentials/*/*")}
    words = {name: read_secret(path) for name, path in made.items()}
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o400}
    assert words["recvault/database-password"] == words["database/password"]
    assert words["recvault/store-access-key"] == words["store/access-key"]
    assert words["recvault/store-secret-key"] == words["store/secret-key"]
    assert len(set(words.values())) == 3 and all(re.fullmatch(r"[0-9a-f]{40}", word) for word in words.values())
    assert {path.stat().st_uid for name, path in made.items() if name.startswith("recvault")} == {10001}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_store_of_the_compose_file_starts_takes_an_object_and_stops(ceph: Ceph, tmp_path: Path) -> None:
    """Its script, run here instead of in its container. The suite's own Ceph shows that the programs are there."""
    for name in ("access-key", "secret-key"):
        (tmp_path / name).write_text(f"word-of-{name}\n")
    port, home = free_ports(3), Path(mkdtemp(prefix="s3-"))
    environment = {
        "PATH": os.environ["PATH"],
        "CREDENTIALS": str(tmp_path),
        "STORE_SCRIPTS": str(ROOT / "tests" / "servers"),
        "CEPH_DIR": str(home),
        "CEPH_PORT": str(port),
        "CEPH_STORE": "memstore",
        "CEPH_SIZE_GB": "1",
    }
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen([COMPOSE / "store.sh"], env=environment, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 180
        while "store ready" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        client = Minio(f"127.0.0.1:{port}", "word-of-access-key", "word-of-secret-key", secure=False, region="fi-hel1")
        client.put_object("recvault", "x", BytesIO(b"abc"), 3)
        process.terminate()
        assert process.wait(60) == 0
        assert "word-of" not in log.read_text()
    finally:
        process.terminate()
        process.wait(60)
        subprocess.run([ROOT / "tests" / "servers" / "ceph-down.sh", "--wipe"], env=environment, check=False)
        shutil.rmtree(home, ignore_errors=True)
