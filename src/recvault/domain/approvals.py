"""Proposals and approvals: what one person may not do alone.

Two modes (DESIGN, Roles): ``two_person``: another person approves, and it is carried out at once. ``small``: where there
is truly one person, the proposal waits 72 hours, the controller's address is told, and log and certificate say 'decided
by one person'. A proposal names ids, never persons in words, apart from its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from recvault.domain.errors import Conflict
from recvault.domain.ids import require_aware


class ProposalKind(StrEnum):
    """What is asked for. The subject is the id of what it is about (a hold, a communication, a customer, an account), a
    reference, or empty."""

    RELEASE_HOLD = "release-hold"
    END_PURPOSE = "end-purpose"
    STATUTORY_OVERRIDE = "statutory-override"
    EXTEND_SUSPENSION = "extend-suspension"
    SWEEP_AFTER_RESTORE = "sweep-after-restore"
    ACCEPT_LEDGER_LOSS = "accept-ledger-loss"
    GRANT_ROLES = "grant-roles"
    BREAK_GLASS = "break-glass"
    DISCLOSURE = "disclosure"


DELAYS: Mapping[ProposalKind, timedelta] = {ProposalKind.GRANT_ROLES: timedelta(hours=24)}
"""How long an approved proposal of the kind waits before it is carried out, so that a person can still object."""

NEVER_ALONE = frozenset({ProposalKind.DISCLOSURE})
"""What one person does not decide, whatever the mode: disclosure to an authority always takes two (DESIGN, Roles)."""

FOR_A_PERSON = frozenset({ProposalKind.GRANT_ROLES, ProposalKind.BREAK_GLASS})
"""Kinds whose subject is an account that gains by it: its person does not approve what another proposed for them."""


class Mode(StrEnum):
    """How the archive takes second decisions (``[approvals] mode``)."""

    TWO_PERSON = "two_person"
    SMALL = "small"


class ProposalState(StrEnum):
    """Where a proposal stands. ``waiting``: decided, and carried out when its delay is over (that of a single person's
    decision, or that of its kind). ``expired``: nobody decided in time."""

    OPEN = "open"
    WAITING = "waiting"
    CARRIED_OUT = "carried-out"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One proposal. ``body`` holds JSON values its kind understands; ``not_before`` is set while it is ``waiting``;
    ``expires_at`` is until when it can be decided (None: one of an earlier program); ``assertion`` is the challenge over
    which the approver's passkey signed, None when the account alone decided."""

    id: str
    kind: ProposalKind
    subject: str
    body: Mapping[str, object]
    reason: str
    proposed_by: str
    proposed_at: datetime
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    assertion: bytes | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "proposed_at", require_aware(self.proposed_at, "proposed_at"))
        for name in ("decided_at", "not_before", "expires_at"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))

    @property
    def by_one_person(self) -> bool:
        """Whether the proposer decided alone (mode ``small``)."""
        return self.decided_by is not None and self.decided_by == self.proposed_by

    def is_over(self, now: datetime) -> bool:
        """Whether nobody can decide it any more: its time has passed while it was open."""
        return self.state is ProposalState.OPEN and self.expires_at is not None and self.expires_at <= now

    @property
    def standing(self) -> bool:
        """Whether it can still come to something: open, or waiting for its delay to end."""
        return self.state in STANDING


STANDING = frozenset({ProposalState.OPEN, ProposalState.WAITING})

_NEXT: Mapping[ProposalState, frozenset[ProposalState]] = {
    ProposalState.OPEN: frozenset(
        {
            ProposalState.WAITING,
            ProposalState.CARRIED_OUT,
            ProposalState.REFUSED,
            ProposalState.WITHDRAWN,
            ProposalState.EXPIRED,
        }
    ),
    # Back to open: who decided may decide no longer.
    ProposalState.WAITING: frozenset(
        {
            ProposalState.OPEN,
            ProposalState.WAITING,  # decided by one person, and now by another, whose own delay begins
            ProposalState.CARRIED_OUT,
            ProposalState.REFUSED,
            ProposalState.WITHDRAWN,
        }
    ),
    ProposalState.CARRIED_OUT: frozenset(),
    ProposalState.REFUSED: frozenset(),
    ProposalState.WITHDRAWN: frozenset(),
    ProposalState.EXPIRED: frozenset(),
}


def require_step(proposal: Proposal, state: ProposalState) -> None:
    """Conflict when the life cycle does not lead from where the proposal stands to ``state``."""
    if state not in _NEXT[proposal.state]:
        raise Conflict(f"the proposal is {proposal.state.value} already; look at it with 'recvault approval list'")
