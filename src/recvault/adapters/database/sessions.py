"""Sessions and API tokens of people. Methods and scopes are stored as words with spaces between (RFC 6749, 3.3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, or_, select, update

from recvault.adapters.database.session import Session as Transaction
from recvault.adapters.database.tables import tokens
from recvault.domain.access import Role
from recvault.domain.sessions import Kind, Method, Session

# What every request asks; made once, because making a statement costs as much as running it.
_BY_HASH = select(tokens).where(tokens.c.hash == bindparam("hash"))


class SqlSessions:
    """Implements the port's ``Sessions``."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, session: Session) -> None:
        """See the port."""
        self._transaction.insert(tokens, _stored(session))

    def find(self, secret_hash: bytes) -> Session | None:
        """See the port."""
        row = self._transaction.first(_BY_HASH, {"hash": secret_hash})
        return None if row is None else _session(row)

    def of_user(self, user_id: str) -> list[Session]:
        """See the port."""
        asked = select(tokens).where(tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
        found = [_session(row) for row in self._transaction.rows(asked)]
        return sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)

    def touch(self, secret_hash: bytes, at: datetime) -> None:
        """See the port. An unknown one stays unknown."""
        self._transaction.change(
            update(tokens).where(tokens.c.hash == secret_hash, tokens.c.last_used_at < at).values(last_used_at=at)
        )

    def rotate(self, secret_hash: bytes, session: Session) -> bool:
        """See the port."""
        row = _stored(session)
        changed = {name: row[name] for name in ("hash", "methods", "proved_at", "last_used_at")}
        old = update(tokens).where(tokens.c.hash == secret_hash, tokens.c.revoked_at.is_(None))
        return bool(self._transaction.change(old.values(**changed)))

    def revoke(self, session_id: str, at: datetime) -> bool:
        """See the port."""
        live = update(tokens).where(tokens.c.id == session_id, tokens.c.revoked_at.is_(None))
        return bool(self._transaction.change(live.values(revoked_at=at)))

    def revoke_all(self, user_id: str, at: datetime, *, kinds: frozenset[Kind], except_id: str | None = None) -> int:
        """See the port."""
        live = update(tokens).where(
            tokens.c.user_id == user_id,
            tokens.c.kind.in_(sorted(kinds)),
            tokens.c.revoked_at.is_(None),
            tokens.c.id != (except_id or ""),
        )
        return self._transaction.change(live.values(revoked_at=at))

    def forget(self, user_id: str, *, ended_before: datetime) -> None:
        """See the port."""
        over = or_(tokens.c.revoked_at < ended_before, tokens.c.expires_at < ended_before)
        self._transaction.change(delete(tokens).where(tokens.c.user_id == user_id, over))


def _stored(session: Session) -> dict[str, Any]:
    return {
        "hash": session.hash,
        "user_id": session.user_id,
        "kind": session.kind.value,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "last_used_at": session.last_used_at,
        "revoked_at": session.revoked_at,
        "id": session.id,
        "label": session.label,
        "methods": " ".join(sorted(session.methods)),
        "scopes": None if session.scopes is None else " ".join(sorted(session.scopes)),
        "proved_at": session.proved_at,
    }


def _session(row: Row[Any]) -> Session:
    values = dict(row._mapping)
    return Session(
        **values
        | {
            "kind": Kind(row.kind),
            "methods": frozenset(map(Method, row.methods.split())),
            "scopes": None if row.scopes is None else frozenset(map(Role, row.scopes.split())),
        }
    )
