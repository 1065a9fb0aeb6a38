"""A real archive through which marked personal data goes in every journey.

The archive is the embedded default (SQLite and a folder) as processes of its own; what they say, and what their answers
carry beside their bodies, is kept for whoever looks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from recvault import bootstrap
from recvault.adapters.system import FixedClock
from recvault.config import load
from recvault.services.alarms import TaskState
from tests.servers.run import free_ports
from tests.support.mail_server import Postbox, mail_server
from tests.support.marks import PASSING, SEALED, marks_in
from tests.support.serving import BOUNDARY, multipart

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + SEALED["content"].encode() + bytes(range(256)) * 200


@dataclass
class Machine:
    """The archive's directory, what its processes said (``log``: the one that served), what its answers carried beside their
    bodies, and what it mailed."""

    home: Path
    inputs: Path
    port: int
    box: Postbox
    said: list[bytes] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    log: bytes = b""

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RECVAULT")}
        return plain | {
            "RECVAULT__SERVER__PORT": str(self.port),
            "RECVAULT__LOG__FORMAT": "json",
            "RECVAULT__LOG__LEVEL": "debug",
            "RECVAULT__KEYRING__CACHE_SECONDS": "0",
            "RECVAULT__ACCESS__SECOND_FACTOR": "off",
            "RECVAULT__APPROVALS__PROOF": "account",
            "RECVAULT__MAIL__HOST": "127.0.0.1",
            "RECVAULT__MAIL__PORT": str(self.box.port),
            "RECVAULT__MAIL__SECURITY": "none",
            "RECVAULT__MAIL__SENDER": "archive@company.example",
            "RECVAULT__MAIL__ALARMS_TO": "watch@company.example",
            "RECVAULT__MAIL__ATTENTION_ALARM": "1",
            "RECVAULT__MAIL__DIGEST_TO": "watch@company.example",
            "RECVAULT__MAIL__DIGEST_AT": "00:00",
        }

    def run(self, *words: str | Path) -> str:
        """A command; what it says on the error stream belongs to the log."""
        done = subprocess.run(
            [sys.executable, "-m", "recvault", *map(str, words)],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr.decode()
        self.said.append(done.stderr)
        return done.stdout.decode()

    def token(self, name: str) -> dict[str, str]:
        return {"Authorization": "Bearer " + (self.inputs / name).read_text().strip()}

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        log = self.inputs / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "recvault", "serve", "--all"],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        try:
            hooks = {"response": [self._heard]}
            with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120, event_hooks=hooks) as client:
                self._await(client, process, log)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            finally:
                process.kill()
            self.log = log.read_bytes()
            self.said.append(self.log)

    def _await(self, client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                client.get("/healthz")
                return
            except httpx.TransportError:
                time.sleep(0.1)

    def _heard(self, response: httpx.Response) -> None:
        self.headers += [f"{name}: {value}" for name, value in response.headers.multi_items()]
        if response.status_code >= 400:
            self.problems.append(response.read().decode())


def everything_happens(home: Path, inputs: Path) -> Machine:
    """A machine on which every journey was walked, stopped again."""
    port = free_ports(1)
    with mail_server() as box:
        made = Machine(home, inputs, port, box)
        set_up(made)
        journeys(made)
        told_by_mail(made)
    return made


def journeys(made: Machine) -> None:
    """Every journey, while the archive serves."""
    with made.serving() as client:
        register(made, client)
        recent = uploads(made, client)
        sealed_upload(made)
        reading(made, client, recent)
        mistakes(made, client, recent)
        holding(made, client, recent)
        made.run("purge", "--now")
        after_destruction(made, client)
        watching(client)


def told_by_mail(made: Machine) -> None:
    """Everything that is mailed: alarms that begin and end, two digests, an invitation, a test message. The clock is moved
    on, because people are told in days what happens here in seconds."""
    made.run("mail", "test", PASSING["mail address"])
    made.run("user", "invite", "zqvera.verifier", "--mail", PASSING["mail address"])
    environment = {name: value for name, value in made.environment.items() if name.startswith("RECVAULT__")}
    clock = FixedClock(datetime.now(UTC))
    before = Path.cwd()
    os.chdir(made.home)
    try:
        with bootstrap.build(load(None, environment), clock=clock) as archive:
            for _ in range(3):
                archive.notices.digest()
                archive.notices.watch("worker-1", [task(clock, wrong={"stopped": 2, "stopped_because": 1})])
                archive.notices.watch("worker-1", [task(clock)])
                clock.advance(timedelta(days=1, minutes=1))
            archive.notices.watch("worker-1", [task(clock)])
    finally:
        os.chdir(before)


def task(clock: FixedClock, wrong: Mapping[str, int] | None = None) -> TaskState:
    return TaskState(task="purge", at=clock.now(), wrong=wrong or {})


def set_up(made: Machine) -> None:
    made.run("init")
    made.run("keys", "confirm-backup")
    for name, role in (("zqvera.verifier", "verifier"), ("paula", "privacy-handler"), ("adam", "administrator")):
        made.run(
            "user", "add", name, "--display-name", "Zqvera Shown", "--role", role, "--token-file", made.inputs / name
        )  # fmt: skip
    made.run("policy", "sign", "--as", "paula")
    made.run("source", "add", "pbx", "--notice", "n-1", "--balancing-test", "b-1", "--token-file", made.inputs / "pbx")


def register(made: Machine, client: httpx.Client) -> None:
    customer = {
        "number": "zq-1001-number",
        "name": "Zqcustomer Oy",
        "address": "Zqstreet 7",
        "domicile": "zqcity-domicile",
        "tel": "+358457739122",
        "contact_persons": [{"name": "Zqcontact Uvo", "role": "zqboss-of-them", "mailto": "zqmail@company.example"}],
    }
    admin = made.token("adam")
    assert client.post("/v1/customers", json=customer, headers=admin).status_code == 200
    agent = {"ref": "zqagentref-1", "name": "Zqagent Oru", "extensions": ["zqextension-2"], "teams": ["zqteam-billing"]}
    assert client.post("/v1/agents", json=agent, headers=admin).status_code == 200


def metadata(source_id: str, started: datetime, **more: object) -> dict[str, object]:
    return {
        "source_id": source_id,
        "channel": "call",
        "started_at": started.isoformat(),
        "ended_at": (started + timedelta(minutes=3)).isoformat(),
        "remote": {"tel": "+358457739122", "name": SEALED["remote name"]},
        "local": {"tel": SEALED["number that is none"], "name": SEALED["local name"]},
        "agent": "zqagentref-1",
        "team": "zqteam-billing",
        "queue": "zqqueue-support",
        "case_ref": "zq-case-4711",
        "tags": ["zqtag-ordered"],
        "media_type": f"audio/wav; name={SEALED['media parameter']}",
        "filename": SEALED["file name"],
        "subject": f"{SEALED['subject']} {SEALED['identity code']}",
        "participants": [{"name": SEALED["participant"]}],
        "extra": {SEALED["extra key"]: SEALED["extra"]},
        SEALED["unknown field"]: SEALED["unknown field"],
        **more,
    }


def send(
    made: Machine, client: httpx.Client, said: object, content: bytes = CALL, *, boundary: str = BOUNDARY
) -> httpx.Response:
    """An upload; with another ``boundary`` its body is not what its header says."""
    body = multipart(("metadata", said), ("content", content))
    form = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return client.post("/v1/communications", content=body, headers=made.token("pbx") | form)


def uploads(made: Machine, client: httpx.Client) -> str:
    """Recent ones (new, again, contradicting, from an unknown number), and one that is due at once."""
    now = datetime.now(UTC) - timedelta(hours=1)
    stored = send(made, client, metadata(SEALED["source id"], now))
    assert stored.status_code == 201, stored.text
    assert send(made, client, metadata(SEALED["source id"], now)).status_code == 200
    assert send(made, client, metadata(SEALED["source id"], now), CALL + b"other").status_code == 409
    unknown = metadata("u-1", now, remote={"tel": "+358457739123"}, agent=None)
    assert send(made, client, unknown).status_code == 201
    # A content type that is not recognised keeps the declared one.
    odd = metadata("o-1", now, media_type=f"application/x-odd; owner={SEALED['media parameter']}")
    assert send(made, client, odd, SEALED["content"].encode()).status_code == 201
    old = metadata("old-1", now - timedelta(days=3000), remote={"tel": "+358457739122", "name": SEALED["old name"]})
    assert send(made, client, old).status_code == 201
    return str(stored.json()["id"])


def sealed_upload(made: Machine) -> None:
    """The same through the hook, sealed at the edge; its spool and log are looked at like the archive's."""
    spool, recording = made.home / "spool", made.inputs / SEALED["file name"]
    recording.write_bytes(CALL)
    said = made.inputs / "metadata.json"
    now = datetime.now(UTC)
    said.write_text(json.dumps(metadata("hook-1", now)))
    url = f"http://127.0.0.1:{made.port}"
    made.run("hook", "enrol", "--url", url, "--token-file", made.inputs / "pbx", "--spool", spool)
    told = made.run("hook", "submit", recording, "--spool", spool, "--metadata-file", said)
    waiting = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
    told += made.run("hook", "status", "--json", "--spool", spool)
    told += made.run("hook", "agent", "--once", "--spool", spool)
    assert not recording.exists() and marks_in(waiting) == []
    made.said.append(told.encode())


