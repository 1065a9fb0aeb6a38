"""The uploader: one a spool, oldest entry first, for ever.

Invariants: an entry leaves ``ready`` only on a verdict of ``answers``; a kill at any moment loses nothing and at worst
sends an entry again. An entry that fails waits for its own turn and holds nobody up; after ``ROW_OF_FAILURES`` in a
row, or a Retry-After, the archive is left alone for a while. SIGTERM ends between two steps, or breaks off an upload.

Left to others: what an answer means (``answers``), the request itself (``client``).
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType

from recvault.domain.errors import ConfigurationError, RecvaultError
from recvault.interfaces.hook.answers import Fate, Verdict, judge, problem_code, read_object
from recvault.interfaces.hook.client import Answer, ArchiveClient, TokenUnreadable, Unreachable
from recvault.interfaces.hook.config import HookConfig
from recvault.interfaces.hook.enrol import enrol
from recvault.interfaces.hook.enrolment import Enrolment, load
from recvault.interfaces.hook.log import Log
from recvault.interfaces.hook.spool import Entry, Spool, SpoolFault, SpoolFull, now

POLL_SECONDS = 1.0
"""Between two looks into an empty spool."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 300.0
"""Seconds of back-off after a first failure, and at most."""
LONGEST_RETRY_AFTER = 3600.0
"""Seconds: an archive that asks for more is asked again after these."""
ROW_OF_FAILURES = 3
"""Failures in a row after which the archive, not the entry, is taken to be at fault."""
REFRESH_AFTER = timedelta(hours=24)
"""Age at which the archive's key is fetched again."""
UPKEEP_SECONDS = 600.0
"""Between two sweeps, and two attempts to fetch the key."""

DONE, REMAINS, REFUSED = 0, 75, 65
"""Exit codes of one pass (sysexits.h): nothing waits; entries wait; entries were refused in this pass."""


class Stopped(RecvaultError):
    """The agent was told to end while it uploaded; the entry stays."""

    code = "stopped"


def backoff(failures: int, *, jitter: float) -> float:
    """Seconds to wait after so many failures: doubling to ``LONGEST_WAIT``; ``jitter`` in 0..1 takes up to half off, so
    that many hosts do not come back together."""
    whole = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 16))
    return whole * (1.0 - jitter / 2.0)


def is_due(entry: Entry, moment: datetime) -> bool:
    """Whether its next try has come. One further off than any wait was noted by a clock that went wrong."""
    waits = entry.sidecar.next_try if entry.sidecar else None
    return waits is None or not timedelta(0) < waits - moment <= timedelta(seconds=LONGEST_RETRY_AFTER)


@dataclass(slots=True)
class _Pass:
    """What one pass over the spool met."""

    failed_row: int = 0
    refused: int = 0
    pause: float | None = None
    troubled: bool = False
    """The spool could not note what happened: look again later, not at once."""

    def is_over(self) -> bool:
        return self.pause is not None or self.failed_row >= ROW_OF_FAILURES


