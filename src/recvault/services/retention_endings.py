"""Ending a purpose for chosen recordings: early destruction, with a reason, another person's approval and 14 days' delay.

Keeps: nothing in an open case and nothing held is chosen or approved; from the approval on the purpose opens nothing any
more; until the delay is over it is visible and can be taken back, afterwards it is over for good; a hold placed meanwhile
keeps the recording as ever. Every step is audited with before and after, and stands in the ledger: a restore brings no
ended purpose back.

Leaves to others: proposing and approving (``services.approvals``, kind ``end-purpose``), destroying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from recvault.domain.access import Action, Actor
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, Destroyed, InvalidInput, NotFound
from recvault.domain.ledger import LedgerKind
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.domain.purpose import PURPOSES_WITH_RETENTION
from recvault.domain.retention.endings import DELAY, EndingKind, PurposeEnding
from recvault.domain.retention.standing import first_end
from recvault.services.access import Access
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.ending_entries import REPLAYED, ended_body, noted, stands
from recvault.services.ledger import Ledger
from recvault.services.retention import ACTOR, Retention
from recvault.services.retention_events import EventReport, with_end

ITEMS_LIMIT = 1000
"""Recordings of one proposal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenEnding:
    """An end that can still be taken back, and how many recordings it concerns."""

    ending: PurposeEnding
    items: int


class PurposeEndings:
    """Proposes, carries out, shows and takes back early ends."""

    def __init__(
        self, *, database: Database, retention: Retention, access: Access, audit: AuditLog, ledger: Ledger, clock: Clock
    ) -> None:
        self._database = database
        self._retention = retention
        self._access = access
        self._audit = audit
        self._ledger = ledger
        self._clock = clock

    def propose(
        self, approvals: Approvals, actor: Actor, communication_ids: Sequence[str], purpose: str, reason: str
    ) -> Proposal:
        """Asks for the end of ``purpose`` for the recordings. NotFound or Destroyed when one is not there; Conflict when
        one is in an open case, held, or not kept for the purpose."""
        self._access.require(actor, Action.PURPOSE_END)
        ids = sorted(set(communication_ids))
        if purpose not in {known.value for known in PURPOSES_WITH_RETENTION}:
            raise InvalidInput(f"choose a purpose: {' or '.join(PURPOSES_WITH_RETENTION)}")
        if not 1 <= len(ids) <= ITEMS_LIMIT:
            raise InvalidInput(f"choose 1 to {ITEMS_LIMIT} recordings; propose the others apart")
        with self._database.read() as unit:
            rows = unit.communications.find(ids)
            _require_all(unit, ids, rows)
            _require_free(unit, rows, purpose)
        subject = ids[0] if len(ids) == 1 else sha256("\n".join(ids).encode()).hexdigest()
        body = {"purpose": purpose, "communications": ids}
        return approvals.propose(actor, ProposalKind.END_PURPOSE, subject, body, reason)

    def carry_out(self, unit: UnitOfWork, proposal: Proposal, now: datetime) -> None:
        """The handler: in the approving transaction the purpose gets its end, 14 days ahead. What has been destroyed
        meanwhile is passed over; what came into an open case or under a hold refuses the whole."""
        purpose, ids = _chosen(proposal.body)
        rows = self._retention.lock(unit, ids)
        if not rows:
            raise Destroyed("everything that was chosen has been destroyed meanwhile; refuse the proposal")
        _require_free(unit, rows, purpose)
        ends_at = now + DELAY
        ending = PurposeEnding(
            id=proposal.id,
            purpose=purpose,
            kind=EndingKind.PERSON,
            customer_id=None,
            reason=proposal.reason,
            placed_by=proposal.proposed_by,
            approved_by=proposal.decided_by,
            placed_at=now,
            ends_at=ends_at,
        )
        ids = [row.id for row in rows]
        if not stands(unit, ending.id):  # replayed from a ledger that was ahead of a lost commit
            unit.retention.add_ending(ending, ids)
        self._retention.move(
            unit,
            rows,
            [with_end(row, purpose, ends_at) for row in rows],
            by=proposal.decided_by or proposal.proposed_by,
            act=Act.PURPOSE_ENDED,
            detail={"ending": ending.id, "purpose": purpose, "ends_at": ends_at.isoformat()},
            always=True,
        )
        self._ledger.append(unit, LedgerKind.PURPOSE_ENDED, ended_body(ending, ids))

    def open(self, actor: Actor) -> list[OpenEnding]:
        """Approved ends whose delay runs, in the order of their approval."""
        self._access.require(actor, Action.RETENTION_READ)
        with self._database.read() as unit:
            return [
                OpenEnding(ending=ending, items=len(unit.retention.ending_items(ending.id)))
                for ending in unit.retention.endings(open_at=self._clock.now())
            ]

    def withdraw(self, actor: Actor, ending_id: str) -> EventReport:
        """Takes an early end back while its delay runs; what else ended the purpose stays. Conflict when it is over."""
        self._access.require(actor, Action.PURPOSE_END)
        now = self._clock.now()
        with self._database.begin() as unit:
            ending = unit.retention.ending(ending_id)
            if ending.kind is not EndingKind.PERSON or not ending.open_at(now):
                raise Conflict("this purpose has ended, or the end was taken back before; it is not changed any more")
            ids = unit.retention.ending_items(ending_id)
            rows = self._retention.lock(unit, ids)
            unit.retention.withdraw_ending(ending_id, by=actor.id, at=now)
            left = unit.retention.endings_covering([row.id for row in rows])
            after = [_reopened(row, ending.purpose, left.get(row.id, ())) for row in rows]
            moved = self._retention.move(
                unit,
                rows,
                after,
                by=actor.id,
                act=Act.PURPOSE_END_WITHDRAWN,
                detail={"ending": ending.id, "purpose": ending.purpose},
                always=True,
            )
            self._ledger.append(unit, LedgerKind.PURPOSE_END_WITHDRAWN, {"id": ending.id, "by": actor.id})
            unit.commit()
        return EventReport(concerned=len(rows), moved=moved)

    def settle_replayed(self) -> int:
        """After a replay: computes again what ends concern that the ledger set or took back; returns how many ends moved.
        Harmless to repeat."""
        with self._database.read() as unit:
            waiting = noted(unit)
        moved = 0
        for ending_id in waiting:
            with self._database.begin() as unit:
                ending = unit.retention.ending(ending_id)
                ids = unit.retention.ending_items(ending_id)
                if ending.customer_id is not None:
                    ids = unit.communications.ids_of_customer(ending.customer_id)
                rows = self._retention.lock(unit, ids)
                left = unit.retention.endings_covering([row.id for row in rows])
                after = [_reopened(row, ending.purpose, left.get(row.id, ())) for row in rows]
                act = Act.PURPOSE_ENDED if ending.withdrawn_at is None else Act.PURPOSE_END_WITHDRAWN
                detail = {"ending": ending.id, "purpose": ending.purpose, "replayed": True}
                changed = self._retention.move(unit, rows, after, by=ACTOR, act=act, detail=detail)
                told = {"ending": ending.id, "replayed": True, "concerned": len(rows), "moved": changed}
                self._audit.record(unit, actor=ACTOR, act=act, target=ending.customer_id, detail=told)
                moved += changed
                unit.settings.put(REPLAYED, {"ids": [one for one in noted(unit) if one != ending_id]})
                unit.commit()
        return moved


