"""Passkeys, challenges and assertions in the database."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables_passkeys import approval_assertions, passkey_challenges, passkeys
from recvault.adapters.database.waiting import make_room
from recvault.domain.decisions import Assertion
from recvault.domain.passkeys import Challenge, Passkey, Signed, Use

_p, _c, _a = passkeys.c, passkey_challenges.c, approval_assertions.c


class SqlPasskeys:
    """Implements the port's ``Passkeys``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, passkey: Passkey) -> None:
        """See the port. Conflict when the person is not stored."""
        self._session.insert(passkeys, asdict(passkey) | {"transports": " ".join(passkey.transports)})

    def of_user(self, user_id: str) -> list[Passkey]:
        """See the port."""
        return [
            _passkey(row) for row in self._session.rows(select(passkeys).where(_p.user_id == user_id).order_by(_p.id))
        ]

    def find(self, credential_id: bytes, *, lock: bool = False) -> Passkey | None:
        """See the port."""
        statement = select(passkeys).where(_p.credential_id == credential_id)
        row = self._session.first(statement.with_for_update() if lock else statement)
        return None if row is None else _passkey(row)

    def used(self, passkey_id: str, *, sign_count: int, at: datetime) -> None:
        """See the port."""
        self._session.change(update(passkeys).where(_p.id == passkey_id).values(sign_count=sign_count, last_used_at=at))

    def suspect(self, passkey_id: str, at: datetime) -> None:
        """See the port."""
        first = update(passkeys).where(_p.id == passkey_id, _p.suspect_at.is_(None))
        self._session.change(first.values(suspect_at=at))

    def rename(self, user_id: str, passkey_id: str, label: str) -> None:
        """See the port."""
        own = update(passkeys).where(_p.id == passkey_id, _p.user_id == user_id)
        if not self._session.change(own.values(label=label)):
            raise missing("passkey")

    def remove(self, user_id: str, passkey_id: str) -> Passkey:
        """See the port."""
        row = self._session.first(select(passkeys).where(_p.id == passkey_id, _p.user_id == user_id).with_for_update())
        if row is None:
            raise missing("passkey")
        self._session.change(delete(passkeys).where(_p.id == passkey_id))
        return _passkey(row)

    def suspects(self) -> int:
        """See the port."""
        return self._session.count(passkeys, _p.suspect_at.is_not(None))

    # --- challenges

    def ask(self, challenge: Challenge, *, now: datetime) -> None:
        """See the port."""
        self._session.change(delete(passkey_challenges).where(_c.expires_at <= now))
        if challenge.network is not None:
            make_room(
                self._session,
                passkey_challenges,
                key=_c.challenge,
                network=_c.network,
                until=_c.expires_at,
                asking=challenge.network,
            )
        self._session.insert(passkey_challenges, asdict(challenge) | {"use": challenge.use.value})

    def take(self, challenge: bytes) -> Challenge | None:
        """See the port. The row that is deleted decides: of two who come at once, one gets it."""
        row = self._session.first(select(passkey_challenges).where(_c.challenge == challenge))
        if row is None or not self._session.change(delete(passkey_challenges).where(_c.challenge == challenge)):
            return None
        values: dict[str, Any] = dict(row._mapping)
        return Challenge(**values | {"use": Use(row.use)})

    # --- assertions

    def keep_assertion(self, assertion: Assertion) -> None:
        """See the port."""
        signed = asdict(assertion.signed)
        del signed["user_handle"]  # the account, which stands beside
        kept = {name: getattr(assertion, name) for name in ("proposal_id", "user_id", "nonce", "public_key", "at")}
        self._session.insert(approval_assertions, kept | signed)

    def assertion(self, proposal_id: str, challenge: bytes) -> Assertion | None:
        """See the port."""
        row = self._session.first(
            select(approval_assertions).where(_a.proposal_id == proposal_id, _a.challenge == challenge)
        )
        return None if row is None else _assertion(row)

    def assertions(self, proposal_id: str) -> list[Assertion]:
        """See the port."""
        rows = self._session.rows(
            select(approval_assertions).where(_a.proposal_id == proposal_id).order_by(_a.at, _a.challenge)
        )
        return [_assertion(row) for row in rows]


def _passkey(row: Row[Any]) -> Passkey:
    values: dict[str, Any] = dict(row._mapping)
    return Passkey(**values | {"transports": tuple(row.transports.split())})


def _assertion(row: Row[Any]) -> Assertion:
    signed = Signed(
        credential_id=row.credential_id,
        challenge=row.challenge,
        authenticator_data=row.authenticator_data,
        client_data=row.client_data,
        signature=row.signature,
    )
    return Assertion(
        proposal_id=row.proposal_id,
        user_id=row.user_id,
        nonce=row.nonce,
        public_key=row.public_key,
        signed=signed,
        at=row.at,
    )
