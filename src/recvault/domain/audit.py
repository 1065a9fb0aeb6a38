"""The audit log's entries, and what of them stands in its tree.

Every act commits its entry in its own transaction, without a number; a sequencer numbers entries and puts a salted hash of
each into a Merkle tree (``domain.log_tree``), where it stays when the entry has ended. Entries hold ids, classes and counts,
never a name, number, address or text of a person (rule 9).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.ids import canonical_json, require_aware


class Act(StrEnum):
    """What was done, as ``scope:resource:action``."""

    STORED = "communication:content:stored"
    STORED_AGAIN = "communication:content:stored-again"
    CONFLICT = "communication:content:conflict"
    STORED_AFTER_LOSS = "communication:content:stored-after-loss"
    RESENT_AFTER_DESTRUCTION = "communication:content:resent-after-destruction"
    OPENED = "communication:content:opened"
    CLOSED = "communication:content:closed"
    OPEN_REFUSED = "communication:content:open-refused"
    SEARCHED = "communication:index:searched"
    VIEWED = "communication:index:viewed"
    DO_NOT_KEEP = "communication:retention:do-not-keep"
    DO_NOT_KEEP_UNDONE = "communication:retention:do-not-keep-undone"
    RETENTION_MOVED = "communication:retention:moved"
    RELEASED = "communication:training:released"
    HOLD_PLACED = "hold:hold:placed"
    HOLD_RELEASED = "hold:hold:released"
    PROPOSED = "approval:proposal:proposed"
    DECIDED_ALONE = "approval:proposal:decided-by-one-person"
    CARRIED_OUT = "approval:proposal:carried-out"
    CARRY_OUT_FAILED = "approval:proposal:carry-out-failed"
    REFUSED = "approval:proposal:refused"
    WITHDRAWN = "approval:proposal:withdrawn"
    REOPENED = "approval:proposal:reopened"
    SHREDDED = "destruction:communication:shredded"
    INACCESSIBLE = "destruction:communication:inaccessible"
    COMPLETE = "destruction:communication:complete"
    STOPPED = "destruction:communication:stopped"
    ITEM_RESUMED = "destruction:communication:resumed"
    RUN_STOPPED = "destruction:run:stopped"
    RUN_CONFIRMED = "destruction:run:confirmed"
    SUSPENDED = "destruction:run:suspended"
    SUSPENSION_EXTENDED = "destruction:run:suspension-extended"
    RESUMED = "destruction:run:resumed"
    FORECAST_MADE = "destruction:forecast:made"
    KEY_CREATED = "key:key:created"
    KEY_SUPERSEDED = "key:key:superseded"
    KEY_DESTROYED = "key:key:destroyed"
    KEYS_CONFIRMED = "key:backup:confirmed"
    KEYS_PLACE_ADDED = "key:place:added"
    KEYS_PLACE_DROPPED = "key:place:dropped"
    KEYS_PLACE_LOST = "key:place:lost"
    KEYS_COPIED = "key:copy:taken"
    KEYS_COPY_ENDED = "key:copy:ended"
    KEYS_RESTORED = "key:keyring:restored"
    ROOT_CHANGED = "key:root:changed"
    ROOT_DESTROYED = "key:root:destroyed"
    CUSTOMER_CHANGED = "register:customer:changed"
    AGENT_CHANGED = "register:agent:changed"
    SOURCE_ADDED = "account:source:added"
    SOURCE_REVOKED = "account:source:revoked"
    SOURCE_REFUSED = "account:source:refused"
    CERTIFICATE_ADDED = "account:source:certificate-added"
    CERTIFICATE_REMOVED = "account:source:certificate-removed"
    USER_ADDED = "account:user:added"
    INVITED = "account:user:invited"
    PASSWORD_SET = "account:user:password-set"
    ROLE_GRANTED = "account:role:granted"
    SIGNED_IN = "account:session:signed-in"
    SIGN_IN_FAILED = "account:session:sign-in-failed"
    SIGNED_OUT = "account:session:signed-out"
    SESSION_PROVED = "account:session:proved"
    SESSION_ENDED = "account:session:ended"
    TOKEN_ISSUED = "account:token:issued"
    TOKEN_REVOKED = "account:token:revoked"
    POLICY_SIGNED = "policy:policy:signed"
    POLICY_ACTIVATED = "policy:policy:activated"
    POLICY_APPLIED = "policy:policy:applied"
    CASE_CLOSED = "communication:retention:case-closed"
    RELATIONSHIP_ENDED = "register:relationship:ended"
    RELATIONSHIP_RESUMED = "register:relationship:resumed"
    TRAINING_OBJECTED = "communication:retention:training-objected"
    PURPOSE_ENDED = "communication:retention:purpose-ended"
    PURPOSE_END_WITHDRAWN = "communication:retention:purpose-end-withdrawn"
    OVERRIDE_PLACED = "communication:retention:override-placed"
    OVERRIDE_ENDED = "communication:retention:override-ended"
    RESIDENCY_VIOLATED = "place:store:violated"
    RESIDENCY_RESTORED = "place:store:restored"
    ORPHAN_SWEPT = "store:object:swept"
    BACKUP_MADE = "backup:backup:made"
    BACKUP_VERIFIED = "backup:backup:verified"
    RECONCILED = "store:archive:reconciled"
    MENDED = "store:archive:mended"
    DESTRUCTION_PROVED = "destruction:copy:examined"
    LEDGER_REPLAYED = "ledger:entry:replayed"
    INCARNATION_CHANGED = "ledger:database:incarnation-changed"
    SWEEP_RESUMED = "store:sweep:resumed"
    APPROVED = "approval:proposal:approved"
    PERSON_LINKED = "account:user:person-linked"
    BREAK_GLASS_OPENED = "account:role:break-glass-opened"
    AUTHORISED = "disclosure:authorisation:issued"
    AUTHORISATION_ENDED = "disclosure:authorisation:ended"
    LIMIT_REACHED = "communication:content:limit-reached"
    UNUSUAL_LISTENING = "communication:content:unusual-listening"
    REVIEW_READ = "account:review:read"
    REVIEW_CONFIRMED = "account:review:confirmed"
    PASSKEY_ADDED = "account:passkey:added"
    PASSKEY_REMOVED = "account:passkey:removed"
    PASSKEY_REFUSED = "account:passkey:refused"
    PROPOSAL_EXPIRED = "approval:proposal:expired"
    ASSERTION_BROKEN = "approval:proposal:assertion-broken"
    IDENTITY_LINKED = "account:identity:linked"
    IDENTITY_UNLINKED = "account:identity:unlinked"
    ISSUERS_CHANGED = "account:issuer:changed"
    BREAK_GLASS_MARKED = "account:break-glass:marked"
    BREAK_GLASS_UNMARKED = "account:break-glass:unmarked"
    BREAK_GLASS_USED = "account:break-glass:used"
    TREE_BEGUN = "log:tree:begun"
    LOG_CONTINUED = "log:tree:continued"
    LOG_READ = "log:entries:read"
    LOG_EXPORTED = "log:entries:exported"
    LOG_NAMES_SHOWN = "log:entries:names-shown"
    ENTRIES_ENDED = "log:entries:ended"
    CHECKPOINT_REFUSED = "log:checkpoint:refused"
    WITNESS_REFUSED = "log:witness:refused"
    CONFIGURATION_CHANGED = "system:configuration:changed"
    CLOCK_JUMPED = "system:clock:jumped"
    FACTS_SEALED = "policy:facts:sealed"
    LEDGER_LOSS_ACCEPTED = "ledger:end:loss-accepted"
    SIGN_IN_REFUSED = "account:session:sign-in-refused"
    FACTOR_FAILED = "account:session:factor-failed"
    FACTOR_ADDED = "account:factor:added"
    FACTOR_REMOVED = "account:factor:removed"
    FACTORS_RESET = "account:factor:reset"
    RECOVERY_RENEWED = "account:factor:recovery-renewed"


MOVES_ENDS = frozenset(act for act in Act if act.startswith("communication:retention:"))
"""Acts whose target's end they move: what they moved is accounted for when a run is compared with its forecast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One act. ``actor`` is a random account id, ``source:…`` or ``system:…``; ``detail`` holds JSON values."""

    id: str
    at: datetime
    actor: str
    act: Act
    target: str | None
    purpose: str | None
    detail: Mapping[str, object]
    salt: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_aware(self.at, "at"))


def entry_body(entry: Entry) -> bytes:
    """The canonical entry, which its leaf is taken over."""
    return canonical_json(
        {
            "id": entry.id,
            "at": entry.at.isoformat(timespec="microseconds"),
            "actor": entry.actor,
            "act": entry.act.value,
            "target": entry.target,
            "purpose": entry.purpose,
            "detail": dict(entry.detail),
        }
    )


def leaf_data(entry: Entry) -> bytes:
    """What the entry's leaf says: SHA-256 of a zero byte, the salt and the canonical entry. The leaf's hash in the tree is
    taken over it (RFC 6962, 2.1). The salt lets an entry end while its leaf stays and tells nothing."""
    return hashlib.sha256(b"\x00" + entry.salt + entry_body(entry)).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class SequencedEntry:
    """An entry with its place in the tree: ``index`` from 0, ``leaf`` as committed with the act."""

    entry: Entry
    index: int
    leaf: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeHead:
    """Number of sequenced entries and the root over their leaves."""

    size: int
    root: bytes
