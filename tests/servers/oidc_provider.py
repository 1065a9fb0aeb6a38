"""Two real issuers of OpenID Connect in one process: the certified ``oidc-provider`` of npm with a small script of ours.

The package is installed once, at an exact version, into the virtual environment's directory; npm checks the integrity of
every file. No script of a package is run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers.run import HERE, ROOT, MissingServer, free_ports, shared

PACKAGE, VERSION = "oidc-provider", "8.8.1"
CACHE = ROOT / ".venv" / f"{PACKAGE}-{VERSION}"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
SCRIPT = HERE / "oidc-provider" / "provider.mjs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """``first`` puts claims into ID tokens, ``second`` leaves them to UserInfo; both are issuers' addresses."""

    first: str
    second: str

    def register(self, issuer: str, **metadata: Any) -> dict[str, Any]:
        """A new client with this metadata; what the issuer knows of it, its id and secret among that."""
        answer = httpx.post(f"{issuer}/reg", json={"response_types": ["code"], **metadata}, timeout=60)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


def provider() -> Provider:
    """The run's provider, started at first use."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise MissingServer("node or npm is missing: apt-get install nodejs npm")
    facts = shared("oidc", _start)
    return Provider(first=facts["first"], second=facts["second"])


def _library() -> Path:
    """Where the package is; installed under a lock when it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "done").exists():
            options = [
                "--no-save",
                "--no-package-lock",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]
            done = subprocess.run(
                ["npm", "install", *options, "--prefix", CACHE, f"{PACKAGE}@{VERSION}"],
                check=False,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=500,
            )
            if done.returncode:
                raise MissingServer(f"npm could not install {PACKAGE} {VERSION}; see that it reaches its registry")
            (CACHE / "done").touch()
    return CACHE / "node_modules" / PACKAGE


def _environment() -> dict[str, str]:
    """Node brings authorities of its own and leaves out those that this machine was told to trust."""
    trusted = {"NODE_EXTRA_CA_CERTS": str(AUTHORITIES)} if AUTHORITIES.exists() else {}
    return trusted | os.environ


def _start(directory: Path) -> dict[str, str]:
    library = _library()
    home = directory / "oidc"
    home.mkdir(mode=0o700)
    port = free_ports(2)
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            ["node", SCRIPT, library, home, str(port)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    end = time.monotonic() + 60
    while not (home / "ready").exists():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise RuntimeError(f"the issuer did not start: {(home / 'log').read_text()[-2000:]}")
        time.sleep(0.02)
    return {"first": f"http://127.0.0.1:{port}", "second": f"http://127.0.0.1:{port + 1}"}
