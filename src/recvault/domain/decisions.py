"""An approval as a passkey signs it: the exact act, and the challenge that stands for it.

Keeps: whatever of the act changes (its subject, what is to be done, the reason, who asked, who decides, until when) changes
the challenge, so that an assertion over one act approves no other. The act holds ids and digests, no words of a person. A
random nonce makes two approvals of one proposal differ. Left to others: signing and verifying (``ports.passkeys``), storing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.approvals import Proposal
from recvault.domain.errors import Forbidden
from recvault.domain.ids import canonical_json, require_aware
from recvault.domain.passkeys import Signed

FORM = "recvault/approval/v1"


class Proof(StrEnum):
    """How a decision is proved (``[approvals] proof``): an assertion over the act, or being signed in with the account."""

    PASSKEY = "passkey"
    ACCOUNT = "account"


class AssertionRequired(Forbidden):
    """A decision came without a passkey's assertion over it."""

    code = "assertion-required"

    def __init__(self) -> None:
        super().__init__(
            "approving takes a passkey here; open the desk, Approvals, and approve there, or use "
            '/v1/approvals/{id}/challenge; without a desk set approvals.proof = "account"'
        )


class AssertionBroken(Forbidden):
    """A stored approval no longer fits what it approved, or its signature does not verify."""

    code = "assertion-broken"


class AssertionVoid(Forbidden):
    """A stored approval cannot count any more: its passkey is gone, or it was never proved. Somebody decides again."""

    code = "assertion-void"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assertion:
    """An approval as evidence: who, over which act, with which key. ``public_key`` (COSE) is kept, so that an auditor
    verifies it after the passkey is gone."""

    proposal_id: str
    user_id: str
    nonce: bytes
    public_key: bytes
    signed: Signed
    at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_aware(self.at, "at"))

    @property
    def key_digest(self) -> str:
        """SHA-256 of the public key, hexadecimal."""
        return hashlib.sha256(self.public_key).hexdigest()


def act_of(proposal: Proposal, *, approver: str, nonce: bytes) -> Mapping[str, object]:
    """What an approver signs, as JSON values: digests are SHA-256 in hexadecimal, moments ISO 8601 in UTC."""
    return {
        "form": FORM,
        "proposal": proposal.id,
        "kind": proposal.kind.value,
        "subject": proposal.subject,
        "body": hashlib.sha256(canonical_json(proposal.body)).hexdigest(),
        "reason": hashlib.sha256(proposal.reason.encode()).hexdigest(),
        "requester": proposal.proposed_by,
        "approver": approver,
        "decision": "approve",
        "expires": None if proposal.expires_at is None else proposal.expires_at.isoformat(timespec="microseconds"),
        "nonce": nonce.hex(),
    }


def challenge_of(act: Mapping[str, object]) -> bytes:
    """The challenge that stands for the act: SHA-256 of its canonical JSON."""
    return hashlib.sha256(canonical_json(act)).digest()
