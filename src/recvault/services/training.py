"""Releases: a trainer lets a trainee hear one recording, until a day that the training purpose covers.

Keeps: a release never outlives the training purpose, which it may make last longer within the cap that was fixed at storing,
where the policy says so, and moves the ends that follow; it needs
the trainer's right to that recording at this moment, and leaves its trace; the trainee's own right is decided again at every
range (``services.retrieve``).
"""

from __future__ import annotations

from datetime import datetime

from recvault.domain.access import Action, Actor, Role, Subject, decide
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.domain.purpose import Purpose
from recvault.services.audit_log import AuditLog
from recvault.services.retention import Retention


class Training:
    """Releases recordings to trainees."""

    def __init__(self, *, database: Database, retention: Retention, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._retention = retention
        self._audit = audit
        self._clock = clock

    def release(self, actor: Actor, communication_id: str, *, to: str, until: datetime) -> datetime:
        """Releases to the trainee with this sign-in name; returns until when, cut at the end of the training purpose."""
        now = self._clock.now()
        if until <= now:
            raise InvalidInput("the end of the release must lie ahead; give a later time")
        with self._database.begin() as unit:
            row = self._retention.lock_one(unit, communication_id)
            subject = Subject(communication=row, restricted=bool(unit.holds.restricted([row.id])))
            decision = decide(actor, Action.RELEASE, subject, Purpose.TRAINING, now)
            if not decision.allowed:
                refused = Forbidden(f"this is not open to you for training ({decision.reason})")
                refused.reason = decision.reason
                raise refused
            trainee = unit.accounts.user_by_name(to)
            if trainee is None or not any(g.role is Role.TRAINEE and g.live(now) for g in trainee.grants):
                raise InvalidInput("there is no trainee of this name; give the sign-in name of a person with that role")
            end = self._release(unit, row, trainee.id, until)
            self._audit.record(
                unit,
                actor=actor.id,
                act=Act.RELEASED,
                target=row.id,
                purpose=Purpose.TRAINING,
                detail={"to": trainee.id, "until": end.isoformat()},
            )
            # A release is a fact of retention: a rule may keep what was released for longer, or end with it.
            self._retention.move(unit, [row], [row], by=actor.id, act=Act.RETENTION_MOVED, detail={"event": "release"})
            unit.commit()
        return end

    def _release(self, unit: UnitOfWork, row: Communication, trainee_id: str, until: datetime) -> datetime:
        """Until when: as long as the purpose lasts once it is released until then."""
        unit.accounts.release_to(row.id, trainee_id, until)
        (released,) = self._retention.recomputed(unit, [row])
        end = min(until, max(p.needed_until for p in released.purposes if p.purpose == Purpose.TRAINING))
        unit.accounts.release_to(row.id, trainee_id, end)
        return end
