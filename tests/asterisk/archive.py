"""The archive under test, from outside: its command line to set it up, its HTTP API to look into it.

Everything that this test knows of recvault's commands, paths and JSON stands in this file.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HOST, PORT = "127.0.0.1", 8470


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An HTTP response: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Archive:
    """An archive on its embedded default (SQLite, a folder, a key file), in a directory of its own."""

    def __init__(self, *, program: Path, work: Path) -> None:
        self._program = program
        self._work = work
        self.home = work / "archive"
        self.log = work / "archive.log"
        self.home.mkdir(mode=0o700)
        self._verifier = ""

    def command(self, *arguments: str) -> str:
        """Run one `recvault` command in the archive's directory; its standard output."""
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.home,
            env=self._environment(),
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"recvault {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._work), "LC_ALL": "C.UTF-8"}

    def set_up(self, *, numbers: Sequence[str], extension: str, team: str) -> Path:
        """Initialise; one customer a number (see `customer_of`), one agent, one source, one verifier.

        The file with the source's token.
        """
        source, verifier = self._work / "source-token", self._work / "verifier-token"
        self.command("init")
        self.command("keys", "confirm-backup")
        self.command("source", "add", "asterisk", "--token-file", str(source))
        self.command("user", "add", "verifier", "--role", "verifier", "--token-file", str(verifier))
        self._verifier = verifier.read_text().strip()
        customers, agents = self._work / "customers.csv", self._work / "agents.csv"
        rows = "".join(f"{customer_of(number)},Asiakas {n},{number}\n" for n, number in enumerate(numbers))
        customers.write_text("number,name,tel\n" + rows)
        agents.write_text(f"ref,name,extension,team\nA-1,Liisa Korhonen,{extension},{team}\n")
        self.command("customer", "import", str(customers))
        self.command("agent", "import", str(agents))
        return source

    def start(self) -> None:
        """Start API and worker in one process and wait until it answers."""
        log = self.log.open("wb")
        serve = subprocess.Popen(
            [self._program, "serve", "--all"],
            cwd=self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._request("GET", "/healthz")
                return
            except ConnectionRefusedError:
                if serve.poll() is not None or time.monotonic() > deadline:
                    text = self.log.read_text(errors="replace")
                    raise AssertionError(f"the archive did not start:\n{text[-4000:]}") from None
                time.sleep(0.25)

    def _request(
        self, method: str, path: str, *, body: object = None, extra: Mapping[str, str] | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._verifier}", **(extra or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(HOST, PORT, timeout=30)
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=got, body=response.read())
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        answer = self._request(method, path, body=body)
        if answer.status not in {200, 201}:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.body[:2000]!r}")
        found = json.loads(answer.body)
        if not isinstance(found, dict):
            raise AssertionError(f"{method} {path}: not an object: {answer.body[:200]!r}")
        return found

    def search(self, **criteria: object) -> Iterator[dict[str, Any]]:
        """Every communication that fits, page by page."""
        wanted: dict[str, object] = {"purpose": "verification", "limit": 5, **criteria}
        while True:
            page = self._json("POST", "/v1/communications/search", wanted)
            yield from page["rows"]
            if not page["next"]:
                return
            wanted["cursor"] = page["next"]

    def view(self, communication: str) -> dict[str, Any]:
        """One communication with the fields that are sealed in its row."""
        return self._json("GET", f"/v1/communications/{communication}?purpose=verification")

    def open(self, communication: str) -> str:
        """Where to play one communication for a short while, for the purpose of verification."""
        body = {"purpose": "verification", "case_ref": f"ASTERISK-{secrets.token_hex(4)}"}
        return str(self._json("POST", f"/v1/communications/{communication}/open", body)["playback"])

    def play(self, playback: str, *, byte_range: str | None = None) -> Answer:
        """The content under what `open` gave, or a range of it (`bytes=0-99`)."""
        return self._request("GET", playback, extra={"Range": byte_range} if byte_range else {})


def customer_of(number: str) -> str:
    """The customer number under which `Archive.set_up` registers whoever calls from `number`."""
    return f"C-{number[-4:]}"
