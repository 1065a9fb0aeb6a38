"""A telephony host with an enrolled spool, and the archive it belongs to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recvault.interfaces.hook import enrolment
from recvault.interfaces.hook.agent import Agent
from recvault.interfaces.hook.cli import main
from recvault.interfaces.hook.config import HookConfig
from recvault.interfaces.hook.log import json_lines
from recvault.interfaces.hook.spool import Spool
from recvault.interfaces.hook.submit import submit
from tests.unit.hook.archive import TOKEN, Archive, running


@dataclass
class Host:
    """Directories of one telephony host; ``lines`` is what its agent logged."""

    home: Path
    archive: Archive
    lines: list[str] = field(default_factory=list)

    @property
    def spool_path(self) -> Path:
        return self.home / "spool"

    @property
    def token(self) -> Path:
        return self.home / "token"

    @property
    def spool(self) -> Spool:
        return Spool(self.spool_path)

    def recording(self, content: bytes, name: str = "call.wav") -> Path:
        path = self.home / name
        path.write_bytes(content)
        return path

    def submit(self, content: bytes, source_id: str = "1700000000.1") -> str:
        """Seals content; the entry's name."""
        file = self.recording(content, f"{source_id}.wav")
        done = submit(file, {"source_id": source_id}, spool=self.spool, enrolment=enrolment.require(self.spool))
        return done.name

    def agent(self, answer_seconds: float = 30) -> Agent:
        return Agent(
            spool=self.spool,
            config=HookConfig(),
            log=json_lines(self.lines.append),
            connect_seconds=10,
            answer_seconds=answer_seconds,
        )

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines]

    def everything(self) -> bytes:
        """All bytes and names below the spool."""
        found = [
            str(path).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
            for path in self.spool_path.rglob("*")
        ]
        return b"\n".join(found)

    def words(self, *arguments: str) -> list[str]:
        """The command line of the hook."""
        return [sys.executable, "-m", "recvault.interfaces.hook", *arguments]

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """The hook as a process of its own; to be ended with ``communicate()``."""
        return subprocess.Popen(self.words(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def archive() -> Iterator[Archive]:
    with running() as found:
        yield found


@pytest.fixture
def host(tmp_path: Path, archive: Archive) -> Host:
    """Enrolled with ``archive``."""
    found = Host(tmp_path, archive)
    found.token.write_text(TOKEN + "\n")
    found.token.chmod(0o600)
    code = main(["enrol", "--url", archive.url, "--token-file", str(found.token), "--spool", str(found.spool_path)])
    assert code == 0
    return found
