"""Authenticator apps, recovery codes, and notices to people about how they sign in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, or_, select, update

from recvault.adapters.database.session import Session
from recvault.adapters.database.tables_sign_in import change_notices, recovery_codes
from recvault.adapters.database.tables_sign_in import totp as apps
from recvault.domain.factors import Change, ChangeNotice, Totp


class SqlFactors:
    """Implements the port's ``Factors``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def totp(self, user_id: str, *, active: bool) -> Totp | None:
        """See the port."""
        row = self._session.first(select(apps).where(apps.c.user_id == user_id, apps.c.active.is_(active)))
        return None if row is None else Totp(**row._mapping)

    def put_waiting(self, totp: Totp) -> None:
        """See the port. Conflict for an unknown person."""
        self._session.change(delete(apps).where(apps.c.user_id == totp.user_id, apps.c.active.is_(False)))
        self._session.insert(apps, asdict(totp))

    def activate(self, totp: Totp, step: int) -> bool:
        """See the port. The waiting row that is taken away decides: of two who come at once, one gets it."""
        waiting = (apps.c.user_id == totp.user_id, apps.c.active.is_(False), apps.c.sealed == totp.sealed)
        if not self._session.change(delete(apps).where(*waiting)):
            return False
        row = asdict(totp) | {"active": True, "last_step": step}
        self._session.put(apps, row, key=["user_id", "active"])
        return True

    def use_step(self, user_id: str, step: int) -> bool:
        """See the port. One statement: the row itself compares."""
        newer = or_(apps.c.last_step.is_(None), apps.c.last_step < step)
        mine = (apps.c.user_id == user_id, apps.c.active.is_(True))
        return self._session.change(update(apps).where(*mine, newer).values(last_step=step)) == 1

    def drop_totp(self, user_id: str) -> bool:
        """See the port."""
        return self._session.change(delete(apps).where(apps.c.user_id == user_id)) > 0

    def set_recovery(self, user_id: str, hashes: Collection[bytes], at: datetime) -> None:
        """See the port."""
        self._session.change(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        rows = [{"user_id": user_id, "hash": one, "created_at": at} for one in hashes]
        self._session.insert(recovery_codes, rows)

    def recovery_left(self, user_id: str) -> int:
        """See the port."""
        return self._session.count(recovery_codes, recovery_codes.c.user_id == user_id)

    def use_recovery(self, user_id: str, code_hash: bytes) -> bool:
        """See the port. The row that is deleted decides."""
        mine = (recovery_codes.c.user_id == user_id, recovery_codes.c.hash == code_hash)
        return self._session.change(delete(recovery_codes).where(*mine)) == 1

    def note(self, notice: ChangeNotice, *, keep: int) -> None:
        """See the port."""
        self._session.insert(change_notices, asdict(notice))
        mine = change_notices.c.user_id == notice.user_id
        newest = select(change_notices.c.id).where(mine).order_by(change_notices.c.id.desc()).limit(keep)
        self._session.change(delete(change_notices).where(mine, change_notices.c.id.not_in(newest)))

    def notices(self, user_id: str) -> list[ChangeNotice]:
        """See the port."""
        mine = select(change_notices).where(change_notices.c.user_id == user_id)
        rows = self._session.rows(mine.order_by(change_notices.c.id.desc()))
        return [
            ChangeNotice(id=row.id, user_id=row.user_id, at=row.at, change=Change(row.change), own=row.own)
            for row in rows
        ]
