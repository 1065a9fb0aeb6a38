"""What a witness keeps on its own disk: its key, the logs it follows, and of each the last checkpoint it signed.

Invariants: a checkpoint is durable before the signature on it leaves; it is replaced as a whole, by a larger one or by
itself; one process at a time uses a directory. What was refused although the log had signed it is kept as evidence.
Layout: ``witness.key`` (0600, the raw private key), ``witness.name``, ``logs/<hash>.key`` and ``logs/<hash>.checkpoint``,
``evidence/``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recvault.domain.checkpoints import COSIGNATURE, Checkpoint, NoteKey, parse_checkpoint, parse_key
from recvault.domain.errors import Conflict, InvalidInput, NotFound

KEY_FILE, NAME_FILE = "witness.key", "witness.name"


class WitnessState:
    """One directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            secret = (directory / KEY_FILE).read_bytes()
            name = (directory / NAME_FILE).read_text("utf-8").strip()
            self._secret = Ed25519PrivateKey.from_private_bytes(secret)
            self.key = NoteKey(name=name, kind=COSIGNATURE, public=self._secret.public_key().public_bytes_raw())
        except (OSError, ValueError) as fault:
            raise InvalidInput(
                f"{directory} is no directory of a witness that this user can read; 'recvault witness init' makes one"
            ) from fault

    @classmethod
    def create(cls, directory: Path, name: str) -> WitnessState:
        """A new witness with a key of its own; InvalidInput when the directory has one, or the name cannot be used."""
        secret = Ed25519PrivateKey.generate()
        try:
            NoteKey(name=name, kind=COSIGNATURE, public=secret.public_key().public_bytes_raw())
        except ValueError:
            raise InvalidInput(
                "a witness's name has 1 to 200 characters, no spaces and no plus; choose another"
            ) from None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (directory / KEY_FILE).exists():
            raise InvalidInput(f"{directory} holds a witness already; name another directory")
        for part in ("logs", "evidence"):
            (directory / part).mkdir(mode=0o700, exist_ok=True)
        write_whole(directory / NAME_FILE, f"{name}\n".encode())
        write_whole(directory / KEY_FILE, secret.private_bytes_raw())
        return cls(directory)

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature with the witness's key."""
        return self._secret.sign(message)

    # --- logs

    def follow(self, key: NoteKey) -> None:
        """From here on checkpoints of this log are accepted."""
        if key.kind == COSIGNATURE:
            raise InvalidInput("this is the key of a witness, not of a log; 'recvault audit key' shows the log's")
        write_whole(self._file(key, "key"), f"{key.text()}\n".encode())

    def logs(self) -> list[NoteKey]:
        """Those it follows, by name."""
        files = sorted((self._directory / "logs").glob("*.key"))
        return sorted((parse_key(file.read_text("utf-8")) for file in files), key=lambda key: key.name)

    def log(self, origin: str) -> NoteKey:
        """The key of a log; NotFound for one that is not followed."""
        for key in self.logs():
            if key.name == origin:
                return key
        raise NotFound(
            f"the log {origin} is not followed here; ask its operator why it has this name, and only when the answer is good "
            "let 'recvault witness follow' know its key"
        )

    def last(self, key: NoteKey) -> Checkpoint | None:
        """The last checkpoint of the log that was signed here."""
        try:
            return parse_checkpoint(self._file(key, "checkpoint").read_text("utf-8"))
        except FileNotFoundError:
            return None

    def keep(self, key: NoteKey, checkpoint: Checkpoint) -> None:
        """Durable on return."""
        write_whole(self._file(key, "checkpoint"), checkpoint.note().encode())

    def keep_evidence(self, key: NoteKey, checkpoint: Checkpoint) -> Path:
        """A checkpoint that the log signed and that contradicts the last; beside it what it contradicts."""
        last = self.last(key)
        name = f"{key.key_hash.hex()}-{checkpoint.size:012d}-{checkpoint.root.hex()[:16]}"
        file = self._directory / "evidence" / name
        write_whole(file, checkpoint.note().encode())
        if last is not None:
            write_whole(file.with_name(f"{name}-contradicts"), last.note().encode())
        return file

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Conflict when another process uses the directory."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict("another process is this witness already; one at a time may sign") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def _file(self, key: NoteKey, ending: str) -> Path:
        return self._directory / "logs" / f"{key.key_hash.hex()}.{ending}"


def write_whole(file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replaces a file as a whole, durably."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