class Agent:
    """Delivers what lies in ``spool``. ``enrolment`` says where to; a configured url, token or authority wins."""

    def __init__(
        self,
        *,
        spool: Spool,
        config: HookConfig,
        log: Log,
        connect_seconds: float | None = None,
        answer_seconds: float | None = None,
    ) -> None:
        self._spool = spool
        self._config = config
        self._log = log
        self._stop = threading.Event()
        self._random = random.SystemRandom()
        self._upkeep_due = 0.0
        self._enrolment = self._enrolled()
        self._client = ArchiveClient(
            url=config.url or self._enrolment.url,
            token_file=config.token_file or self._enrolment.token_file,
            ca_file=config.ca_file or self._enrolment.ca_file,
            certificate_file=config.certificate_file or self._enrolment.certificate_file,
            **({} if connect_seconds is None else {"connect_seconds": connect_seconds}),
            **({} if answer_seconds is None else {"answer_seconds": answer_seconds}),
        )

    def _enrolled(self) -> Enrolment:
        found = load(self._spool)
        url = self._config.url
        if found is not None and (url is None or url.rstrip("/") == found.url):
            return found
        if url is None or self._config.token_file is None:
            raise ConfigurationError("this host does not know its archive; run recvault hook enrol")
        return enrol(
            url=url,
            token_file=self._config.token_file,
            ca_file=self._config.ca_file,
            certificate_file=self._config.certificate_file,
            spool=self._spool,
        )

    # -- running
    # ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ends the run soon; safe in a signal handler."""
        self._stop.set()

    def once(self) -> int:
        """One pass over everything, due or not; DONE, REMAINS or REFUSED."""
        self._upkeep()
        met = self._deliver(everything=True)
        if self._spool.names():
            return REMAINS
        return REFUSED if met.refused else DONE

    def run(self) -> int:
        """Delivers until stopped; DONE."""
        bad_passes = 0
        while not self._stop.is_set():
            try:
                self._upkeep()
                met = self._deliver(everything=False)
            except (SpoolFull, SpoolFault) as fault:
                self._log("error", "spool", code=fault.code, reason=str(fault))
                met = _Pass(troubled=True)
            bad_passes = bad_passes + 1 if met.is_over() or met.troubled else 0
            self._stop.wait(self._rest(met, bad_passes))
        self._log("info", "stopped")
        return DONE

    def _rest(self, met: _Pass, bad_passes: int) -> float:
        if met.pause is not None:
            return met.pause + self._random.random()
        return self._wait_after(bad_passes) if bad_passes else POLL_SECONDS

    def _wait_after(self, failures: int) -> float:
        return backoff(failures, jitter=self._random.random())

    def _upkeep(self) -> None:
        if time.monotonic() < self._upkeep_due:
            return
        self._upkeep_due = time.monotonic() + UPKEEP_SECONDS
        if swept := self._spool.sweep():
            self._log("info", "swept", files=swept)
        if now() - self._enrolment.fetched_at >= REFRESH_AFTER:
            self._refresh()

    def _refresh(self) -> None:
        known = self._enrolment
        try:
            self._enrolment = enrol(
                url=self._config.url or known.url,
                token_file=self._config.token_file or known.token_file,
                ca_file=self._config.ca_file or known.ca_file,
                certificate_file=self._config.certificate_file or known.certificate_file,
                spool=self._spool,
            )
            self._log("info", "key", key=self._enrolment.key_id)
        except (SpoolFull, SpoolFault):
            raise
        except RecvaultError as fault:
            facts = {"code": fault.code, "reason": str(fault), "not_after": known.not_after.isoformat()}
            self._log("warning", "key-not-fetched", key=known.key_id, **facts)

    # -- delivering
    # ------------------------------------------------------------------------------------------------------

    def _deliver(self, *, everything: bool) -> _Pass:
        met = _Pass()
        for entry in self._waiting(everything):
            try:
                self._send(entry, met)
            except Stopped:
                break
            except (SpoolFull, SpoolFault) as fault:  # delivering the others makes room
                met.troubled = True
                self._log("error", "spool", entry=entry.name, code=fault.code, reason=str(fault))
            if met.is_over():
                break
        return met

    def _send(self, entry: Entry, met: _Pass) -> None:
        try:
            answer = self._upload(entry)
        except (Unreachable, TokenUnreadable) as fault:
            self._retry(entry, met, reason=str(fault))
        else:
            self._settle(entry, answer, met)

    def _waiting(self, everything: bool) -> Iterator[Entry]:
        for name in self._spool.names():
            if self._stop.is_set():
                return
            entry = self._spool.entry(name)
            if entry is not None and (everything or is_due(entry, now())):
                yield entry

    def _upload(self, entry: Entry) -> Answer:
        try:
            with entry.path.open("rb") as envelope:
                return self._client.upload(envelope, size=entry.size, check=self._check)
        except OSError as fault:
            raise Unreachable(f"the entry cannot be read ({fault.strerror}); see the spool's disk") from None

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped("told to end")

    def _settle(self, entry: Entry, answer: Answer, met: _Pass) -> None:
        verdict = judge(answer, entry.sidecar)
        if verdict.fate is Fate.RETRY:
            self._retry(entry, met, reason=verdict.reason, answer=answer)
            return
        met.failed_row = 0
        if verdict.fate is Fate.REFUSED:
            self._spool.refuse(entry.name, _problem(verdict, answer))
            met.refused += 1
            facts = {"status": answer.status, "code": problem_code(answer), "reason": verdict.reason}
            self._log("error", "refused", entry=entry.name, **facts)
            return
        self._spool.remove(entry.name)
        self._log("info", verdict.fate.value, entry=entry.name, id=verdict.receipt_id, status=answer.status)

    def _retry(self, entry: Entry, met: _Pass, *, reason: str, answer: Answer | None = None) -> None:
        met.failed_row += 1
        met.troubled = met.troubled or entry.sidecar is None
        tries = (entry.sidecar.tries if entry.sidecar else 0) + 1
        wait = self._wait_after(tries)
        if answer is not None and answer.retry_after is not None:
            met.pause = min(answer.retry_after, LONGEST_RETRY_AFTER)
            wait = max(wait, met.pause)
        wait = min(wait, LONGEST_RETRY_AFTER)
        self._spool.postpone(entry.name, until=now() + timedelta(seconds=wait))
        status = answer.status if answer else None
        level = "error" if status in {None, 401, 403, 404} or tries > ROW_OF_FAILURES else "warning"
        facts = {"status": status, "tries": tries, "wait_seconds": round(wait, 1), "reason": reason}
        self._log(level, "not-delivered", entry=entry.name, **facts)


def _problem(verdict: Verdict, answer: Answer) -> dict[str, object]:
    """What lies beside a refused entry: our reason, and the archive's own words."""
    return {
        "reason": verdict.reason,
        "status": answer.status,
        "at": now().isoformat(),
        "answer": read_object(answer.body),
    }


@contextmanager
def stopping(agent: Agent) -> Iterator[None]:
    """SIGTERM and SIGINT end the agent; to be entered in the main thread."""

    def handler(number: int, frame: FrameType | None) -> None:
        agent.stop()

    earlier = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, was in earlier.items():
            signal.signal(number, was)
