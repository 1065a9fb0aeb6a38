"""Destruction: what is known of a communication after its key is gone, and what a certificate says.

A :class:`Destruction` is the tombstone. It holds no personal data: random ids, a keyed hash of the source's id, sizes,
salted digests, times. A :class:`BatchCertificate` is one signature over many of them. Stages follow DESIGN: *inaccessible*
once the data key is gone and every object version was looked for and not found; *complete* once every key that ever wrapped
the data key is gone as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.ids import require_aware


class Stage(StrEnum):
    """How far a destruction has come."""

    SHREDDED = "shredded"
    INACCESSIBLE = "inaccessible"
    COMPLETE = "complete"


class Trigger(StrEnum):
    """Why it was destroyed."""

    RETENTION = "retention"
    DO_NOT_KEEP = "do_not_keep"
    PURPOSE_ENDED = "purpose_ended_early"
    REPLAY = "ledger_replay"


class WhyResumed(StrEnum):
    """What a person found who looked at a communication that the purge had stopped."""

    EDIT_EXPLAINED = "edit-explained"
    DATABASE_RESTORED = "database-restored"
    DISK_FAULT = "disk-fault"


@dataclass(frozen=True, kw_only=True, slots=True)
class Destruction:
    """The tombstone of one communication. ``facts`` is the frozen evidence taken when it was shredded (JSON values,
    see ``services.purge``); ``key_ids`` are all keys that ever wrapped its data key. ``inaccessible_in`` and ``complete_in``
    name the batch certificates that it is a leaf of; the two texts are certificates of its own, as earlier versions of the
    program issued them."""

    communication_id: str
    source_id: str
    source_ref_hash: bytes | None
    batch: str
    trigger: Trigger
    stage: Stage
    facts: Mapping[str, object]
    key_ids: tuple[str, ...]
    shredded_at: datetime
    inaccessible_at: datetime | None = None
    complete_at: datetime | None = None
    certificate_inaccessible: str | None = None
    certificate_complete: str | None = None
    inaccessible_in: str | None = None
    complete_in: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchCertificate:
    """One signed document about many destructions. ``leaves`` are the hashes of the Merkle tree whose root it signs
    (``domain.merkle``), one for each communication; ``document`` is the signed envelope as text."""

    id: str
    stage: Stage
    issued_at: datetime
    leaves: tuple[bytes, ...]
    document: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "issued_at", require_aware(self.issued_at, "issued_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class DueItem:
    """A claimed row: the fence number must still stand when it is shredded (a later claimer has a higher one)."""

    communication_id: str
    state: str
    fence: int
