"""Invitations to set a password."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, select, update

from recvault.adapters.database.session import Session
from recvault.adapters.database.sessions import SqlSessions
from recvault.adapters.database.tables import users
from recvault.adapters.database.tables_notices import invitations
from recvault.domain.notices import Invitation
from recvault.domain.sessions import Kind


class SqlInvitations:
    """Implements the port's ``Invitations``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, invitation: Invitation) -> None:
        """See the port. Conflict for an unknown person."""
        self.withdraw(invitation.user_id)
        self._session.insert(invitations, asdict(invitation))

    def find(self, invitation_hash: bytes) -> Invitation | None:
        """See the port."""
        row = self._session.first(select(invitations).where(invitations.c.hash == invitation_hash))
        return None if row is None else Invitation(**row._mapping)

    def use(self, invitation_hash: bytes, *, now: datetime, password_hash: str) -> str | None:
        """See the port. The row that is deleted decides: of two who come at once, one gets it."""
        found = self.find(invitation_hash)
        if found is None or found.expires_at <= now:
            return None
        if not self._session.change(delete(invitations).where(invitations.c.hash == invitation_hash)):
            return None
        who = found.user_id
        self._session.change(update(users).where(users.c.id == who).values(password_hash=password_hash))
        SqlSessions(self._session).revoke_all(who, now, kinds=frozenset({Kind.SESSION}))
        return who

    def withdraw(self, user_id: str) -> None:
        """See the port."""
        self._session.change(delete(invitations).where(invitations.c.user_id == user_id))
