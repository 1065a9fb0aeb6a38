"""Alarms that stand, mails that wait, and the counts of a day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import audit_entries, audit_head, destructions, holds
from recvault.adapters.database.tables_notices import alarms, mails
from recvault.domain.audit import Act
from recvault.domain.notices import Alarm, DayCounts, QueuedMail

_MAIL = (mails.c.id, mails.c.recipient, mails.c.subject, mails.c.body, mails.c.created_at, mails.c.attempts)

LONGEST_TO_COMPLETION = timedelta(days=400)
"""Further back nothing is sought that becomes complete now: a destruction waits for keys of a month at the most."""


class SqlNotices:
    """Implements the port's ``Notices``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # --- alarms

    def alarms(self) -> list[Alarm]:
        """See the port."""
        rows = self._session.rows(select(alarms).order_by(alarms.c.name))
        return [Alarm(**row._mapping) for row in rows]

    def begin(self, alarm: Alarm) -> bool:
        """See the port."""
        return self._insert_new(alarms, asdict(alarm)) == 1

    def see(self, name: str, *, at: datetime, count: int | None) -> None:
        """See the port."""
        values: dict[str, object] = {"seen_at": at} if count is None else {"seen_at": at, "count": count}
        self._session.change(update(alarms).where(alarms.c.name == name, alarms.c.seen_at < at).values(**values))

    def tell(self, alarm: Alarm, at: datetime) -> bool:
        """See the port."""
        told = alarms.c.told_at
        as_known = told.is_(None) if alarm.told_at is None else told == alarm.told_at
        same = (alarms.c.name == alarm.name, alarms.c.began_at == alarm.began_at, as_known)
        return self._session.change(update(alarms).where(*same).values(told_at=at)) == 1

    def end(self, alarm: Alarm) -> bool:
        """See the port."""
        same = (alarms.c.name == alarm.name, alarms.c.began_at == alarm.began_at, alarms.c.seen_at == alarm.seen_at)
        return self._session.change(delete(alarms).where(*same)) == 1

    # --- mails

    def queue(self, mails_: Iterable[QueuedMail]) -> int:
        """See the port."""
        return sum(self._insert_new(mails, asdict(mail) | {"due_at": mail.created_at}) for mail in mails_)

    def claim(self, *, now: datetime, until: datetime, by: str, limit: int) -> list[QueuedMail]:
        """See the port."""
        rows = self._session.rows(
            select(*_MAIL)
            .where(mails.c.sent_at.is_(None), mails.c.due_at <= now)
            .order_by(mails.c.due_at, mails.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = [QueuedMail(**row._mapping) for row in rows]
        taken = {"due_at": until, "claimed_by": by, "attempts": mails.c.attempts + 1}
        self._session.change(update(mails).where(mails.c.id.in_([mail.id for mail in found])).values(**taken))
        return found

    def sent(self, mail_id: str, *, at: datetime) -> None:
        """See the port."""
        empty = {"recipient": None, "subject": None, "body": None, "claimed_by": None, "fault": None}
        self._session.change(
            update(mails).where(mails.c.id == mail_id, mails.c.sent_at.is_(None)).values(sent_at=at, **empty)
        )

    def put_off(self, mail_id: str, *, by: str, until: datetime, fault: str) -> None:
        """See the port."""
        self._session.change(
            update(mails)
            .where(mails.c.id == mail_id, mails.c.claimed_by == by, mails.c.sent_at.is_(None))
            .values(due_at=until, fault=fault, claimed_by=None)
        )

    def give_up(self, before: datetime) -> int:
        """See the port."""
        self._session.change(delete(mails).where(mails.c.sent_at < before))
        return self._session.change(delete(mails).where(mails.c.sent_at.is_(None), mails.c.created_at < before))

    def unsent(self, before: datetime) -> tuple[int, str | None]:
        """See the port."""
        rows = self._session.rows(
            select(mails.c.fault)
            .where(mails.c.sent_at.is_(None), mails.c.created_at < before)
            .order_by(mails.c.created_at.desc())
        )
        return len(rows), next((row.fault for row in rows if row.fault), None)

    def _insert_new(self, table: Table[Any], row: Mapping[str, Any]) -> int:
        """1, or 0 when its key is there already; who comes second waits here for the first one's commit."""
        make = postgresql.insert if self._session.on_postgresql else sqlite.insert
        statement = make(table).values(**row).on_conflict_do_nothing().returning(*table.primary_key.columns)
        return len(self._session.rows(statement))

    # --- the day

    def counts(self, *, since: datetime, until: datetime, audit_size: int) -> DayCounts:
        """See the port. By number and by the moment of shredding, which have indexes."""
        size = self._session.column(select(audit_head.c.size))[0]
        numbered = (audit_entries.c.number >= audit_size, audit_entries.c.number < size)
        acts = {
            row.act: row.many
            for row in self._session.rows(
                select(audit_entries.c.act, func.count().label("many"))
                .where(*numbered, audit_entries.c.act.in_([Act.STORED.value, Act.OPENED.value]))
                .group_by(audit_entries.c.act)
            )
        }
        recently = destructions.c.shredded_at >= since - LONGEST_TO_COMPLETION
        shredded, certified, completed = (
            self._session.count(destructions, recently, column >= since, column < until)
            for column in (destructions.c.shredded_at, destructions.c.inaccessible_at, destructions.c.complete_at)
        )
        return DayCounts(
            received=acts.get(Act.STORED.value, 0),
            opened=acts.get(Act.OPENED.value, 0),
            destroyed=shredded,
            certified=certified,
            completed=completed,
            holds=self._session.count(holds, holds.c.released_at.is_(None)),
            audit_size=size,
        )
