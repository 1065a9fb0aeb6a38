"""What approvals go by: who may propose what, how long things take, and what carries a proposal out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from recvault.domain.access import Action
from recvault.domain.approvals import Mode, Proposal, ProposalKind
from recvault.domain.decisions import Proof
from recvault.domain.ports.database import UnitOfWork

Handler = Callable[[UnitOfWork, Proposal, datetime], None]
"""Carries a proposal out inside the transaction that approves it, at the moment given; an error keeps it undone."""

Follower = Callable[[Proposal], None]
"""Runs after that transaction has committed; must be harmless to leave out (a crash between) and to repeat."""

PROPOSING: Mapping[ProposalKind, Action] = {
    ProposalKind.RELEASE_HOLD: Action.HOLD_RELEASE,
    ProposalKind.END_PURPOSE: Action.PURPOSE_END,
    ProposalKind.STATUTORY_OVERRIDE: Action.STATUTORY_OVERRIDE,
    ProposalKind.EXTEND_SUSPENSION: Action.DESTRUCTION_SUSPEND,
    ProposalKind.SWEEP_AFTER_RESTORE: Action.SWEEP_RESUME,
    ProposalKind.ACCEPT_LEDGER_LOSS: Action.SWEEP_RESUME,
    ProposalKind.GRANT_ROLES: Action.ROLE_GRANT,
    ProposalKind.BREAK_GLASS: Action.BREAK_GLASS,
    ProposalKind.DISCLOSURE: Action.DISCLOSE,
}
"""The act that a proposer's role must grant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRules:
    """``delay``: how long a single person's decision waits in mode ``small``; ``expire_after``: how long a proposal can be
    decided; ``proof``: whether deciding takes a passkey's assertion."""

    mode: Mode = Mode.TWO_PERSON
    delay: timedelta = timedelta(hours=72)
    expire_after: timedelta = timedelta(days=14)
    proof: Proof = Proof.PASSKEY


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalList:
    """What stands, oldest first, and what was decided lately, newest first."""

    standing: tuple[Proposal, ...]
    decided: tuple[Proposal, ...]
