"""Checkpoints of the audit log: what is signed (C2SP tlog-checkpoint) and how signed notes are written (C2SP signed-note).

Text and bytes only; who signs and who verifies is ``sealing.notes``. A checkpoint names the log (origin), the number of
leaves and the root over them, and holds no time: the same tree is always the same text. A log that was continued from a
restored database has another origin, and says in a line of its own which tree it follows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from recvault.domain.errors import AuditFailure
from recvault.domain.ids import require_aware

NOTE_LIMIT = 64 * 1024
"""Bytes of a note, at most."""

MARK = "\N{EM DASH} "
"""Begins each line of signatures."""

ED25519 = 0x01
"""The type of a plain Ed25519 signature (C2SP signed-note)."""

COSIGNATURE = 0x04
"""The type of a timestamped Ed25519 cosignature (C2SP tlog-cosignature)."""

_NAME = re.compile(r"[^\s+]{1,200}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """One signature line: the key's name, the 4 bytes that tell keys of one name apart, and the signature's bytes."""

    name: str
    key_hash: bytes
    value: bytes

    def line(self) -> str:
        """As it stands in a note, without the newline."""
        return f"{MARK}{self.name} {base64.b64encode(self.key_hash + self.value).decode()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteKey:
    """A public key as C2SP signed-note writes it: ``name+hash+type and key``; ``kind`` is ED25519 or COSIGNATURE."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public) != 32 or self.kind not in (ED25519, COSIGNATURE):
            raise ValueError("a key of notes is a name without spaces or plus, a known type and 32 bytes")

    @property
    def key_hash(self) -> bytes:
        """The first 4 bytes of SHA-256 over name, newline, type and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def text(self) -> str:
        """The one line that is handed to whoever verifies."""
        body = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_hash.hex()}+{body}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A tree's head as signed. ``signatures``: the log's first, then those of witnesses; ``published_at``: when the archive
    published it, None for one that was read from elsewhere."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    published_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.origin) or self.size < 0 or len(self.root) != 32:
            raise ValueError("a checkpoint is an origin without spaces, a size and a root of 32 bytes")
        if any(not line or "\n" in line for line in self.extensions):
            raise ValueError("an extension of a checkpoint is one line")
        if self.published_at is not None:
            object.__setattr__(self, "published_at", require_aware(self.published_at, "published_at"))

    def body(self) -> str:
        """What is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions]
        return "\n".join(lines) + "\n"

    def note(self) -> str:
        """Body and signatures."""
        return self.body() + "\n" + "".join(f"{one.line()}\n" for one in self.signatures)

    def with_signatures(self, *more: Signature) -> Checkpoint:
        """With those added whose key has not signed yet; of a key that has, the new one counts."""
        keys = {(one.name, one.key_hash) for one in more}
        kept = tuple(one for one in self.signatures if (one.name, one.key_hash) not in keys)
        return replace(self, signatures=(*kept, *more))


def parse_checkpoint(text: str, *, published_at: datetime | None = None) -> Checkpoint:
    """A note's checkpoint; AuditFailure when it is none. Verifies nothing."""
    body, blank, tail = text.rpartition("\n\n")
    lines = body.split("\n")
    if not blank or len(text) > NOTE_LIMIT or len(lines) < 3 or not _NUMBER.fullmatch(lines[1]):
        raise _unreadable()
    try:
        return Checkpoint(
            origin=lines[0],
            size=int(lines[1]),
            root=_bytes(lines[2]),
            extensions=tuple(lines[3:]),
            signatures=parse_signatures(tail),
            published_at=published_at,
        )
    except ValueError:
        raise _unreadable() from None


def parse_signatures(text: str) -> tuple[Signature, ...]:
    """Signature lines, each ended by a newline; AuditFailure for anything else."""
    if not text.endswith("\n"):
        raise _unreadable()
    found = []
    for line in text[:-1].split("\n"):
        name, _, value = line.removeprefix(MARK).partition(" ")
        if not line.startswith(MARK) or not _NAME.fullmatch(name):
            raise _unreadable()
        raw = _bytes(value)
        if len(raw) <= 4:
            raise _unreadable()
        found.append(Signature(name=name, key_hash=raw[:4], value=raw[4:]))
    return tuple(found)


def parse_key(text: str) -> NoteKey:
    """A key's one line; AuditFailure when it is none, or its hash is another's."""
    name, _, rest = text.strip().partition("+")
    digest, _, body = rest.partition("+")
    try:
        raw = _bytes(body)
        key = NoteKey(name=name, kind=raw[0] if raw else 0, public=raw[1:])
    except ValueError:
        raise AuditFailure("this is no key of a log or witness: it reads name+hash+key in one line") from None
    if key.key_hash.hex() != digest:
        raise AuditFailure("the key of the log or witness does not match its own hash; copy the whole line again")
    return key


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable() from None


def _unreadable() -> AuditFailure:
    return AuditFailure("this is no signed checkpoint of a log; take the file again from where it was published")
