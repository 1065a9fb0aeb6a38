"""Statutory overrides: one statute keeps one communication, or all of one customer, beyond its purposes.

Keeps: every override has a statute of the table, a reason, a proposer and an approver, and an end that is computed, never
typed; placing it moves ``destroy_at`` and the data key in the approving transaction, which also writes it to the ledger, so
that a restore does not lose it; it opens nothing to anybody. Mandatory law and defence of claims are told apart. An override
is taken back the same way, by two.

Leaves to others: the table and its reckoning (``domain.retention.statutes``), proposing and approving
(``services.approvals``, kind ``statutory-override``), what arrives later for a customer (``services.customers`` hands it to
ingest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, Destroyed, InvalidInput, NotFound
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.retention import statutes
from recvault.domain.retention.statutes import Basis, Override, Statute, financial_year_of
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.ledger import Ledger
from recvault.services.override_entries import REPLAYED, noted, placed_body
from recvault.services.retention import ACTOR, Retention

PLACE, END = "place", "end"


@dataclass(frozen=True, kw_only=True, slots=True)
class OverrideView:
    """An override and what it keeps: ``covered`` stored communications, the last until ``until`` (None: none)."""

    override: Override
    covered: int
    until: datetime | None


class Overrides:
    """Proposes, carries out and lists overrides."""

    def __init__(
        self, *, database: Database, retention: Retention, access: Access, audit: AuditLog, ledger: Ledger, zone: tzinfo
    ) -> None:
        self._database = database
        self._retention = retention
        self._access = access
        self._audit = audit
        self._ledger = ledger
        self._zone = zone

    def table(self) -> Mapping[str, Statute]:
        """The statutes that may be named: the built-in ones and those of the policy in force."""
        return statutes.table(self._retention.active().statutes)

    def propose(
        self,
        approvals: Approvals,
        actor: Actor,
        *,
        code: str,
        reason: str,
        communication_id: str | None = None,
        customer_id: str | None = None,
        year_end: str | None = None,
    ) -> Proposal:
        """Asks for an override on one communication or one customer. ``year_end``: the last day of the financial year,
        for statutes that count from it."""
        self._access.require(actor, Action.STATUTORY_OVERRIDE)
        if (communication_id is None) == (customer_id is None):
            raise InvalidInput("name either a communication or a customer to keep")
        statute = self._statute(code)
        self._require_year(statute, year_end)
        with self._database.read() as unit:
            if communication_id is not None:
                _require_stored(unit, communication_id)
            else:
                unit.register.customer(customer_id or "")
        scope = "communication" if communication_id is not None else "customer"
        subject = communication_id or customer_id or ""
        body = {"do": PLACE, "code": code, "scope": scope, "year_end": year_end}
        return approvals.propose(actor, ProposalKind.STATUTORY_OVERRIDE, subject, body, reason)

    def propose_end(self, approvals: Approvals, actor: Actor, override_id: str, reason: str) -> Proposal:
        """Asks to take an override back: what it kept is due by its own retention again."""
        self._access.require(actor, Action.STATUTORY_OVERRIDE)
        with self._database.read() as unit:
            if unit.retention.override(override_id).ended_at is not None:
                raise Conflict("this override was ended before; nothing more is to be done")
        return approvals.propose(actor, ProposalKind.STATUTORY_OVERRIDE, override_id, {"do": END}, reason)

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """The handler: places or ends it in the approving transaction."""
        if proposal.body.get("do") == END:
            self._end(unit, proposal, now)
        else:
            self._place(unit, proposal, now)

    def _place(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        body = proposal.body
        statute = self._statute(str(body.get("code")))
        year_end = body.get("year_end")
        on_customer = body.get("scope") == "customer"
        override = Override(
            id=proposal.id,
            communication_id=None if on_customer else proposal.subject,
            customer_id=proposal.subject if on_customer else None,
            statute=statute,
            year_end=year_end if isinstance(year_end, str) else None,
            reason=proposal.reason,
            placed_by=proposal.proposed_by,
            approved_by=proposal.decided_by or proposal.proposed_by,
            placed_at=now,
        )
        self._require_year(statute, override.year_end)
        rows = self._covered(unit, override)
        if override.id not in {standing.id for standing in unit.retention.overrides(active=False)}:
            unit.retention.add_override(override)
        self._moved(unit, override, rows, proposal, Act.OVERRIDE_PLACED)
        self._ledger.append(unit, LedgerKind.OVERRIDE_PLACED, placed_body(override))

    def _end(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        override = unit.retention.override(proposal.subject)
        gone = override.communication_id is not None and not unit.communications.find([override.communication_id])
        rows = [] if gone else self._covered(unit, override)
        unit.retention.end_override(override.id, by=proposal.decided_by or proposal.proposed_by, at=now)
        self._moved(unit, override, rows, proposal, Act.OVERRIDE_ENDED)

    def note_end_of(self, proposal: Proposal) -> None:
        """Once the end is committed the ledger is told; without it a restore lets the override stand, which is harmless."""
        if proposal.body.get("do") == END:
            by = proposal.decided_by or proposal.proposed_by
            self._ledger.write(LedgerKind.OVERRIDE_ENDED, {"id": proposal.subject, "by": by})

    def settle_replayed(self) -> int:
        """After a replay: computes again what overrides cover that the ledger placed or ended; returns how many ends
        moved. Harmless to repeat."""
        with self._database.read() as unit:
            waiting = noted(unit)
        moved = 0
        for override_id in waiting:
            with self._database.begin() as unit:
                replayed = [unit.retention.override(one) for one in noted(unit)]
                override = unit.retention.override(override_id)
                rows = self._retention.lock(unit, self._ids(unit, override), replayed=replayed)
                detail = {"override": override.id, "code": override.statute.code, "replayed": True}
                act = Act.OVERRIDE_PLACED if override.ended_at is None else Act.OVERRIDE_ENDED
                moved += self._retention.move(unit, rows, rows, by=ACTOR, act=act, detail=detail)
                unit.settings.put(REPLAYED, {"ids": [one for one in noted(unit) if one != override_id]})
                unit.commit()
        return moved

    @staticmethod
    def _ids(unit: UnitOfWork, override: Override) -> list[str]:
        if override.communication_id is not None:
            return [override.communication_id]
        return unit.communications.ids_of_customer(override.customer_id or "")

    def _covered(self, unit: UnitOfWork, override: Override) -> list[Communication]:
        """Locked; the override may stand already, replayed from a ledger that was ahead of a lost commit."""
        if override.customer_id is not None:
            unit.register.lock_guards(customer_ids=[override.customer_id], contact_point_ids=[])
        rows = self._retention.lock(unit, self._ids(unit, override), replayed=[override])
        if not rows and override.communication_id is not None:
            self._retention.lock_one(unit, override.communication_id)  # says why
        return rows

    def _moved(
        self, unit: UnitOfWork, override: Override, rows: list[Communication], proposal: Proposal, act: Act
    ) -> None:
        by = proposal.decided_by or proposal.proposed_by
        detail = {"override": override.id, "code": override.statute.code, "mandatory": override.statute.mandatory}
        moved = self._retention.move(unit, rows, rows, by=by, act=act, detail=detail)
        target = override.communication_id or override.customer_id
        self._audit.record(
            unit, actor=by, act=act, target=target, detail=detail | {"concerned": len(rows), "moved": moved}
        )

    def list(self, actor: Actor) -> list[OverrideView]:
        """Active overrides with what each keeps, straight from the database."""
        self._access.require(actor, Action.RETENTION_READ)
        with self._database.read() as unit:
            return [self._view(unit, override) for override in unit.retention.overrides()]

    def _view(self, unit: UnitOfWork, override: Override) -> OverrideView:
        rows = unit.communications.find(self._ids(unit, override))
        ends = [override.end_for(row.facts().contact_at, self._zone).until for row in rows]
        return OverrideView(override=override, covered=len(ends), until=max(ends, default=None))

    def _statute(self, code: str) -> Statute:
        found = self.table().get(code)
        if found is None:
            known = ", ".join(sorted(self.table()))
            raise InvalidInput(f"there is no statute of this code in the table; use one of {known}")
        return found

    @staticmethod
    def _require_year(statute: Statute, year_end: str | None) -> None:
        if statute.basis is Basis.FINANCIAL_YEAR:
            financial_year_of(date(2024, 1, 1), year_end)  # any day: only the form is looked at
        elif year_end is not None:
            raise InvalidInput("this statute does not count from a financial year; leave its end out")


def _require_stored(unit: UnitOfWork, communication_id: str) -> None:
    if unit.communications.find([communication_id]):
        return
    if unit.destructions.find([communication_id]):
        raise Destroyed("this communication has been destroyed; nothing is kept")
    raise NotFound("there is no such communication")
