"""The desk at which a policy is tried, explained and applied: what it would do, why an end is what it is, and the job that
takes a new policy to everything stored.

Keeps: trying changes nothing, holds one page of rows in memory and tells ids and counts only; the job writes exactly what
the trial told (both compute the same facts by the same policy), passes no cap that was fixed at storing, touches nothing
under an unsigned policy, may stop anywhere and goes on where it stopped. An edited row is reported, not moved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from recvault.domain.access import Action, Actor
from recvault.domain.accounts import SignedPolicy
from recvault.domain.audit import Act
from recvault.domain.communication import Communication, State
from recvault.domain.errors import Destroyed, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.database.retention import StoredFacts
from recvault.domain.ports.system import Clock
from recvault.domain.retention import Ends, Evaluator, Line, Policy, evaluate, explain
from recvault.domain.retention.endings import PurposeEnding
from recvault.domain.retention.standing import NOTHING_STANDS, Standing
from recvault.domain.retention.statutes import Override
from recvault.domain.retention.trial import Shift, Trial, shift_of
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.retention import ACTOR, Retention

PAGE = 2000
"""Rows whose facts are in memory at a time."""
BATCH = 200
"""Rows moved in one transaction."""
SETTLING = timedelta(hours=13)
"""After a policy came into force a commit by the former one may still arrive: longer than an upload may take (12 h)."""
APPLIED = "retention/applied"
"""The setting that says how far the job has come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """One communication whose end a policy moves."""

    id: str
    shift: Shift
    before: datetime
    after: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why one communication ends when it does. ``differs``: the row says another end than facts and policy give."""

    row: Communication
    ends: Ends
    lines: tuple[Line, ...]
    holds: tuple[str, ...]
    overrides: tuple[Override, ...]
    endings: tuple[PurposeEnding, ...]

    @property
    def differs(self) -> bool:
        """Whether somebody edited the row."""
        return self.row.destroy_at != self.ends.destroy_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What a run of the job did. ``done``: nothing is left under another policy."""

    version: str | None
    looked_at: int = 0
    moved: int = 0
    done: bool = True


