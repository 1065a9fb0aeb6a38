"""People, playback grants, releases to trainees; sources stand in ``sources``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import batches
from recvault.adapters.database.sources import SourceRows
from recvault.adapters.database.tables import (
    agents,
    playback_grants,
    releases,
    role_grant_scopes,
    role_grants,
    users,
)
from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.accounts import PlaybackGrant, User

_USER = (
    "id", "name", "display_name", "password_hash", "created_at", "language", "agent_id", "disabled_at",
    "person",
)  # fmt: skip

# What every request asks; made once, because making a statement costs as much as running it.
_PLAYBACK = select(playback_grants).where(playback_grants.c.hash == bindparam("hash"))
_USERS: Select[Any] = select(
    *(users.c[name] for name in _USER),
    *(role_grants.c[name] for name in ("position", "role", "scope_kind", "valid_from", "valid_until", "origin")),
    role_grant_scopes.c.value,
    agents.c.valid_until.label("agent_until"),
).select_from(
    users.outerjoin(agents, agents.c.id == users.c.agent_id)
    .outerjoin(role_grants, role_grants.c.user_id == users.c.id)
    .outerjoin(
        role_grant_scopes,
        and_(
            role_grant_scopes.c.user_id == role_grants.c.user_id,
            role_grant_scopes.c.position == role_grants.c.position,
        ),
    )
)


class SqlAccounts(SourceRows):
    """Implements the port's ``Accounts``."""

    def add_user(self, user: User) -> None:
        """See the port."""
        self._session.insert(users, {name: getattr(user, name) for name in _USER})
        self._insert_grants(user.id, user.grants)

    def put_user(self, user: User) -> None:
        """See the port. NotFound when unknown; Conflict when another has the name."""
        values = {name: getattr(user, name) for name in _USER if name != "id"}
        if not self._session.change(update(users).where(users.c.id == user.id).values(**values)):
            raise missing("user")
        if user.disabled_at is not None:
            self._drop_grants(user.id, self._places(user.id))
        self.replace_grants(user.id, None, [grant for grant in user.grants if grant.origin is None])

    def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        """See the port."""
        same = (users.c.id == user_id, users.c.password_hash == old)
        return self._session.change(update(users).where(*same).values(password_hash=new)) == 1

    def user(self, user_id: str) -> User:
        """See the port."""
        found = self._users(users.c.id == user_id)
        if not found:
            raise missing("user")
        return found[0]

    def lock_user(self, user_id: str) -> User:
        """See the port. NotFound when unknown."""
        if self._session.first(select(users.c.id).where(users.c.id == user_id).with_for_update()) is None:
            raise missing("user")
        return self.user(user_id)

    def user_by_name(self, name: str) -> User | None:
        """See the port."""
        return next(iter(self._users(users.c.name == name)), None)

    def users(self) -> list[User]:
        """See the port."""
        return self._users()

    def add_playback(self, grant: PlaybackGrant) -> None:
        """See the port. Conflict when person or communication is not stored."""
        self._session.insert(playback_grants, asdict(grant))

    def playback(self, grant_hash: bytes) -> PlaybackGrant | None:
        """See the port."""
        row = self._session.first(_PLAYBACK, {"hash": grant_hash})
        return None if row is None else PlaybackGrant(**row._mapping)

    def drop_playback(self, *, expired_before: datetime, communication_ids: Collection[str] = ()) -> None:
        """See the port."""
        self._session.change(delete(playback_grants).where(playback_grants.c.expires_at < expired_before))
        for batch in batches(communication_ids):
            self._session.change(
                delete(playback_grants).where(self._session.among(playback_grants.c.communication_id, batch))
            )

    def release_to(self, communication_id: str, user_id: str, until: datetime) -> None:
        """A later release replaces the earlier."""
        row = {"communication_id": communication_id, "user_id": user_id, "until": until}
        self._session.put(releases, row, key=["communication_id", "user_id"])

    def released_to(self, communication_id: str, user_id: str, now: datetime) -> bool:
        """See the port."""
        return bool(
            self._session.count(
                releases,
                releases.c.communication_id == communication_id,
                releases.c.user_id == user_id,
                releases.c.until > now,
            )
        )

    def replace_grants(self, user_id: str, origin: str | None, given: Sequence[Grant]) -> None:
        """Puts ``given`` in place of the roles of this origin; those of others stay."""
        self._drop_grants(user_id, self._places(user_id, role_grants.c.origin.is_not_distinct_from(origin)))
        self._insert_grants(user_id, given, first=max(self._places(user_id), default=-1) + 1)

    def _places(self, user_id: str, *conditions: ColumnElement[bool]) -> list[int]:
        return self._session.column(select(role_grants.c.position).where(role_grants.c.user_id == user_id, *conditions))

    def _drop_grants(self, user_id: str, places: Sequence[int]) -> None:
        for table in (role_grant_scopes, role_grants) if places else ():
            self._session.change(delete(table).where(table.c.user_id == user_id, table.c.position.in_(places)))

    def _insert_grants(self, user_id: str, given: Sequence[Grant], *, first: int = 0) -> None:
        grants, scopes = [], []
        for position, grant in enumerate(given, start=first):
            place = {"user_id": user_id, "position": position}
            grants.append(
                place
                | {
                    "role": grant.role.value,
                    "scope_kind": grant.scope.kind.value,
                    "valid_from": grant.valid_from,
                    "valid_until": grant.valid_until,
                    "origin": grant.origin,
                }
            )
            scopes += [place | {"value": value} for value in sorted(grant.scope.values)]
        self._session.insert(role_grants, grants)
        self._session.insert(role_grant_scopes, scopes)

    def _users(self, *conditions: ColumnElement[bool]) -> list[User]:
        """One statement: a row for each value of each grant's scope, at least one for each person."""
        people: dict[str, Row[Any]] = {}
        grants: dict[str, dict[int, Row[Any]]] = {}
        values: dict[tuple[str, int], set[str]] = {}
        for row in self._session.rows(_USERS.where(*conditions)):
            people.setdefault(row.id, row)
            if row.position is not None:
                grants.setdefault(row.id, {}).setdefault(row.position, row)
            if row.value is not None:
                values.setdefault((row.id, row.position), set()).add(row.value)
        found = [
            User(
                **{name: getattr(row, name) for name in _USER},
                agent_until=row.agent_until,
                grants=tuple(
                    _grant(grant, frozenset(values.get((row.id, position), ())))
                    for position, grant in sorted(grants.get(row.id, {}).items())
                ),
            )
            for row in people.values()
        ]
        return sorted(found, key=lambda user: (user.name.casefold(), user.id))


def _grant(row: Row[Any], values: frozenset[str]) -> Grant:
    return Grant(
        role=Role(row.role),
        scope=Scope(kind=ScopeKind(row.scope_kind), values=values),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        origin=row.origin,
    )
