"""The telephony host of the test: Asterisk 22, its own Python and the shipped hook, in a disposable root.

The built chroot stays as it is: each run puts an overlay over it, so runs neither dirty it nor meet each
other. Mounts and processes live in the namespaces that run.sh made, and end with them.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parents[1] / "deploy" / "asterisk"
CALLS = Path("var/spool/asterisk/recvault")  # where the snippet puts recordings, below the root
SPOOL = Path("var/spool/recvault")  # where the hook keeps what it has sealed, below the root
USER = "asterisk"


class TelephonyHost:
    """A root directory with a running Asterisk in it; looks inside, and runs commands as its user."""

    def __init__(self, *, base: Path, work: Path) -> None:
        self.root = work / "host"
        self._work = work
        self._base = base

    def mount(self) -> None:
        """Lay the overlay, and install what a telephony administrator would install, with the same rights."""
        layers = self._work / "layers"
        for directory in (layers, self.root):
            directory.mkdir()
        if not self._overlay(layers):  # a container's own disk is an overlay, and none can be laid on it
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers], check=True)
            if not self._overlay(layers):
                raise AssertionError("no overlay can be mounted here; run this on a machine or in a container that may")
        subprocess.run(["mount", "-t", "proc", "proc", self.root / "proc"], check=True)
        subprocess.run(["mount", "--bind", "/dev", self.root / "dev"], check=True)
        etc = self.root / "etc/asterisk"
        for source in (*(HERE / "etc").glob("*.conf"), DEPLOY / "extensions_recvault.conf"):
            shutil.copyfile(source, etc / source.name)
        hook = self.root / "usr/local/lib/recvault/asterisk-hook"
        hook.parent.mkdir(parents=True)
        shutil.copyfile(DEPLOY / "asterisk-hook", hook)
        hook.chmod(0o755)
        for directory in (CALLS, SPOOL, Path("run/asterisk")):
            self.run(["install", "-d", "-o", USER, "-g", USER, "-m", "0700", f"/{directory}"], user="root")

    def _overlay(self, layers: Path) -> bool:
        for name in ("upper", "inner"):
            (layers / name).mkdir()
        options = f"lowerdir={self._base},upperdir={layers}/upper,workdir={layers}/inner"
        command = ["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def run(self, command: Sequence[str], *, user: str = USER, check: bool = True) -> str:
        """Run a command inside, as the telephony user, in an environment of its own; its standard output."""
        done = subprocess.run(
            ["chroot", f"--userspec={user}:{user}", self.root, *command],
            env={
                "PATH": "/opt/recvault/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": "/",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            check=False,
            text=True,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start Asterisk as its own user, as the Debian service does, and wait until it is ready."""
        out = (self._work / "asterisk.out").open("wb")
        command = ["chroot", str(self.root), "asterisk", "-f", "-U", USER, "-G", USER]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + 30
        while "fully booted" not in self.cli("core waitfullybooted", check=False):
            if time.monotonic() > deadline:
                raise AssertionError(f"Asterisk did not start:\n{self.log()[-4000:]}")
            time.sleep(0.25)

    def cli(self, command: str, *, check: bool = True) -> str:
        """One command of Asterisk's own console."""
        return self.run(["asterisk", "-rx", command], user="root", check=check)

    def log(self) -> str:
        """Everything Asterisk logged."""
        file = self.root / "var/log/asterisk/messages"
        return file.read_text(errors="replace") if file.exists() else ""
