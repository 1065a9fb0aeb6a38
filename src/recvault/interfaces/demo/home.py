"""The demo's directory: made, recognised by a marker that only the demo writes, and replaced when it is run again.

Keeps: nothing is ever removed from a directory without the marker, nor while another demo runs in it; the configuration
written there uses absolute paths, so that every other command can be tried on the demo's archive.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from recvault.config.fields import host_of, is_loopback
from recvault.domain.errors import Conflict, InvalidInput
from recvault.interfaces.shipped import POLICY, shipped_policy

MARKER = ".recvault-demo"
MARK = "This directory was made by 'recvault demo', which replaces it when it is run again.\n"
ZONE = "Europe/Helsinki"
NOTICE = "demo-notice-1"
CACHE_SECONDS = 1
"""How long a destroyed key may stay in a process's memory: short, so that the last certificate can be shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """An empty bucket of an S3 store in place of the folder; ``keys`` holds ``access-key`` and ``secret-key``."""

    endpoint: str
    region: str
    name: str
    keys: Path

    def settings(self) -> dict[str, object]:
        """The ``[store]`` section. TLS, except on this machine."""
        keys = self.keys.absolute()
        return {
            "kind": "s3",
            "endpoint": self.endpoint,
            "region": self.region,
            "bucket": self.name,
            "access_key_file": str(keys / "access-key"),
            "secret_key_file": str(keys / "secret-key"),
            "tls": not is_loopback(host_of(self.endpoint)),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Where everything of the demo lies."""

    root: Path

    @property
    def config(self) -> Path:
        """The archive's configuration."""
        return self.root / "recvault.toml"

    @property
    def host(self) -> Path:
        """What would lie on the telephone exchange: recordings, token, spool."""
        return self.root / "telephone-exchange"

    @property
    def certificates(self) -> Path:
        """What is handed to a stranger."""
        return self.root / "certificates"


@contextmanager
def fresh(directory: Path) -> Iterator[Home]:
    """An empty demo directory, an earlier demo's replaced. Conflict when it is anybody else's, or in use."""
    root = Path(os.path.abspath(directory))  # noqa: PTH100 - a symbolic link is to be seen, not followed
    if root.is_symlink() or (root.exists() and not root.is_dir()):
        raise Conflict(f"{root} is not a directory of its own; name another one: recvault demo --data DIR")
    marker = root / MARKER
    if root.is_dir() and any(root.iterdir()) and not _is_ours(marker):
        raise Conflict(
            f"{root} was not made by the demo, and nothing in it was touched; name another directory: "
            "recvault demo --data DIR"
        )
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = marker.open("a", encoding="utf-8")
    except OSError as fault:
        raise InvalidInput(
            f"{root} cannot be used ({fault.strerror}); name another: recvault demo --data DIR"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another demo runs in {root}; stop it, or name another directory with --data") from None
        for entry in root.iterdir():
            if entry != marker:
                _remove(entry)
        lock.truncate(0)
        lock.write(MARK)
        lock.flush()
        yield Home(root=root)


def _is_ours(marker: Path) -> bool:
    try:
        return not marker.is_symlink() and marker.read_text("utf-8") in (MARK, "")
    except (OSError, UnicodeDecodeError):
        return False


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def write_config(home: Home, *, port: int, bucket: Bucket | None = None) -> None:
    """The configuration and the shipped policy. The nightly purge is put half a day away, so that nothing happens unseen
    while the demo is looked at."""
    root = home.root
    (root / POLICY).write_bytes(shipped_policy())
    night = datetime.now(ZoneInfo(ZONE)) + timedelta(hours=12)
    sections: dict[str, dict[str, object]] = {
        "controller": {"name": "Esimerkki Oy"},
        "server": {"host": "127.0.0.1", "port": port},
        "data": {"directory": str(root / "data")},
        "keyring": {
            "directory": str(root / "keyring"),
            "root_key_file": str(root / "root" / "recvault-root.key"),
            "cache_seconds": CACHE_SECONDS,
        },
        "ledger": {"second_directory": str(root / "ledger")},
        "sources": {"notice_ref": NOTICE, "balancing_test_ref": "demo-balancing-1"},
        "retention": {"policy_file": str(root / POLICY), "time_zone": ZONE},
        "access": {"second_factor": "off"},  # its people are invented: they hold neither phone nor passkey
        "approvals": {"proof": "account"},
        "purge": {"nightly_at": f"{night:%H:%M}"},
        "log": {"level": "error"},
    }
    if bucket is not None:
        sections["store"] = bucket.settings()
        sections["residency"] = {"allowed_endpoints": [bucket.endpoint]}
    lines = ["# The configuration of the demo's archive. Try: recvault --config THIS-FILE doctor"]
    for name, keys in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    home.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
