"""Retention: the policy in force, the ends it gives each communication, and how an end is moved.

Keeps rule 7: ends are computed from the row's facts and the overrides over it by the policy version that the row names,
here and nowhere else, at ingest, at every event and again at purge. A moved end moves the data key under the key of its new
day in the same transaction, and leaves an audit entry with before and after. A version is immutable once it was in force;
another process that puts one in force is noticed before an end is committed (``require_current``).

Left to others: what happens to a recording and moves it (``services.retention_events``, ``retention_endings``,
``retention_overrides``), and applying a new policy to what is stored (``retention_change``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from recvault.domain.access import Action, Actor, Subject, decide
from recvault.domain.accounts import SignedPolicy
from recvault.domain.audit import Act
from recvault.domain.communication import Attention, Communication, PurposeRecord, State
from recvault.domain.errors import ConfigurationError, Conflict, Destroyed, Forbidden, NotFound
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.domain.retention import Ends, Evaluator, Facts, Policy, evaluate
from recvault.domain.retention.standing import NOTHING_STANDS, Standing
from recvault.domain.retention.statutes import Override
from recvault.intake.policy_file import parse_policy
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.fact_digests import ALTERED, FactDigests
from recvault.services.period_keys import PeriodKeys
from recvault.services.signed_policies import SignedPolicies

ACTOR = "system:retention"
EDITED = "end-differs-from-policy"
"""Why an item is stopped whose row and policy say different ends."""


class Retention:
    """Applies retention policies to communications."""

    def __init__(
        self,
        *,
        database: Database,
        period_keys: PeriodKeys,
        signatures: SignedPolicies,
        digests: FactDigests,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._period_keys = period_keys
        self._signatures = signatures
        self._digests = digests
        self._access = access
        self._audit = audit
        self._clock = clock
        self._zone = zone
        self._parsed: dict[str, Policy] = {}
        self._evaluators: dict[str, tuple[Policy, Evaluator]] = {}
        self._active: Policy | None = None

    # --- the policy

    def adopt(self, text: str) -> Policy:
        """At start: puts the configured file in force when no policy is. One that is in force stays until a person puts
        another in its place (``put_in_force``); the same version with other content is a ConfigurationError."""
        with self._database.read() as unit:
            active = unit.policies.active()
        if active is None or active.version == parse_policy(text.encode()).version:
            return self.activate(text)
        return self.active()

    def waiting(self, text: str) -> str | None:
        """The version of the configured file when it is not what is in force; None when it is."""
        policy, active = parse_policy(text.encode()), self.active()
        return None if policy.digest == active.digest else policy.version

    def activate(self, text: str) -> Policy:
        """Puts a policy file in force, unsigned, for what arrives from now on."""
        policy = parse_policy(text.encode())
        with self._database.begin() as unit:
            if self._add(unit, policy, text):
                unit.commit()
        self._active = policy
        return policy

    def put_in_force(self, actor: Actor, text: str) -> SignedPolicy:
        """A named person signs a policy and puts it in force, in one act; what is stored follows by
        ``services.retention_change``."""
        self._access.require(actor, Action.POLICY_SIGN)
        policy = parse_policy(text.encode())
        with self._database.begin() as unit:
            if self._add(unit, policy, text):
                self._audit.record(
                    unit,
                    actor=actor.id,
                    act=Act.POLICY_ACTIVATED,
                    target=policy.version,
                    detail={"digest": policy.digest},
                )
            if not self._is_signed(unit, policy.version):
                self._sign(unit, actor, policy.version)
            signed = unit.policies.get(policy.version)
            unit.commit()
        self._active = policy
        return signed

    def _add(self, unit: UnitOfWork, policy: Policy, text: str) -> bool:
        """Stores and activates; False when it is in force already."""
        active = unit.policies.active()
        if active is not None and active.version == policy.version:
            if active.digest != policy.digest:
                raise ConfigurationError(
                    f"policy version {policy.version} is in force with other content; give the changed policy a new version"
                )
            return False
        now = self._clock.now()
        # A clock that was set back must not leave the former policy in force.
        at = now if active is None else max(now, active.activated_at + timedelta(microseconds=1))
        try:
            unit.policies.add(SignedPolicy(version=policy.version, text=text, digest=policy.digest, activated_at=at))
        except Conflict as fault:
            raise ConfigurationError(
                f"policy version {policy.version} was in force before; give the changed policy a new version"
            ) from fault
        self._parsed[policy.version] = policy
        return True

    def sign(self, actor: Actor, version: str) -> SignedPolicy:
        """A named person takes responsibility for a version; destruction runs only under a signed policy."""
        self._access.require(actor, Action.POLICY_SIGN)
        with self._database.begin() as unit:
            self._sign(unit, actor, version)
            signed = unit.policies.get(version)
            unit.commit()
        return signed

    def _sign(self, unit: UnitOfWork, actor: Actor, version: str) -> None:
        """The first signature stands. One of an earlier program, which the ledger does not have, is confirmed by another."""
        if unit.policies.get(version).signed_at is None or self._signatures.is_noted(unit, version):
            unit.policies.sign(version, by=actor.id, at=self._clock.now())
        self._signatures.note(unit, self._policy(version, unit))
        self._audit.record(unit, actor=actor.id, act=Act.POLICY_SIGNED, target=version)

    def _is_signed(self, unit: UnitOfWork, version: str) -> bool:
        return unit.policies.get(version).signed_at is not None and self._signatures.is_noted(unit, version)

    def not_as_signed(self, unit: UnitOfWork, versions: Iterable[str]) -> list[str]:
        """Those versions whose text is not the one that the ledger says was signed: they destroy nothing."""
        return [v for v in sorted(set(versions)) if not self._signatures.is_as_signed(unit, self._policy(v, unit))]

    def active(self) -> Policy:
        """The policy in force; ConfigurationError before the first."""
        if self._active is None:
            with self._database.read() as unit:
                stored = unit.policies.active()
            if stored is None:
                raise ConfigurationError("no retention policy is in force; run 'recvault init' with a policy file")
            self._active = self._policy(stored.version)
        return self._active

    def require_current(self, unit: UnitOfWork, row: Communication) -> None:
        """Conflict when another process put a policy in force since the row's end was computed; the next computation
        takes that one."""
        version = unit.policies.active_version()
        if version is not None and version != row.policy_version:
            self._active = self._policy(version, unit)
            raise Conflict(
                "a new retention policy came into force during the upload; the same request works again at once"
            )

    def policy(self, version: str) -> Policy:
        """A version that is or was in force; NotFound otherwise."""
        return self._policy(version)

    def signed(self) -> SignedPolicy | None:
        """The policy in force as stored, with its signer."""
        with self._database.read() as unit:
            return unit.policies.active()

    # --- ends

    def asks_not_to_keep(self, tags: Collection[str]) -> bool:
        """Whether the source marked a communication as not to be kept."""
        return self.active().do_not_keep.tag in tags

    def with_ends(
        self, row: Communication, unit: UnitOfWork | None = None, *, standing: Standing = NOTHING_STANDS
    ) -> Communication:
        """The row with purposes and ``destroy_at`` as the policy gives them from its facts. A row that names no version yet
        is being stored: by the policy in force, under what stands over its customer. A stored one: by the version it
        names, under the overrides that cover it; inside a transaction, give its ``unit``."""
        if not row.policy_version:
            return self._computed(row, self.active(), standing)
        with nullcontext(unit) if unit is not None else self._database.read() as reading:
            return self.recomputed(reading, [row])[0]

    def recomputed(
        self, unit: UnitOfWork, rows: Sequence[Communication], policy: Policy | None = None
    ) -> list[Communication]:
        """Stored rows with the ends that follow from their facts and what stands over them: by the version each names,
        or all by ``policy``. As many queries, however many rows they are."""
        standing = self._standing(unit, rows)
        return [
            self._computed(row, policy or self._policy(row.policy_version, unit), over)
            for row, over in zip(rows, standing, strict=True)
        ]

    def ends(self, unit: UnitOfWork, rows: Sequence[Communication]) -> list[datetime]:
        """When each of the stored rows is to be destroyed, as :meth:`recomputed` would say it."""
        standing = self._standing(unit, rows)
        return [
            self._evaluator(row.policy_version, unit).evaluate(over.over(row.facts(), self._zone)).destroy_at
            for row, over in zip(rows, standing, strict=True)
        ]

    def _standing(self, unit: UnitOfWork, rows: Sequence[Communication]) -> list[Standing]:
        ids = [row.id for row in rows]
        covering, released = unit.retention.overrides_covering(ids), unit.retention.releases_of(ids)
        return [Standing(overrides=covering.get(one, ()), releases=released.get(one, ())) for one in ids]

    def altered(self, unit: UnitOfWork, rows: Sequence[Communication]) -> set[str]:
        """Those whose facts and ends are not the ones that were authenticated."""
        return self._digests.altered(unit, rows)

    def ended_early(self, unit: UnitOfWork, rows: Sequence[Communication]) -> set[str]:
        """Those that would be kept for longer had nobody ended a purpose of theirs."""
        ended = [row for row in rows if any(record.ended_at is not None for record in row.purposes)]
        free = [replace(row, purposes=tuple(replace(one, ended_at=None) for one in row.purposes)) for row in ended]
        longer = zip(ended, self.recomputed(unit, free), strict=True)
        return {row.id for row, unended in longer if unended.destroy_at > row.destroy_at}

    def _computed(self, row: Communication, policy: Policy, standing: Standing) -> Communication:
        ends = evaluate(policy, standing.over(row.facts(), self._zone), self._zone)
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

    def _mark(self, actor: Actor, communication_id: str, at: datetime | None, act: Act) -> Communication:
        with self._database.begin() as unit:
            locked = [self.lock_one(unit, communication_id)]
            decision = decide(actor, Action.DO_NOT_KEEP, Subject(communication=locked[0]), None, self._clock.now())
            if not decision.allowed:
                raise Forbidden(f"this is not open to you ({decision.reason})")
            unit.communications.set_do_not_keep(communication_id, at)
            self.move(unit, locked, [replace(locked[0], do_not_keep_at=at)], by=actor.id, act=act, always=True)
            unit.commit()
        with self._database.read() as unit:
            return unit.communications.get(communication_id)

    def lock(
        self,
        unit: UnitOfWork,
        communication_ids: Collection[str],
        *,
        replayed: Collection[Override] = (),
        unattested: bool = False,
    ) -> list[Communication]:
        """Guard rows, then those of the communications that are still stored, in id order (rule 3). A row whose end is not
        what its facts give, or whose facts are not authentic, is left out, stopped and reported: an event must not cover up
        an edited database (rule 7). ``replayed``: overrides that a replay placed or ended; rows may still have the end
        without or with them. ``unattested``: rows without a digest are taken as they are."""
        customers, points = unit.communications.guards(communication_ids)
        unit.register.lock_guards(customer_ids=customers, contact_point_ids=points)
        rows = [row for row in unit.communications.lock(communication_ids) if row.state is State.STORED]
        intact: list[Communication] = []
        standing = self._standing(unit, rows)
        altered = self.altered(unit, [row for row in rows if not unattested or row.facts_digest is not None])
        for row, over in zip(rows, standing, strict=True):
            if row.destroy_at not in self._expected(unit, row, over, replayed):
                self.stop(unit, row, EDITED, by=ACTOR)
            elif row.id in altered:
                self.stop(unit, row, ALTERED, by=ACTOR)
            else:
                intact.append(row)
        return intact

    def stop(self, unit: UnitOfWork, row: Communication, reason: str, *, by: str) -> None:
        """Takes a row out of automatic destruction until a person has looked."""
        unit.communications.stop(row.id, reason)
        if reason == ALTERED:
            unit.communications.add_attention(row.id, [Attention.FACTS_ALTERED])
        self._audit.record(unit, actor=by, act=Act.STOPPED, target=row.id, detail={"reason": reason})

    def _expected(
        self, unit: UnitOfWork, row: Communication, over: Standing, replayed: Collection[Override]
    ) -> set[datetime]:
        policy, ids = self._policy(row.policy_version, unit), {override.id for override in replayed}
        others = tuple(override for override in over.overrides if override.id not in ids)
        choices = [others, *((*others, override) for override in replayed if override.covers(row.id, row.customer_id))]
        return {self._computed(row, policy, replace(over, overrides=choice)).destroy_at for choice in choices}

    def lock_one(self, unit: UnitOfWork, communication_id: str) -> Communication:
        """The same for one that must be there: NotFound, Destroyed, Conflict when its end was edited."""
        rows = self.lock(unit, [communication_id])
        if rows:
            return rows[0]
        if any(row.state is State.STORED for row in unit.communications.find([communication_id])):
            raise Conflict("its end was edited in the database: a person must look, see 'recvault policy explain'")
        if unit.communications.find([communication_id]) or unit.destructions.find([communication_id]):
            raise Destroyed("this communication has been destroyed")
        raise NotFound("there is no such communication")

    def move(
        self,
        unit: UnitOfWork,
        before: Sequence[Communication],
        after: Sequence[Communication],
        *,
        by: str,
        act: Act,
        detail: Mapping[str, object] | None = None,
        policy: Policy | None = None,
        always: bool = False,
    ) -> int:
        """Computes locked rows again from their changed facts (``after``, in the order of ``before``) and writes what
        moved, with its key and its audit entry; with ``always`` an entry for the others too. Returns how many moved."""
        moved = 0
        sealed: list[Communication] = []
        for was, computed in zip(before, self.recomputed(unit, after, policy), strict=True):
            now = self._digests.moved(was, computed)
            if now is not computed:
                sealed.append(now)
            changed = self._write(unit, was, now)
            moved += changed
            if changed or always:
                ends = {"before": was.destroy_at.isoformat(), "after": now.destroy_at.isoformat()}
                told = ends | {"facts": now.facts_version} | dict(detail or {})
                self._audit.record(unit, actor=by, act=act, target=was.id, detail=told)
        unit.retention.set_digests(sealed)
        return moved

    def _write(self, unit: UnitOfWork, was: Communication, now: Communication) -> bool:
        """Whether an end changed (a row that only names another version of the policy is written too)."""
        changed = (now.destroy_at, now.purposes) != (was.destroy_at, was.purposes)
        if changed or now.policy_version != was.policy_version:
            unit.communications.set_retention(
                was.id, destroy_at=now.destroy_at, purposes=now.purposes, policy_version=now.policy_version
            )
        if now.destroy_at != was.destroy_at:
            self._period_keys.rewrap(unit, was, self._period_keys.prepare_in(unit, now.destroy_at))
        return changed

    def _evaluator(self, version: str, unit: UnitOfWork) -> Evaluator:
        policy, known = self._policy(version, unit), self._evaluators.get(version)
        if known is None or known[0] is not policy:
            known = self._evaluators[version] = (policy, Evaluator(policy, self._zone))
        return known[1]

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
