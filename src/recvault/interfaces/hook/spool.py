"""The spool: sealed recordings on their way to the archive, in directories that only their owner opens.

    incoming/   being written; what a dead writer left is swept
    ready/      NAME.rvedge (edge envelope) and NAME.json (sidecar, without personal data): waiting for the agent
    refused/    the archive will not take it as it is: a person decides; NAME.problem.json says why

Invariants: an entry is in ``ready`` exactly when its NAME.rvedge is, and from the moment :meth:`Draft.commit` returns
it is on disk, whole, whatever happens next. The sidecar goes there first and leaves last, so that a crash at any
moment leaves a complete entry, or none and scraps that :meth:`Spool.sweep` removes. Nothing is overwritten.

Left to others: that the bytes are sealed, what an answer of the archive means, when to try again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from recvault.domain.errors import ConfigurationError, RecvaultError, Unavailable
from recvault.domain.ids import require_aware

INCOMING, READY, REFUSED = "incoming", "ready", "refused"
ENVELOPE, SIDECAR, PROBLEM = ".rvedge", ".json", ".problem.json"
STALE_SECONDS = 60.0
"""How long something unfinished must have rested before a sweep takes it."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SpoolFull(Unavailable):
    """The spool's disk, quota or file size limit is used up; nothing half written was left."""

    code = "spool-full"


class SpoolFault(RecvaultError):
    """The spool's disk fails."""

    code = "spool"


class AgentRunning(Unavailable):
    """Another agent already works on this spool."""

    code = "agent-running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """What the host remembers of an entry: SHA-256 (hex) and bytes of the content, and how delivery goes."""

    sha256: str
    length: int
    created_at: datetime
    tries: int = 0
    next_try: datetime | None = None

    def __post_init__(self) -> None:
        require_aware(self.created_at, "created_at")
        if self.next_try is not None:
            require_aware(self.next_try, "next_try")

    def encode(self) -> bytes:
        """JSON in UTF-8."""
        moment = self.next_try.isoformat() if self.next_try else None
        return json.dumps(
            {
                "sha256": self.sha256,
                "length": self.length,
                "created_at": self.created_at.isoformat(),
                "tries": self.tries,
                "next_try": moment,
            }
        ).encode()

    @staticmethod
    def decode(raw: bytes) -> Sidecar:
        """ValueError, KeyError or TypeError when it is none."""
        value = json.loads(raw)
        waits = value["next_try"]
        return Sidecar(
            sha256=str(value["sha256"]),
            length=int(value["length"]),
            created_at=datetime.fromisoformat(value["created_at"]),
            tries=int(value["tries"]),
            next_try=None if waits is None else datetime.fromisoformat(waits),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One sealed recording. ``sidecar`` is None when it is missing or unreadable; ``size`` is of the envelope."""

    name: str
    path: Path
    size: int
    sidecar: Sidecar | None


@contextmanager
def _disk_faults() -> Iterator[None]:
    """Turns errors of the disk into sentences; paths stay out of them."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise SpoolFull(
                f"the spool cannot take more ({os.strerror(fault.errno or 0)}); free space on its disk, or see why the "
                "agent does not deliver (recvault hook status)"
            ) from None
        raise SpoolFault(
            f"the spool cannot be used ({fault.strerror}); see that its directory belongs to this user and its disk is sound"
        ) from None


def sync_directory(path: Path) -> None:
    """Makes renames and removals in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _write_synced(path: Path, data: bytes) -> None:
    """A new file, whole on disk or not there."""
    handle = _create(path)
    try:
        _write_all(handle, data)
        os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _fresh_name() -> str:
    """Sorts by time (microseconds), and is unique by 64 random bits."""
    return f"{time.time_ns() // 1000:016x}-{os.urandom(8).hex()}"


class Draft:
    """An entry being written; a context that removes what was not committed. Made by :meth:`Spool.draft`."""

    def __init__(self, root: Path) -> None:
        self.name = _fresh_name()
        self._root = root
        self._envelope = root / INCOMING / (self.name + ENVELOPE)
        self._sidecar = root / INCOMING / (self.name + SIDECAR)
        with _disk_faults():
            self._handle = _create(self._envelope)
            fcntl.flock(self._handle, fcntl.LOCK_EX)  # a sweep leaves alone what somebody is writing

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)
        for scrap in (self._envelope, self._sidecar):  # after a commit neither is there
            with suppress(OSError):
                scrap.unlink(missing_ok=True)

    def write(self, sealed: bytes) -> None:
        """The next bytes of the envelope; SpoolFull, SpoolFault."""
        with _disk_faults():
            _write_all(self._handle, sealed)

    def commit(self, sidecar: Sidecar) -> None:
        """Makes the entry durable and visible; SpoolFull or SpoolFault when it could not be, and then it is not."""
        ready = self._root / READY
        with _disk_faults():
            os.fsync(self._handle)
            _write_synced(self._sidecar, sidecar.encode())
            self._sidecar.rename(ready / self._sidecar.name)
            self._envelope.rename(ready / self._envelope.name)
            sync_directory(ready)


