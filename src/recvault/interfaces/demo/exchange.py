"""The telephone exchange of the demo: recordings as they finish, and the real hook that hands them over.

The hook runs as its own program, as on a real host: ``python -m recvault.interfaces.hook``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from recvault.interfaces.demo.telling import expect

HOOK_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A bundled recording or message: ``facts`` are options of ``recvault hook submit``."""

    file: str
    what: str
    age: timedelta
    length: timedelta
    facts: tuple[str, ...]

    @property
    def source_id(self) -> str:
        """The id at its source; opaque, as an exchange's own ids are."""
        return f"demo-{self.file.partition('.')[0]}"

    def content(self) -> bytes:
        """The bytes as bundled."""
        return files("recvault.interfaces.demo").joinpath("samples", self.file).read_bytes()


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """The host's directory, with configuration, token and spool of the hook."""

    home: Path

    def enrol(self, *, address: str, token: str) -> str:
        """Writes the hook's configuration and fetches the archive's public key."""
        self.home.mkdir(mode=0o700)
        (self.home / "recordings").mkdir(mode=0o700)
        token_file = self.home / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token + "\n", encoding="utf-8")
        lines = {"url": address, "token_file": str(token_file), "spool": str(self.home / "spool")}
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
        (self.home / "hook.toml").write_text(text, encoding="utf-8")
        return self._hook("enrol").stdout.strip()

    def record(self, sample: Sample, *, now: datetime) -> bytes:
        """A recording is finished and handed to the hook, which seals it and takes the clear file away."""
        content = sample.content()
        recording = self.home / "recordings" / sample.file
        recording.write_bytes(content)
        started = now - sample.age
        times = ("--started-at", started.isoformat(), "--ended-at", (started + sample.length).isoformat())
        self._hook("submit", str(recording), "--source-id", sample.source_id, *times, *sample.facts)
        expect(not recording.exists(), "the clear recording to be gone from the host once it is sealed")
        return content

    def sealed(self) -> list[bytes]:
        """What lies in the spool, as somebody who steals the host would find it."""
        return [path.read_bytes() for path in (self.home / "spool").rglob("*") if path.is_file()]

    def deliver(self) -> list[dict[str, object]]:
        """One pass of the uploader; what it says of each entry, in the order of the recordings."""
        done = self._hook("agent", "--once")
        lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") in ("delivered", "destroyed", "refused", "not-delivered")]

    def _hook(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(  # noqa: S603 - our own program, a list of words, no shell
            [sys.executable, "-m", "recvault.interfaces.hook", command, *options, "--config", self.home / "hook.toml"],
            env={name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=HOOK_SECONDS,
        )
        expect(done.returncode == 0, f"'recvault hook {command}' to end with 0, not {done.returncode}: {done.stderr}")
        return done
