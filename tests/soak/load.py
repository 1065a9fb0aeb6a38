"""Telephony systems that send without a pause, and people who play, hold and send twice; all of it noted in a book.

A sender repeats until it has a receipt, as the hook does. What an answer must never be is noted as a violation: a receipt for
other content, another id for the same recording, a recording that is acknowledged and not there, other bytes than were sent.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import urllib3

from tests.soak.installation import Installation
from tests.support.serving import BOUNDARY, multipart

SENDERS = 4
PASSING = (500, 502, 503)
"""Answers after which the hook tries again."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """``due``: so old that the next purge destroys it."""

    ref: str
    length: int
    due: bool

    @property
    def content(self) -> bytes:
        return random.Random(self.ref).randbytes(self.length)

    def body(self) -> bytes:
        ended = datetime.now(UTC) - timedelta(days=1200 if self.due else 0)
        metadata = {
            "source_id": self.ref, "channel": "call", "direction": "inbound",
            "started_at": (ended - timedelta(minutes=3)).isoformat(), "ended_at": ended.isoformat(),
            "remote": {"tel": f"+3584012345{crc32(self.ref.encode()) % 20:02d}"}, "media_type": "audio/wav",
        }  # fmt: skip
        return multipart(("metadata", metadata), ("content", self.content))


@dataclass
class Book:
    """What was promised, by communication id, and what should never have been answered."""

    acknowledged: dict[str, Recording] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    destroyed_unseen: list[Recording] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    perhaps_held: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    played: int = 0
    sent_twice: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def violation(self, text: str) -> None:
        with self.lock:
            self.violations.append(text)


class Load:
    """Threads that work until ``stop``; ``join`` waits until every recording under way has its receipt."""

    def __init__(self, made: Installation, book: Book, seed: int) -> None:
        self._made = made
        self._book = book
        self._pool = urllib3.PoolManager(maxsize=SENDERS * 3, num_pools=8, retries=False, timeout=urllib3.Timeout(20))
        self._stop = threading.Event()
        roles = [*((self._send, number) for number in range(SENDERS)), (self._play, 0), (self._hold, 0)]
        self._threads = [
            threading.Thread(target=role, args=(random.Random(f"{seed}-{role.__name__}-{number}"), number), daemon=True)
            for role, number in roles
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._book.violation("a recording was not taken although all faults had ended")

    # --- sending

    def _send(self, chance: random.Random, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            length = chance.choice((0, 1, 3_000, 20_000, 20_000, 60_000, 60_000, 200_000))
            if chance.random() < 0.01:
                length = 9_000_000  # more than is buffered: streamed, and stored in parts
            recording = Recording(ref=f"call-{number}-{count}", length=length, due=chance.random() < 0.25)
            dice = chance.random()
            if dice < 0.05:  # two systems send the same at once
                twin = threading.Thread(target=self._deliver, args=(recording, chance.random()))
                twin.start()
                self._deliver(recording, chance.random())
                twin.join()
                self._book.sent_twice += 1
            else:
                self._deliver(recording, chance.random())
                if dice < 0.15:
                    self._deliver(recording, chance.random())
                    self._book.sent_twice += 1

    def _deliver(self, recording: Recording, luck: float) -> str | None:
        """Sends until there is an answer that ends it; the communication's id."""
        tries = 0
        while True:
            answer = self._request("POST", "/v1/communications", "source", recording.body(), luck + tries)
            if answer is not None and answer.status in (200, 201):
                return self._receipt(recording, answer.json())
            if answer is not None and answer.status == 410 and recording.due:
                with self._book.lock:
                    self._book.destroyed_unseen.append(recording)
                return None
            if answer is not None and answer.status not in PASSING:
                self._book.violation(f"{recording.ref} was answered {answer.status}: {answer.data[:300]!r}")
                return None
            tries += 1
            time.sleep(min(2.0, 0.1 * 2**tries))

    def _receipt(self, recording: Recording, receipt: dict[str, Any]) -> str:
        digest = hashlib.sha256(recording.content).hexdigest()
        if (receipt["sha256"], receipt["length"]) != (digest, recording.length):
            self._book.violation(f"the receipt of {recording.ref} is for other content")
        communication_id = str(receipt["id"])
        with self._book.lock:
            known = self._book.acknowledged.setdefault(communication_id, recording)
            first = self._book.digests.setdefault(recording.ref, communication_id)
        if known is not recording and known != recording:
            self._book.violation(f"{recording.ref} and {known.ref} have the same id")
        if first != communication_id:
            self._book.violation(f"{recording.ref} is stored as {first} and as {communication_id}")
        return communication_id

    # --- people

    def _play(self, chance: random.Random, number: int) -> None:
        while not self._stop.wait(0.2):
            with self._book.lock:
                living = [item for item in self._book.acknowledged.items() if not item[1].due and item[1].length]
            if not living:
                continue
            communication_id, recording = chance.choice(living)
            form = json.dumps({"purpose": "verification", "reason": "complaint"}).encode()
            opened = self._request(
                "POST", f"/v1/communications/{communication_id}/open", "verifier", form, chance.random()
            )
            if opened is None or opened.status == 503:
                continue
            if opened.status != 200:
                self._book.violation(f"{communication_id} cannot be opened: {opened.status} {opened.data[:300]!r}")
                continue
            played = self._request("GET", opened.json()["playback"], "verifier", None, chance.random())
            if played is None or played.status == 503:
                continue
            if played.status != 200 or played.data != recording.content:
                self._book.violation(f"{communication_id} was played as {played.status}, {len(played.data)} bytes")
            self._book.played += 1

    def _hold(self, chance: random.Random, number: int) -> None:
        count = 0
        while not self._stop.wait(0.5):
            count += 1
            recording = Recording(ref=f"held-{count}", length=5_000, due=True)
            communication_id = self._deliver(recording, chance.random())
            if communication_id is None:
                continue
            form = {"reason": "claim", "review_on": (datetime.now(UTC) + timedelta(days=90)).date().isoformat()}
            body = json.dumps(form | {"communication_id": communication_id}).encode()
            answer = self._request("POST", "/v1/holds", "privacy-handler", body, chance.random())
            if answer is not None and answer.status == 201:
                self._book.held.add(communication_id)
            elif answer is None or answer.status in PASSING:
                self._book.perhaps_held.add(communication_id)
            elif answer.status != 410:
                self._book.violation(f"a hold was answered {answer.status}: {answer.data[:300]!r}")

    # --- the wire

    def _request(
        self, method: str, path: str, who: str, body: bytes | None, luck: float
    ) -> urllib3.BaseHTTPResponse | None:
        """An answer of one of the API processes; None where there was none, or not a whole one."""
        kind = (
            "application/json" if body is None or body.startswith(b"{") else f"multipart/form-data; boundary={BOUNDARY}"
        )
        headers = {"Authorization": f"Bearer {self._made.tokens[who]}", "Content-Type": kind}
        port = self._made.ports[int(luck * 1000) % len(self._made.ports)]
        try:
            answer = self._pool.request(method, f"http://127.0.0.1:{port}{path}", body=body, headers=headers)
        except urllib3.exceptions.HTTPError as fault:
            with self._book.lock:
                self._book.answers[type(fault).__name__] += 1
            return None
        with self._book.lock:
            self._book.answers[str(answer.status)] += 1
            if answer.status >= 500:
                self._book.faults[str(answer.json().get("type"))] += 1
        return answer
