"""The HTTP server of an archive on SQLite with a folder, in a process of its own: so that its memory can be measured, its
files limited, and its life ended. :func:`served` starts it and talks to it.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import uvicorn

from recvault.bootstrap import assemble
from recvault.interfaces.http.app import create_app
from tests.support.archives import Parts, configuration
from tests.support.serving import BOUNDARY, Served, multipart
from tests.support.worlds import SteadyFolder, reopen

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024


@dataclass
class ServerProcess(Served):
    """A server that can be looked at from outside."""

    process: subprocess.Popen[str]

    def memory(self, field: str) -> int:
        """A field of its status, such as VmRSS or VmHWM, in bytes (proc(5))."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")

    def forget_peak(self) -> None:
        """From here on VmHWM counts anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def stream(self, token: str, metadata: object, blocks: Iterator[bytes], length: int) -> httpx.Response:
        """An upload whose content is made while it is sent."""
        whole = multipart(("metadata", metadata), ("content", b"#"))
        head, tail = whole[: whole.rindex(b"#")], whole[whole.rindex(b"#") + 1 :]

        def body() -> Iterator[bytes]:
            yield head
            yield from blocks
            yield tail

        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            "Content-Length": str(len(head) + length + len(tail)),
        }
        return self.client.post("/v1/communications", content=body(), headers=headers, timeout=500)


@contextmanager
def served(parts: Parts, directory: Path, *, file_limit: int | None = None) -> Iterator[ServerProcess]:
    """A server on the durable state of ``parts`` under ``directory``; ``file_limit`` is the longest file it may write."""
    order = {
        "directory": str(directory),
        "moment": parts.clock.now().isoformat(),
        "file_limit": file_limit,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.server_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            port = int(process.stdout.readline())
            # What the server logs is read away, or it would stop when the pipe is full.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
                yield ServerProcess(port=port, client=client, process=process)
        finally:
            process.kill()


def main() -> None:
    """The server's side."""
    order = json.loads(sys.stdin.readline())
    directory = Path(order["directory"])
    if order["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_limit"], resource.RLIM_INFINITY))
    parts = reopen(
        directory,
        url=f"sqlite:///{directory}/recvault.db",
        store=SteadyFolder(directory / "objects"),
        moment=datetime.fromisoformat(order["moment"]),
        config=configuration(),
    )
    archive = assemble(
        parts.config,
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ledger_store=parts.ledger,
        clock=parts.clock,
        entropy=parts.entropy,
    )
    with archive, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)  # connections wait here until the server takes them
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(create_app(archive), log_config=None)).run(sockets=[listener])


if __name__ == "__main__":
    main()
