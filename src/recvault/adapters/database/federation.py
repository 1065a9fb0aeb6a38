"""People of issuers, sign-ins under way, where sessions came from, break-glass accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import delete, select, update

from recvault.adapters.database.accounts import SqlAccounts
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables_federation import (
    break_glass,
    federated_identities,
    federated_logouts,
    federated_sessions,
    federated_sign_ins,
)
from recvault.adapters.database.tables_register import users
from recvault.adapters.database.waiting import make_room
from recvault.domain.access import Grant
from recvault.domain.accounts import User
from recvault.domain.federation import BreakGlass, FederatedSession, Identity, Logout, Pending


class SqlFederation:
    """Implements the port's ``Federation``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # --- sign-ins under way

    def begin(self, pending: Pending) -> None:
        """See the port."""
        self._session.change(delete(federated_sign_ins).where(federated_sign_ins.c.expires_at <= pending.created_at))
        if pending.network is not None:
            columns = federated_sign_ins.c
            make_room(
                self._session,
                federated_sign_ins,
                key=columns.state_hash,
                network=columns.network,
                until=columns.expires_at,
                asking=pending.network,
            )
        self._session.insert(federated_sign_ins, asdict(pending))

    def take(self, state_hash: bytes, *, issuer: str, browser_hash: bytes, now: datetime) -> Pending | None:
        """See the port. The row that is deleted decides: of two who come at once, one gets it."""
        row = self._session.first(select(federated_sign_ins).where(federated_sign_ins.c.state_hash == state_hash))
        if row is None:
            return None
        found = Pending(**row._mapping)
        if found.issuer != issuer or found.browser_hash != browser_hash or found.expires_at <= now:
            return None
        taken = self._session.change(delete(federated_sign_ins).where(federated_sign_ins.c.state_hash == state_hash))
        return found if taken else None

    # --- identities

    def identity(self, key: bytes) -> Identity | None:
        """See the port."""
        row = self._session.first(select(federated_identities).where(federated_identities.c.key == key))
        return None if row is None else Identity(**row._mapping)

    def identities(self, user_id: str | None = None) -> list[Identity]:
        """See the port."""
        asked = select(federated_identities)
        if user_id is not None:
            asked = asked.where(federated_identities.c.user_id == user_id)
        found = [Identity(**row._mapping) for row in self._session.rows(asked)]
        return sorted(found, key=lambda one: (one.linked_at, one.key))

    def link(self, identity: Identity) -> None:
        """See the port."""
        self._session.insert(federated_identities, asdict(identity))

    def unlink(self, user_id: str, issuer: str) -> bool:
        """See the port."""
        of_user = federated_identities.c.user_id == user_id
        return bool(
            self._session.change(delete(federated_identities).where(of_user, federated_identities.c.issuer == issuer))
        )

    def used(self, key: bytes, at: datetime) -> None:
        """See the port."""
        self._session.change(
            update(federated_identities).where(federated_identities.c.key == key).values(last_used_at=at)
        )

    # --- roles

    def lock_user(self, user_id: str) -> User:
        """See the port."""
        asked = select(users.c.id).where(users.c.id == user_id).with_for_update()
        if self._session.first(asked) is None:
            raise missing("user")
        return SqlAccounts(self._session).user(user_id)

    def replace_grants(self, user_id: str, origin: str, grants: Sequence[Grant]) -> None:
        """See the port."""
        SqlAccounts(self._session).replace_grants(user_id, origin, [replace(one, origin=origin) for one in grants])

    # --- sessions

    def came_from(self, session: FederatedSession, *, forget_before: datetime) -> None:
        """See the port."""
        self._session.change(delete(federated_sessions).where(federated_sessions.c.created_at < forget_before))
        self._session.insert(federated_sessions, asdict(session))

    def origin_of(self, session_id: str) -> FederatedSession | None:
        """See the port."""
        row = self._session.first(select(federated_sessions).where(federated_sessions.c.session_id == session_id))
        return None if row is None else FederatedSession(**row._mapping)

    def remember_logout(self, token: bytes, *, until: datetime, now: datetime) -> bool:
        """See the port. The row's key decides: of two who come at once, one meets a Conflict."""
        self._session.change(delete(federated_logouts).where(federated_logouts.c.expires_at <= now))
        if self._session.count(federated_logouts, federated_logouts.c.token == token):
            return False
        self._session.insert(federated_logouts, {"token": token, "expires_at": until})
        return True

    def sessions_of(self, logout: Logout, issuer: str) -> list[str]:
        """See the port."""
        asked = select(federated_sessions.c.session_id).where(federated_sessions.c.issuer == issuer)
        if logout.sid is not None:
            asked = asked.where(federated_sessions.c.sid == logout.sid)
        if logout.key is not None:
            asked = asked.where(federated_sessions.c.key == logout.key)
        return self._session.column(asked)

    # --- break-glass accounts

    def break_glass(self, user_id: str) -> BreakGlass | None:
        """See the port."""
        row = self._session.first(select(break_glass).where(break_glass.c.user_id == user_id))
        return None if row is None else BreakGlass(**row._mapping)

    def break_glass_accounts(self) -> list[BreakGlass]:
        """See the port."""
        found = [BreakGlass(**row._mapping) for row in self._session.rows(select(break_glass))]
        return sorted(found, key=lambda one: (one.marked_at, one.user_id))

    def mark_break_glass(self, account: BreakGlass) -> None:
        """See the port."""
        self._session.put(break_glass, asdict(account), key=["user_id"])

    def unmark_break_glass(self, user_id: str) -> bool:
        """See the port."""
        return bool(self._session.change(delete(break_glass).where(break_glass.c.user_id == user_id)))