def reading(made: Machine, client: httpx.Client, recent: str) -> None:
    """Search, view, open, play: with the marks as terms."""
    vera = made.token("zqvera.verifier")
    for terms in (
        {
            "customer_number": "zq-1001-number",
            "case_ref": "zq-case-4711",
            "queue": "zqqueue-support",
            "team": "zqteam-billing",
            "tag": "zqtag-ordered",
        },
        {"tel": "+358457739123", "limit": 1},
        {"tel": PASSING["search number"]},
        {"mailto": PASSING["search address"]},
        {"handle": PASSING["search handle"]},
        {"case_ref": PASSING["search case"], "customer_number": PASSING["search text"]},
    ):
        found = client.post("/v1/communications/search", json={"purpose": "verification", **terms}, headers=vera)
        assert found.status_code == 200, found.text
    assert client.post("/v1/customers/search", json={"text": "zqcust"}, headers=vera).json()["rows"]
    client.post("/v1/customers/search", json={"text": PASSING["search text"]}, headers=vera)
    viewed = client.get(f"/v1/communications/{recent}", params={"purpose": "verification"}, headers=vera).text
    assert SEALED["remote name"] in viewed and SEALED["file name"] in viewed
    why = {"purpose": "verification", "case_ref": "zq-case-4711"}
    opened = client.post(f"/v1/communications/{recent}/open", json=why, headers=vera).json()
    assert opened["filename"] == SEALED["file name"] and marks_in(opened["playback"].encode()) == []
    for span in ("bytes=0-99", "bytes=100-"):
        assert client.get(opened["playback"], headers=vera | {"Range": span}).status_code == 206
    assert client.get(opened["playback"], headers=vera).content == CALL


