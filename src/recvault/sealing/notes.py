"""Signed notes (C2SP signed-note) and timestamped cosignatures (C2SP tlog-cosignature) with Ed25519 (RFC 8032).

Where keys live is left to others: signing comes in as a function. Verifying raises AuditFailure; it never returns a bool.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recvault.domain.checkpoints import COSIGNATURE, Checkpoint, NoteKey, Signature
from recvault.domain.errors import AuditFailure

Sign = Callable[[bytes], bytes]


def sign(checkpoint: Checkpoint, key: NoteKey, with_: Sign) -> Checkpoint:
    """The checkpoint with the log's signature."""
    value = with_(checkpoint.body().encode())
    return checkpoint.with_signatures(Signature(name=key.name, key_hash=key.key_hash, value=value))


def verify(checkpoint: Checkpoint, key: NoteKey) -> None:
    """AuditFailure unless the log of this key signed the checkpoint, and its origin is the key's name."""
    if checkpoint.origin != key.name:
        raise AuditFailure(
            f"the checkpoint is of the log {checkpoint.origin}, the key of {key.name}; take the right one"
        )
    _verify(key, _of(checkpoint, key).value, checkpoint.body().encode())


def cosign(checkpoint: Checkpoint, key: NoteKey, with_: Sign, *, at: datetime) -> Signature:
    """A witness's signature: that it saw the checkpoint at the time, and that it is consistent with all it saw before."""
    seconds = int(at.timestamp())
    value = with_(_cosigned(checkpoint, seconds))
    return Signature(name=key.name, key_hash=key.key_hash, value=seconds.to_bytes(8) + value)


def verify_cosignature(checkpoint: Checkpoint, key: NoteKey) -> datetime:
    """When the witness of this key signed the checkpoint; AuditFailure when it did not."""
    value = _of(checkpoint, key).value
    if key.kind != COSIGNATURE or len(value) != 72:
        raise AuditFailure(f"{key.name} is no key of a witness, or its signature is none of a witness")
    seconds = int.from_bytes(value[:8])
    _verify(key, value[8:], _cosigned(checkpoint, seconds))
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise AuditFailure(f"the signature of {key.name} carries no possible time") from None


def _cosigned(checkpoint: Checkpoint, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{checkpoint.body()}".encode()


def _of(checkpoint: Checkpoint, key: NoteKey) -> Signature:
    for one in checkpoint.signatures:
        if (one.name, one.key_hash) == (key.name, key.key_hash):
            return one
    raise AuditFailure(f"{key.name} has not signed this checkpoint; take the one that it signed")


def _verify(key: NoteKey, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature:
        raise AuditFailure(
            f"the signature of {key.name} does not verify: the checkpoint was altered, or another key signed it"
        ) from None