def _reopened(row: Communication, purpose: str, left: tuple[PurposeEnding, ...]) -> Communication:
    """The row as if only what is left had ended the purpose."""
    free, end = with_end(row, purpose, None), first_end(left, purpose)
    return free if end is None else with_end(free, purpose, end)


def _chosen(body: Mapping[str, object]) -> tuple[str, list[str]]:
    purpose, ids = body.get("purpose"), body.get("communications")
    if not isinstance(purpose, str) or not isinstance(ids, list):
        raise InvalidInput("the proposal does not say what is to end; refuse it and propose it anew")
    return purpose, [str(one) for one in ids]


def _require_all(unit: UnitOfWork, ids: Sequence[str], rows: Sequence[Communication]) -> None:
    missing = set(ids) - {row.id for row in rows}
    if missing and unit.destructions.find(missing):
        raise Destroyed("one of the chosen recordings has been destroyed already; choose the others")
    if missing:
        raise NotFound("one of the chosen recordings does not exist; check the ids")


def _require_free(unit: UnitOfWork, rows: Sequence[Communication], purpose: str) -> None:
    """Nothing in an open case, nothing held, everything still kept for the purpose."""
    held = unit.holds.covering([row.id for row in rows])
    for row in rows:
        if row.id in held:
            raise Conflict(f"{row.id} is held; while the hold stands its purposes are not ended")
        if row.case_ref is not None and row.case_closed_at is None:
            raise Conflict(f"{row.id} belongs to a case that is open; close the case first")
        if not any(record.purpose == purpose and record.ended_at is None for record in row.purposes):
            raise Conflict(f"{row.id} is not kept for {purpose} any more; leave it out")