class RetentionDesk:
    """Tries, explains and applies policies."""

    def __init__(
        self, *, database: Database, retention: Retention, access: Access, audit: AuditLog, clock: Clock, zone: tzinfo
    ) -> None:
        self._database = database
        self._retention = retention
        self._access = access
        self._audit = audit
        self._clock = clock
        self._zone = zone

    # --- explaining

    def explain(self, communication_id: str, actor: Actor | None = None) -> Explanation:
        """Which rule gave which end, and why. Without an actor, for whoever runs the machine. NotFound, Destroyed."""
        if actor is not None:
            self._access.require(actor, Action.RETENTION_READ)
        with self._database.read() as unit:
            row = self._row(unit, communication_id)
            overrides = unit.retention.overrides_covering([row.id]).get(row.id, ())
            released = unit.retention.releases_of([row.id]).get(row.id, ())
            facts = Standing(overrides=overrides, releases=released).over(row.facts(), self._zone)
            policy = self._retention.policy(row.policy_version)
            return Explanation(
                row=row,
                ends=evaluate(policy, facts, self._zone),
                lines=explain(policy, facts, self._zone),
                holds=unit.holds.covering([row.id]).get(row.id, ()),
                overrides=overrides,
                endings=unit.retention.endings_covering([row.id]).get(row.id, ()),
            )

    @staticmethod
    def _row(unit: UnitOfWork, communication_id: str) -> Communication:
        found = unit.communications.find([communication_id])
        if found and found[0].state is State.STORED:
            return found[0]
        if found or unit.destructions.find([communication_id]):
            raise Destroyed("this communication has been destroyed; its certificate tells by which policy")
        raise NotFound("there is no such communication")

    # --- trying

    def simulate(self, policy: Policy, each: Callable[[Moved], None] | None = None) -> Trial:
        """What putting the policy in force would do to everything stored; ``each`` is told every end that moves, in id
        order. What is stored meanwhile may be missed."""
        now = self._clock.now()
        trial, evaluator = Trial(version=policy.version), Evaluator(policy, self._zone)
        seen = ""
        while True:
            with self._database.read() as unit:
                page = self._page(unit, seen)
                moved = [self._tried(evaluator, trial, one, standing, now) for one, standing in page]
                due = [one.id for one in moved if one.shift is Shift.NOW]
                trial.frozen += len(unit.holds.covering(due)) if due else 0
            for one in moved:
                if each is not None and one.shift is not Shift.SAME:
                    each(one)
            if not page:
                return trial
            seen = page[-1][0].id

    def _tried(self, evaluator: Evaluator, trial: Trial, one: StoredFacts, standing: Standing, now: datetime) -> Moved:
        after = evaluator.evaluate(standing.over(one.facts, self._zone)).destroy_at
        shift = shift_of(one.destroy_at, after, now)
        trial.count(shift, one.facts.customer_kind, one.destroy_at, after, self._zone)
        return Moved(id=one.id, shift=shift, before=one.destroy_at, after=after)

    @staticmethod
    def _page(unit: UnitOfWork, after: str) -> list[tuple[StoredFacts, Standing]]:
        page = unit.retention.stored_facts(PAGE, after=after)
        any_override = bool(page) and bool(unit.retention.overrides())
        covering = unit.retention.overrides_covering([one.id for one in page]) if any_override else {}
        return [(one, Standing(overrides=covering[one.id]) if one.id in covering else NOTHING_STANDS) for one in page]

    # --- applying

    def apply(self, *, batches: int | None = None) -> Applied:
        """Computes what is stored under another policy again by the one in force, once a person has signed it; at most so
        many batches. Harmless to repeat, and to run by several workers at once."""
        with self._database.read() as unit:
            policy, mark = unit.policies.active(), unit.settings.get(APPLIED)
            if policy is None or policy.signed_at is None or self._retention.not_as_signed(unit, [policy.version]):
                return Applied(version=None)
        if mark is None or mark.get("version") != policy.version:
            mark = {"version": policy.version, "after": "", "done": False}
        looked_at = moved = taken = 0
        while not mark["done"] and (batches is None or taken < batches):
            mark, rows, changed = self._apply_batch(policy, mark)
            looked_at, moved, taken = looked_at + rows, moved + changed, taken + 1
            if rows == 0:
                break
        return Applied(version=policy.version, looked_at=looked_at, moved=moved, done=bool(mark["done"]))

    def _apply_batch(self, policy: SignedPolicy, mark: Mapping[str, object]) -> tuple[Mapping[str, object], int, int]:
        """One transaction; the mark afterwards, how many rows, how many moved. At the end of a pass the mark goes back to
        the ids that uploads of the settling time may bear."""
        with self._database.begin() as unit:
            if unit.policies.active_version() != policy.version:
                return mark, 0, 0  # another came into force: the next run takes that one
            ids = unit.retention.ids_under_other_policies(policy.version, BATCH, after=str(mark["after"]))
            if ids:
                mark = {**mark, "after": ids[-1]}
            else:
                settled = self._clock.now() - policy.activated_at >= SETTLING and mark.get("again", False)
                since = uuid7(policy.activated_at - SETTLING, bytes(10))
                mark = {
                    **mark,
                    "after": since,
                    "again": self._clock.now() - policy.activated_at >= SETTLING,
                    "done": settled,
                }
            rows = self._retention.lock(unit, ids)
            moved = self._retention.move(
                unit,
                rows,
                rows,
                by=ACTOR,
                act=Act.RETENTION_MOVED,
                detail={"policy": policy.version},
                policy=self._retention.policy(policy.version),
            )
            unit.settings.put(APPLIED, mark)
            if mark["done"] or (ids and moved):
                detail = {"looked_at": len(ids), "moved": moved, "done": mark["done"]}
                self._audit.record(unit, actor=ACTOR, act=Act.POLICY_APPLIED, target=policy.version, detail=detail)
            unit.commit()
        return mark, len(ids), moved
