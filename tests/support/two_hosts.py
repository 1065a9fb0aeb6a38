"""Two hosts on this machine: network namespaces joined by one cable (veth), which can be pulled. Needs root and iproute2."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

TELEPHONY, ARCHIVE = "10.231.77.1", "10.231.77.2"
"""Addresses that only the two namespaces know."""


def hosts_missing() -> str | None:
    """Why there can be no two hosts here; None when there can."""
    if shutil.which("ip") is None:
        return "ip is missing; apt-get install -y --no-install-recommends iproute2"
    name = f"rv-probe-{secrets.token_hex(3)}"
    done = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    if done.returncode:
        return f"network namespaces cannot be made here (root is needed): {done.stderr.strip()}"
    _ip("netns", "del", name)
    return None


@dataclass(frozen=True, kw_only=True)
class Host:
    """A namespace and its end of the cable."""

    name: str
    device: str

    def command(self, *words: str | Path) -> list[str]:
        """The words, to be run on this host."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=cwd, env=environment(), check=False, capture_output=True, text=True,
            timeout=500, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, *words: str | Path, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(
                self.command(*words), cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def received(self) -> int:
        """Bytes that came over the cable."""
        path = f"/sys/class/net/{self.device}/statistics/rx_bytes"
        return int(subprocess.run(self.command("cat", path), check=True, capture_output=True, text=True).stdout)

    def cable(self, *, plugged: bool) -> None:
        """Pulls this end of the cable or puts it in again."""
        _ip("-n", self.name, "link", "set", self.device, "up" if plugged else "down")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """The telephony host and the archive's."""
    token = secrets.token_hex(3)
    with ExitStack() as made:
        hosts = []
        for letter, address in (("t", TELEPHONY), ("a", ARCHIVE)):
            host = Host(name=f"rv-{letter}-{token}", device=f"rv{letter}{token}")
            _ip("netns", "add", host.name)
            made.callback(_ip, "netns", "del", host.name)
            hosts.append((host, address))
        (left, _), (right, _) = hosts
        _ip("-n", left.name, "link", "add", left.device, "type", "veth", "peer", right.device, "netns", right.name)
        for host, address in hosts:
            _ip("-n", host.name, "address", "add", f"{address}/30", "dev", host.device)
            for device in ("lo", host.device):
                _ip("-n", host.name, "link", "set", device, "up")
        yield left, right


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)


def certificate(directory: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for the address, and its key."""
    found, key = directory / "tls.pem", directory / "tls.key"
    words: Sequence[str | Path] = (
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=archive", "-addext", f"subjectAltName=IP:{address}", "-out", found, "-keyout", key,
    )  # fmt: skip
    subprocess.run(words, check=True, capture_output=True)
    return found, key
