"""Retention: the policy in force, the ends it gives each communication, and the events that move them.

Keeps rule 7: ends are computed from the row's facts by the policy version that the row names, here and nowhere else, at
ingest, at every event and again at purge. A moved end moves the data key under the key of its new day in the same
transaction, and leaves an audit entry with before and after.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, tzinfo

from recvault.domain.access import Action, Actor, Subject, decide
from recvault.domain.accounts import SignedPolicy
from recvault.domain.audit import Act
from recvault.domain.communication import Communication, PurposeRecord, State
from recvault.domain.errors import ConfigurationError, Conflict, Destroyed, Forbidden, NotFound
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.domain.retention import Ends, Facts, Policy, evaluate
from recvault.intake.policy_file import parse_policy
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.period_keys import PeriodKeys


class Retention:
    """Applies retention policies to communications."""

    def __init__(
        self,
        *,
        database: Database,
        period_keys: PeriodKeys,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._period_keys = period_keys
        self._access = access
        self._audit = audit
        self._clock = clock
        self._zone = zone
        self._parsed: dict[str, Policy] = {}
        self._active: Policy | None = None

    # --- the policy

    def activate(self, text: str) -> Policy:
        """Puts a policy file in force for what arrives from now on; a version is immutable once it was in force."""
        policy = parse_policy(text.encode())
        stored = SignedPolicy(version=policy.version, text=text, digest=policy.digest, activated_at=self._clock.now())
        with self._database.begin() as unit:
            active = unit.policies.active()
            if active is None or active.version != policy.version:
                try:
                    unit.policies.add(stored)
                    unit.commit()
                except Conflict as fault:
                    raise ConfigurationError(
                        f"policy version {policy.version} was in force before; give the changed policy a new version"
                    ) from fault
            elif active.digest != policy.digest:
                raise ConfigurationError(
                    f"policy version {policy.version} is in force with other content; give the changed policy a new version"
                )
        self._active = policy
        self._parsed[policy.version] = policy
        return policy

    def sign(self, actor: Actor, version: str) -> SignedPolicy:
        """A named person takes responsibility for a version; destruction runs only under a signed policy."""
        now = self._clock.now()
        self._access.require(actor, Action.POLICY_SIGN)
        with self._database.begin() as unit:
            unit.policies.sign(version, by=actor.id, at=now)
            self._audit.record(unit, actor=actor.id, act=Act.POLICY_SIGNED, target=version)
            signed = unit.policies.get(version)
            unit.commit()
        return signed

    def active(self) -> Policy:
        """The policy in force; ConfigurationError before the first."""
        if self._active is None:
            with self._database.read() as unit:
                stored = unit.policies.active()
            if stored is None:
                raise ConfigurationError("no retention policy is in force; run 'recvault init' with a policy file")
            self._active = self._policy(stored.version)
        return self._active

    def signed(self) -> SignedPolicy | None:
        """The policy in force as stored, with its signer."""
        with self._database.read() as unit:
            return unit.policies.active()

    # --- ends

    def asks_not_to_keep(self, tags: Collection[str]) -> bool:
        """Whether the source marked a communication as not to be kept."""
        return self.active().do_not_keep.tag in tags

    def with_ends(self, row: Communication, unit: UnitOfWork | None = None) -> Communication:
        """The row with purposes and ``destroy_at`` as the policy gives them from its facts; by the version it names,
        or by the one in force when it names none yet. Inside a transaction, give its ``unit``."""
        policy = self._policy(row.policy_version, unit) if row.policy_version else self.active()
        ends = evaluate(policy, row.facts(), self._zone)
        return replace(row, destroy_at=ends.destroy_at, purposes=_records(ends), policy_version=policy.version)

    def foresee(self, facts: Facts) -> datetime:
        """When a communication of these facts would have to be destroyed, by the policy in force."""
        return evaluate(self.active(), facts, self._zone).destroy_at

    # --- events

    def do_not_keep(self, actor: Actor, communication_id: str) -> Communication:
        """The customer asked not to be recorded: destroyed after the policy's delay, unless undone before."""
        return self._mark(actor, communication_id, self._clock.now(), Act.DO_NOT_KEEP)

    def keep_after_all(self, actor: Actor, communication_id: str) -> Communication:
        """Undoes the mark while the communication is there."""
        return self._mark(actor, communication_id, None, Act.DO_NOT_KEEP_UNDONE)

    def relationship_moved(self, unit: UnitOfWork, customer_id: str, ended_at: datetime | None, *, by: str) -> None:
        """The customer's relationship ended or resumed: every communication of the customer is computed again."""
        unit.register.lock_guards(customer_ids=[customer_id], contact_point_ids=[])
        for row in unit.communications.lock(unit.communications.ids_of_customer(customer_id)):
            if row.state is State.STORED:
                unit.communications.set_relationship_ended([row.id], ended_at)
                moved = self.with_ends(replace(row, relationship_ended_at=ended_at), unit)
                self._move(unit, row, moved, by=by, act=Act.RETENTION_MOVED)

    def _mark(self, actor: Actor, communication_id: str, at: datetime | None, act: Act) -> Communication:
        row = self._find(communication_id)
        with self._database.begin() as unit:
            unit.register.lock_guards(
                customer_ids=[row.customer_id] if row.customer_id else [],
                contact_point_ids=[row.contact_point_id] if row.contact_point_id else [],
            )
            locked = unit.communications.lock([communication_id])
            if not locked or locked[0].state is not State.STORED:
                raise Destroyed("this communication has been destroyed")
            decision = decide(actor, Action.DO_NOT_KEEP, Subject(communication=locked[0]), None, self._clock.now())
            if not decision.allowed:
                raise Forbidden(f"this is not open to you ({decision.reason})")
            unit.communications.set_do_not_keep(communication_id, at)
            moved = self.with_ends(replace(locked[0], do_not_keep_at=at), unit)
            self._move(unit, locked[0], moved, by=actor.id, act=act)
            unit.commit()
        return self._find(communication_id)

    def _move(self, unit: UnitOfWork, row: Communication, moved: Communication, *, by: str, act: Act) -> None:
        unit.communications.set_retention(
            row.id, destroy_at=moved.destroy_at, purposes=moved.purposes, policy_version=moved.policy_version
        )
        if moved.destroy_at != row.destroy_at:
            self._period_keys.rewrap(unit, row, self._period_keys.prepare_in(unit, moved.destroy_at))
        self._audit.record(
            unit,
            actor=by,
            act=act,
            target=row.id,
            detail={"before": row.destroy_at.isoformat(), "after": moved.destroy_at.isoformat()},
        )

    def _find(self, communication_id: str) -> Communication:
        with self._database.read() as unit:
            found = unit.communications.find([communication_id])
            gone = unit.destructions.find([communication_id])
        if not found:
            raise (
                Destroyed("this communication has been destroyed")
                if gone
                else NotFound("there is no such communication")
            )
        return found[0]

    def _policy(self, version: str, unit: UnitOfWork | None = None) -> Policy:
        if version not in self._parsed:
            with nullcontext(unit) if unit is not None else self._database.read() as reading:
                self._parsed[version] = parse_policy(reading.policies.get(version).text.encode())
        return self._parsed[version]


def _records(ends: Ends) -> tuple[PurposeRecord, ...]:
    return tuple(
        PurposeRecord(
            purpose=end.purpose,
            needed_until=end.needed_until,
            rule=end.rule,
            cap_until=end.cap_until,
            ended_at=end.ended_at,
        )
        for end in ends.purposes
    )
