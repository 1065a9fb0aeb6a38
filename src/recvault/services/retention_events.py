"""Events that move retention: a case closed, a relationship ended or resumed, an objection to training.

All of them come through here, whether from the API, the command line or the nightly customer feed; each is one transaction
with its audit entries, before and after. Keeps: the end of a relationship only shortens, one that resumes stays within the
caps fixed at storing; an objection is for good, for what arrives later too; events that concern different facts may come in
any order, and of the same event told twice the later moment counts.

Leaves to others: ending a purpose for chosen recordings, which takes an approval (``services.retention_endings``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, tzinfo

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.customer import Customer
from recvault.domain.errors import InvalidInput, NotFound
from recvault.domain.ids import require_aware, uuid7
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.purpose import Purpose
from recvault.domain.retention.endings import EndingKind, PurposeEnding
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.ending_entries import ended_body
from recvault.services.ledger import Ledger
from recvault.services.retention import Retention

REASON_LIMIT = 500
"""Characters of a person's reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventReport:
    """What an event did: how many communications it concerns, and of how many an end moved."""

    concerned: int
    moved: int


class RetentionEvents:
    """Takes events and moves ends."""

    def __init__(
        self,
        *,
        database: Database,
        retention: Retention,
        access: Access,
        audit: AuditLog,
        ledger: Ledger,
        clock: Clock,
        entropy: Entropy,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._retention = retention
        self._access = access
        self._audit = audit
        self._ledger = ledger
        self._clock = clock
        self._entropy = entropy
        self._zone = zone

    # --- cases

    def case_closed(self, actor: Actor, case_ref: str, at: datetime | None = None) -> EventReport:
        """A case was closed, now or at a moment that has passed; NotFound when nothing stored belongs to it. Of two
        closings (it was opened again in between) the later counts, in whatever order they are told."""
        self._access.require(actor, Action.RETENTION_EVENT)
        closed_at = self._passed(at)
        with self._database.begin() as unit:
            ids = unit.retention.ids_of_case(case_ref)
            if not ids:
                raise NotFound("nothing that is stored belongs to this case; check the reference")
            rows = self._retention.lock(unit, ids)
            after = [replace(row, case_closed_at=_later(row.case_closed_at, closed_at)) for row in rows]
            concerned = [row.id for row, new in zip(rows, after, strict=True) if row != new]
            unit.retention.set_case_closed(concerned, closed_at)
            detail = {"at": closed_at.isoformat()}
            moved = self._retention.move(
                unit, rows, after, by=actor.id, act=Act.CASE_CLOSED, detail=detail, always=True
            )
            unit.commit()
        return EventReport(concerned=len(rows), moved=moved)

    # --- relationships

    def relationship_ended(self, actor: Actor, customer_id: str, on: date) -> EventReport:
        """The relationship ends with that day, local time. An end from before the present relationship began was told
        late and changes nothing."""

        def ended(customer: Customer) -> Customer:
            late = customer.relationship_start is not None and on < customer.relationship_start
            return customer if late else replace(customer, relationship_end=on)

        return self._relationship(actor, customer_id, ended)

    def relationship_resumed(self, actor: Actor, customer_id: str, on: date) -> EventReport:
        """A new relationship begins on that day; ends before it no longer count."""

        def resumed(customer: Customer) -> Customer:
            start = on if customer.relationship_start is None else max(on, customer.relationship_start)
            over = customer.relationship_end is not None and customer.relationship_end < start
            return replace(
                customer, relationship_start=start, relationship_end=None if over else customer.relationship_end
            )

        return self._relationship(actor, customer_id, resumed)

    def _relationship(self, actor: Actor, customer_id: str, change: Callable[[Customer], Customer]) -> EventReport:
        self._access.require(actor, Action.RETENTION_EVENT)
        with self._database.begin() as unit:
            unit.register.lock_guards(customer_ids=[customer_id], contact_point_ids=[])
            before = unit.register.customer(customer_id)
            after = change(before)
            unit.register.put_customer(after)
            report = self.relationship_moved(unit, before, after, by=actor.id)
            unit.commit()
        return report

    def relationship_moved(self, unit: UnitOfWork, before: Customer, after: Customer, *, by: str) -> EventReport:
        """In the transaction that writes the customer: when the end of its relationship differs, every communication of
        the customer is computed again. The customer's guard is locked first."""
        if before.relationship_end == after.relationship_end:
            return EventReport(concerned=0, moved=0)
        unit.register.lock_guards(customer_ids=[after.id], contact_point_ids=[])
        ended_at = self.ended_at(after)
        rows = self._retention.lock(unit, unit.communications.ids_of_customer(after.id))
        unit.communications.set_relationship_ended([row.id for row in rows], ended_at)
        moved = self._retention.move(
            unit,
            rows,
            [replace(row, relationship_ended_at=ended_at) for row in rows],
            by=by,
            act=Act.RETENTION_MOVED,
            detail={"event": "relationship"},
        )
        self._audit.record(
            unit,
            actor=by,
            act=Act.RELATIONSHIP_RESUMED if after.relationship_end is None else Act.RELATIONSHIP_ENDED,
            target=after.id,
            detail={
                "before": _day(before.relationship_end),
                "after": _day(after.relationship_end),
                "concerned": len(rows),
                "moved": moved,
            },
        )
        return EventReport(concerned=len(rows), moved=moved)

    def ended_at(self, customer: Customer | None) -> datetime | None:
        """The end of the relationship as a moment: the end of its last day, local time."""
        if customer is None or customer.relationship_end is None:
            return None
        return datetime.combine(customer.relationship_end, time.max, self._zone).astimezone(UTC)

    # --- objection

    def object_to_training(
        self, actor: Actor, *, reason: str, customer_id: str | None = None, communication_id: str | None = None
    ) -> EventReport:
        """A customer (or the person in one communication) objects to training (GDPR Art. 21): it ends now and for good,
        for a customer also in what arrives later. Told again, it changes nothing."""
        self._access.require(actor, Action.RETENTION_EVENT)
        if (customer_id is None) == (communication_id is None):
            raise InvalidInput("name either a customer or a communication")
        if not reason.strip() or len(reason) > REASON_LIMIT:
            raise InvalidInput(f"give a reason of 1 to {REASON_LIMIT} characters: how the objection came")
        now = self._clock.now()
        with self._database.begin() as unit:
            rows, known = self._objected(unit, customer_id, communication_id)
            if known:
                return EventReport(concerned=len(rows), moved=0)
            ending = PurposeEnding(
                id=uuid7(now, self._entropy.bytes(10)),
                purpose=Purpose.TRAINING.value,
                kind=EndingKind.OBJECTION,
                customer_id=customer_id,
                reason=reason.strip(),
                placed_by=actor.id,
                approved_by=None,
                placed_at=now,
                ends_at=now,
            )
            unit.retention.add_ending(ending, [row.id for row in rows] if customer_id is None else [])
            moved = self._retention.move(
                unit,
                rows,
                [with_end(row, Purpose.TRAINING, now) for row in rows],
                by=actor.id,
                act=Act.TRAINING_OBJECTED,
                detail={"ending": ending.id},
            )
            self._audit.record(
                unit,
                actor=actor.id,
                act=Act.TRAINING_OBJECTED,
                target=customer_id or communication_id,
                detail={"ending": ending.id, "concerned": len(rows), "moved": moved},
            )
            chosen = [row.id for row in rows] if customer_id is None else []
            self._ledger.append(unit, LedgerKind.PURPOSE_ENDED, ended_body(ending, chosen))
            unit.commit()
        return EventReport(concerned=len(rows), moved=moved)

    def _objected(
        self, unit: UnitOfWork, customer_id: str | None, communication_id: str | None
    ) -> tuple[list[Communication], bool]:
        """The locked rows that an objection concerns, and whether it stands already. NotFound when there is no such
        customer or communication."""
        if customer_id is None:
            rows = [self._retention.lock_one(unit, communication_id or "")]
            standing = unit.retention.endings_covering([rows[0].id]).get(rows[0].id, ())
        else:
            unit.register.lock_guards(customer_ids=[customer_id], contact_point_ids=[])
            unit.register.customer(customer_id)
            rows = self._retention.lock(unit, unit.communications.ids_of_customer(customer_id))
            standing = unit.retention.endings_of_customer(customer_id)
        return rows, any(one.kind is EndingKind.OBJECTION and one.purpose == Purpose.TRAINING for one in standing)

    def _passed(self, at: datetime | None) -> datetime:
        now = self._clock.now()
        if at is not None and require_aware(at, "at") > now:
            raise InvalidInput("the event lies in the future; tell it when it has happened")
        return now if at is None else require_aware(at, "at")


def with_end(row: Communication, purpose: str, at: datetime | None) -> Communication:
    """The row with the moment at which the purpose was ended: the first of those known, or with None not ended at all.
    A purpose that the row was not stored for has nothing to end."""
    return replace(
        row,
        purposes=tuple(
            replace(record, ended_at=None if at is None else min(record.ended_at or at, at))
            if record.purpose == purpose
            else record
            for record in row.purposes
        ),
    )


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