def mistakes(made: Machine, client: httpx.Client, recent: str) -> None:
    """Every kind of refusal, each with a mark in what was wrong."""
    vera, pbx = made.token("zqvera.verifier"), made.token("pbx")
    talkative = {
        "User-Agent": PASSING["user agent"],
        "Referer": f"https://{PASSING['referer']}.example/",
        "Cookie": f"recvault_session={PASSING['cookie']}",
        "X-Forwarded-For": PASSING["forwarded"],
    }
    refused = [
        client.get(f"/v1/{PASSING['path']}", params={"q": PASSING["query"]}, headers=talkative),
        client.get(f"/v1/communications/{PASSING['path']}", params={"purpose": PASSING["query"]}, headers=vera),
        client.get(f"/v1/communications/{recent}", headers={"Authorization": f"Bearer {PASSING['token']}"}),
        client.get(f"/v1/playback/{PASSING['path']}", headers=vera),
        client.post("/v1/session", json={"name": PASSING["sign-in name"], "password": PASSING["password"]}),
        client.post("/v1/customers", json={PASSING["bad customer"]: 1}, headers=made.token("adam")),
        client.post("/v1/customers", json={"number": PASSING["bad customer"]}, headers=made.token("adam")),
        client.post("/v1/customers", json={"number": "1", "name": "x"}, headers=vera),
        client.post("/v1/communications/search", json={"purpose": PASSING["reason"]}, headers=vera),
        send(made, client, PASSING["bad metadata"].encode()),
        send(made, client, {"source_id": {"no": PASSING["bad metadata"]}}),
        send(made, client, {"source_id": "s", "sha256": PASSING["bad metadata"]}),
        send(made, client, {"source_id": "s", "extra": PASSING["bad metadata"] * 9999}),
        send(made, client, metadata("cut-1", datetime.now(UTC), length=1)),
        send(made, client, {"source_id": "b"}, boundary=PASSING["boundary"]),
        client.post(
            "/v1/communications",
            content=multipart((PASSING["part"], b"x")),
            headers=pbx | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        ),
    ]
    for why in ({"reason": PASSING["reason"]}, {"case_ref": PASSING["case with a name"]}):
        body = {"purpose": "verification", **why}
        refused.append(client.post(f"/v1/communications/{recent}/open", json=body, headers=vera))
    search = {"purpose": "verification", "cursor": PASSING["cursor"]}
    refused.append(client.post("/v1/communications/search", json=search, headers=vera))
    assert [answer.status_code for answer in refused if not 400 <= answer.status_code < 500] == []
    with socket.create_connection(("127.0.0.1", made.port), timeout=60) as connection:
        connection.sendall(f"{PASSING['raw line']} no http\r\n\r\n".encode())
        connection.recv(1000)
    with socket.create_connection(("127.0.0.1", made.port), timeout=60) as connection:  # cut off in the middle
        head = f"POST /v1/communications HTTP/1.1\r\nHost: x\r\nAuthorization: {pbx['Authorization']}\r\n"
        head += f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 99999\r\n\r\n"
        connection.sendall(head.encode() + multipart(("metadata", metadata("cut-2", datetime.now(UTC))))[:-20])


