"""A real Ceph S3: facts of the server, and fresh buckets in it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from minio import Minio, S3Error
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from recvault.adapters.s3 import S3Settings
from tests.servers.run import HERE, VARIABLE, MissingServer, free_ports, give_up, shared, still_trusted

_PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool", "openssl", "curl")
STARTS = 2
"""Another server may have taken a port by then, or a machine that stood still kept a daemon from its turn."""

_INSTALL = "apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd openssl curl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceph:
    """``endpoint`` speaks http, ``tls_endpoint`` https with a certificate of the authority in ``ca_file``."""

    endpoint: str
    tls_endpoint: str
    ca_file: Path
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    def client(self) -> Minio:
        """A plain client, to prepare what a test looks at."""
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=60), retries=0)
        return Minio(
            self.endpoint, self.access_key, self.secret_key, secure=False, region=self.region, http_client=pool
        )

    def make_bucket(self, *, versioned: bool = False, locked: bool = False) -> str:
        """The name of a new, empty bucket. ServerFault when it takes longer than a loaded machine may."""
        name = f"t-{secrets.token_hex(6)}"
        client = self.client()
        still_trusted("ceph")
        try:
            client.make_bucket(name, object_lock=locked)
            if versioned:
                client.set_bucket_versioning(name, VersioningConfig(ENABLED))
        except (urllib3.exceptions.HTTPError, S3Error) as failure:
            raise give_up("ceph", f"{failure}\n{_last_words()}") from failure
        return name

    def settings(self, bucket: str, *, tls: bool = False) -> S3Settings:
        """Settings of a store in ``bucket``; quick to give up."""
        return S3Settings(
            endpoint=self.tls_endpoint if tls else self.endpoint,
            bucket=bucket,
            access_key=self.access_key,
            secret_key=self.secret_key,
            region=self.region,
            secure=tls,
            ca_file=self.ca_file if tls else None,
            concurrency=8,
            retries=2,
        )


def ceph() -> Ceph:
    """The run's Ceph, started at first use (about 10 s). ``CEPH_STORE=bluestore`` keeps it on disk."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise MissingServer(f"Ceph lacks {', '.join(missing)}: {_INSTALL}")
    facts = shared("ceph", _start)
    return Ceph(
        endpoint=facts["S3_ENDPOINT"],
        tls_endpoint=facts["S3_TLS_ENDPOINT"],
        ca_file=Path(facts["S3_CA"]),
        region=facts["S3_REGION"],
        access_key=facts["S3_ACCESS_KEY"],
        secret_key=facts["S3_SECRET_KEY"],
    )


def _last_words() -> str:
    """Which of its processes live, and the ends of their logs, for whoever reads why a run failed."""
    home = Path(os.environ[VARIABLE]) / "ceph"
    told = []
    for name in ("mon", "osd.0", "rgw"):
        pid = home / "run" / f"{name}.pid"
        lives = pid.exists() and Path("/proc", pid.read_text().strip()).exists()
        told.append(f"{name} {'runs' if lives else 'has ended'}")
    for log in sorted((home / "log").glob("*.log")):
        told += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-10:]]
    return "\n".join(told)


def _start(directory: Path) -> dict[str, str]:
    said = ""
    for _ in range(STARTS):
        environment = {"CEPH_STORE": "memstore"} | dict(os.environ)
        environment |= {
            "CEPH_DIR": str(directory / "ceph"),
            "CEPH_PORT": str(free_ports(3)),
            "CEPH_SECRET_KEY": secrets.token_hex(20),
        }
        done = _script("ceph-up.sh", environment)
        if done.returncode == 0:
            return dict(line.split("=", 1) for line in done.stdout.splitlines())
        said = _last_words()
        _script("ceph-down.sh", environment, "--wipe")
    raise RuntimeError(f"it did not start, {STARTS} times\n{said}")


def _script(name: str, environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HERE / name, *words],
        env=environment,
        check=False,
        timeout=180,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