class Spool:
    """A spool that exists; see :meth:`create`. ConfigurationError when it is none, or is open to others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            status = root.stat()
        except OSError as fault:
            raise ConfigurationError(
                f"the spool cannot be opened ({fault.strerror}); make it with: recvault hook enrol"
            ) from None
        if status.st_mode & 0o077:
            raise ConfigurationError("the spool is open to other users; chmod it to 0700")
        if not (root / READY).is_dir():
            raise ConfigurationError(
                "the spool has not been set up, or this user may not enter it; run: recvault hook enrol"
            )

    @staticmethod
    def create(root: Path) -> Spool:
        """Makes the directories that are missing (0700) and opens the spool."""
        with _disk_faults():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for state in (INCOMING, REFUSED, READY):
                (root / state).mkdir(mode=0o700, exist_ok=True)
            sync_directory(root)
            sync_directory(root.parent)
        return Spool(root)

    def draft(self) -> Draft:
        """A new entry to write."""
        return Draft(self.root)

    def put_file(self, name: str, data: bytes, *, state: str = "") -> None:
        """Replaces one of the spool's own small files atomically and durably."""
        target = self.root / state / name
        written = self.root / INCOMING / f"{_fresh_name()}.part"
        with _disk_faults():
            _write_synced(written, data)
            written.replace(target)
            sync_directory(target.parent)

    # -- what is there
    # ------------------------------------------------------------------------------------------------------

    def names(self, state: str = READY) -> list[str]:
        """Names of the entries of a state, oldest first."""
        with _disk_faults(), os.scandir(self.root / state) as found:
            return sorted(item.name.removesuffix(ENVELOPE) for item in found if item.name.endswith(ENVELOPE))

    def entry(self, name: str, state: str = READY) -> Entry | None:
        """One entry, None when it is not there (any more)."""
        path = self.root / state / (name + ENVELOPE)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        try:
            sidecar = Sidecar.decode(path.with_suffix(SIDECAR).read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            sidecar = None
        return Entry(name=name, path=path, size=size, sidecar=sidecar)

    # -- what becomes of an entry
    # ------------------------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """The archive has it. Repeating this is harmless."""
        ready = self.root / READY
        with _disk_faults():
            for kind in (ENVELOPE, SIDECAR):
                (ready / (name + kind)).unlink(missing_ok=True)
            sync_directory(ready)

    def postpone(self, name: str, *, until: datetime) -> None:
        """Counts a try that failed, and notes when the next one is due."""
        entry = self.entry(name)
        if entry is not None and entry.sidecar is not None:
            later = replace(entry.sidecar, tries=entry.sidecar.tries + 1, next_try=require_aware(until, "until"))
            self.put_file(name + SIDECAR, later.encode(), state=READY)

    def refuse(self, name: str, problem: Mapping[str, object]) -> None:
        """Sets an entry aside for a person, with the reason beside it. To try it again: move both files back."""
        self.put_file(name + PROBLEM, json.dumps(problem, indent=1).encode(), state=REFUSED)
        ready, refused = self.root / READY, self.root / REFUSED
        with _disk_faults():
            (ready / (name + ENVELOPE)).rename(refused / (name + ENVELOPE))
            with suppress(FileNotFoundError):
                (ready / (name + SIDECAR)).rename(refused / (name + SIDECAR))
            sync_directory(refused)
            sync_directory(ready)

    # -- upkeep
    # ------------------------------------------------------------------------------------------------------

    def sweep(self, *, stale_seconds: float = STALE_SECONDS) -> int:
        """Removes what dead writers left: nobody holds it and it rested ``stale_seconds``. Returns how many files."""
        swept = 0
        with _disk_faults():
            for scrap in (self.root / INCOMING).iterdir():
                swept += _rested(scrap, stale_seconds) and _remove_unheld(scrap)
            for sidecar in (self.root / READY).glob("*" + SIDECAR):
                if not sidecar.with_suffix(ENVELOPE).exists() and _rested(sidecar, stale_seconds):
                    self._settle(sidecar)
                    swept += 1
        return swept

    def _settle(self, sidecar: Path) -> None:
        """A sidecar alone: its entry went to ``refused`` just before a crash, or was never committed, or is done."""
        aside = self.root / REFUSED / sidecar.name
        if aside.with_suffix(ENVELOPE).exists():
            sidecar.rename(aside)
        else:
            sidecar.unlink(missing_ok=True)

    @contextmanager
    def agent_lock(self) -> Iterator[None]:
        """Held by the one agent of this spool; AgentRunning."""
        with _disk_faults():
            handle = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AgentRunning(
                    "another agent works on this spool; leave it to that one, or stop it first"
                ) from None
            yield
        finally:
            os.close(handle)


def _rested(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= seconds
    except FileNotFoundError:
        return False


def _remove_unheld(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def now() -> datetime:
    """The host's clock, UTC."""
    return datetime.now(UTC)
