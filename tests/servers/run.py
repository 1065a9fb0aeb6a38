"""One directory and one set of servers for a test run, however many worker processes share it.

The controlling process makes the directory and names it in the environment before workers start. Whoever
needs a server first starts it under a lock. The controller stops all of them at the end; should it be killed,
a keeper process that watches it does the same. Servers are stopped by the pids they wrote themselves.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

VARIABLE = "RECVAULT_TEST_RUN"
PORTS = range(10_000, 32_000)
HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class MissingServer(Exception):
    """A program is not installed; the text names the Debian packages."""


class ServerFault(Exception):
    """A server of this run did not start, or does not answer any more; the text tells what it said last."""


def begin() -> None:
    """Called by the controlling process before anything else."""
    os.environ.setdefault(VARIABLE, "")
    if not os.environ[VARIABLE]:
        directory = tempfile.mkdtemp(prefix="rv-", dir="/tmp")  # short: unix sockets
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user
        os.environ[VARIABLE] = directory
        (Path(directory) / "owner").write_text(str(os.getpid()))


def end() -> None:
    """Called by the controlling process at the end; a run it did not begin is left alone."""
    directory = os.environ.get(VARIABLE)
    if not directory or not (Path(directory) / "owner").exists():
        return
    if (Path(directory) / "owner").read_text() == str(os.getpid()):
        stop_all(Path(directory))
        del os.environ[VARIABLE]


def stop_all(directory: Path) -> None:
    """Stops what runs below ``directory`` and removes it."""
    with _locked(directory):
        if (directory / "ceph").exists():
            environment = os.environ | {"CEPH_DIR": str(directory / "ceph")}
            subprocess.run([HERE / "ceph-down.sh", "--wipe"], env=environment, check=False)
        stop = directory / "pg" / "stop.json"
        if stop.exists():
            order = json.loads(stop.read_text())
            subprocess.run(order["command"], user=order["user"], check=False, cwd="/", stdout=subprocess.DEVNULL)
        shutil.rmtree(directory, ignore_errors=True)


def shared(name: str, start: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    """The facts of the server ``name``, started by ``start`` when no other worker has done it. What did not start once,
    or stopped answering, is not tried again in this run: every test that needs it says at once why it fails."""
    directory = Path(os.environ[VARIABLE])
    with _locked(directory):
        facts = directory / f"{name}.json"
        still_trusted(name)
        if not facts.exists():
            _keep_watch(directory)
            try:
                facts.write_text(json.dumps(start(directory)))
            except (RuntimeError, OSError, subprocess.SubprocessError) as failure:
                raise give_up(name, str(failure)) from failure
        found: dict[str, str] = json.loads(facts.read_text())
        return found


def still_trusted(name: str) -> None:
    """ServerFault when somebody gave the server up."""
    fault = Path(os.environ[VARIABLE]) / f"{name}.fault"
    if fault.exists():
        raise ServerFault(fault.read_text())


def give_up(name: str, why: str) -> ServerFault:
    """Marks a server that does not answer for the rest of the run; what to raise."""
    (Path(os.environ[VARIABLE]) / f"{name}.fault").write_text(f"{name} does not answer: {why}")
    return ServerFault(f"{name} does not answer: {why}")


def free_ports(count: int) -> int:
    """The first of ``count`` neighbouring TCP ports that are free on loopback. They lie below those that the kernel gives to
    outgoing connections, one of which might otherwise have the port before the server does that it is meant for."""
    while True:
        first = PORTS.start + secrets.randbelow(len(PORTS))  # not from a sequence that tests begin anew
        with ExitStack() as opened:
            try:
                for port in range(first, first + count):
                    opened.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep_watch(directory: Path) -> None:
    """Starts the keeper once. It waits for the owner's end without being told."""
    if (directory / "keeper").exists():
        return
    owner = (directory / "owner").read_text()
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.keeper", owner, str(directory)],
        cwd=ROOT,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (directory / "keeper").write_text(str(keeper.pid))
