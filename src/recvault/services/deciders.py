"""Who may decide a proposal: read from the database in the transaction that decides, and again in the one that carries out.

Keeps: a role taken away, an account closed, or two accounts found to be one person's count at once. Left to others: how the
decision is proved (``services.assertions``).
"""

from __future__ import annotations

from datetime import datetime

from recvault.domain.access import Action, Subject, decide, reaches
from recvault.domain.accounts import User, actor_of
from recvault.domain.approvals import FOR_A_PERSON, NEVER_ALONE, Mode, Proposal
from recvault.domain.errors import Forbidden, NotFound
from recvault.domain.ports.database import UnitOfWork


def require_decider(unit: UnitOfWork, user_id: str, now: datetime) -> User:
    """The account as it stands in this transaction still has the role; Forbidden otherwise."""
    try:
        user = unit.accounts.user(user_id)
    except NotFound:
        raise Forbidden("approving takes a person's own account") from None
    if user.disabled_at is not None:
        raise Forbidden("this account is closed")
    decision = decide(actor_of(user), Action.APPROVAL_DECIDE, Subject(), None, now)
    if not decision.allowed:
        raise Forbidden(f"this needs another role ({decision.reason})")
    if not reaches(actor_of(user), Action.APPROVAL_DECIDE, None, now):
        raise Forbidden("an approver's role must not be limited to teams or queues; ask an administrator")
    return user


def is_alone(unit: UnitOfWork, decider: User, proposal: Proposal, mode: Mode) -> bool:
    """Whether the one who proposed it decides, in a mode that lets them; Forbidden where it does not. Two accounts of one
    person are one person, and nobody approves what another asks for on their behalf."""
    if decider.id == proposal.proposed_by:
        if mode is Mode.TWO_PERSON or proposal.kind in NEVER_ALONE:
            raise Forbidden("your own proposal takes another person's approval; ask another approver")
        return True
    if decider.who == _person(unit, proposal.proposed_by):
        raise Forbidden("another account of yours proposed this; it takes another person's approval")
    if proposal.kind in FOR_A_PERSON and decider.who == _person(unit, proposal.subject):
        raise Forbidden("nobody approves a role for themselves; ask another approver")
    return False


def _person(unit: UnitOfWork, user_id: str) -> str:
    try:
        return unit.accounts.user(user_id).who
    except NotFound:
        return user_id