def holding(made: Machine, client: httpx.Client, recent: str) -> None:
    paula = made.token("paula")
    hold = {
        "reason": "zqhold reason",
        "authority": "zqauthority-77",
        "review_on": str((datetime.now(UTC) + timedelta(days=30)).date()),
        "communication_id": recent,
    }
    placed = client.post("/v1/holds", json=hold, headers=paula)
    assert placed.status_code == 201
    assert client.get("/v1/holds", headers=paula).json()["rows"]
    release = client.post(
        f"/v1/holds/{placed.json()['id']}/release", json={"reason": "zqrelease reason"}, headers=paula
    )
    assert release.status_code == 202
    other = client.post(
        "/v1/communications/search",
        json={"purpose": "verification", "tel": "+358457739123"},
        headers=made.token("zqvera.verifier"),
    ).json()["rows"][0]["id"]
    assert client.post(f"/v1/communications/{other}/do-not-keep", headers=paula).status_code == 200


def after_destruction(made: Machine, client: httpx.Client) -> None:
    gone = send(made, client, metadata("old-1", datetime.now(UTC) - timedelta(days=3000)))
    assert gone.status_code == 410


def watching(client: httpx.Client) -> None:
    for path in ("/metrics", "/readyz", "/healthz"):
        answer = client.get(path)
        assert answer.status_code == 200 and marks_in(answer.content) == []
