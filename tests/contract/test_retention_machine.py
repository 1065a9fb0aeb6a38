"""Whatever happens, in whatever order: an archive on SQLite and one on PostgreSQL against a model of the promise.

Held at every step: ``destroy_at`` is what the policy says from the facts; nothing is destroyed while a live purpose, a hold,
a restriction, an open request or an override stands; every purge destroys everything whose last one has ended; an edited row
is reported and never destroyed; a hold that comes while a purge runs wins, or its answer says what was gone. A short run
belongs to every test; ``RECVAULT_MACHINE_EXAMPLES`` and ``RECVAULT_MACHINE_STEPS`` make it longer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from typing_extensions import override

from recvault.adapters.database import SqlDatabase
from recvault.adapters.system import FixedClock
from recvault.domain.access import Actor, Role
from recvault.domain.communication import Channel
from recvault.domain.errors import Conflict
from recvault.domain.holds import HoldAnswer, HoldKind
from recvault.domain.retention import Facts, Policy, evaluate
from recvault.domain.retention.endings import DELAY
from recvault.domain.retention.statutes import Override
from recvault.intake.policy_file import parse_policy
from tests.contract import database_kit as kit
from tests.support.archives import POLICY, Parts, World, make_world, memory_parts, steady_database

EXAMPLES = int(os.environ.get("RECVAULT_MACHINE_EXAMPLES", "5"))
STEPS = int(os.environ.get("RECVAULT_MACHINE_STEPS", "25"))

CALLS = 'match = { channels = ["call", "sms", "chat"] }\npurpose = "verification"\nkeep = "P6M"'
TRAINING = 'purpose = "training"\nkeep = "P3M"'
RELATIONSHIP = """
[[rule]]
name = "contract"
match = { tags = ["contract"] }
purpose = "verification"
keep = "P2M"
from = "relationship_end"
cap = "P18M"
priority = 15
why = "verified while the contract lasts"
"""
TERMS = (("P6M", "P3M", True), ("P1M", "P1M", True), ("P12M", "P14D", True), ("P2M", "P6M", False))

KINDS: tuple[dict[str, object], ...] = (
    {},
    {"case_ref": "T-1"},
    {"case_ref": "T-2", "channel": Channel.EMAIL},
    {"tags": frozenset({"contract"})},
    {"answered": False},
    {"tags": frozenset({"order"}), "remote": None},
    {"tags": frozenset({"do-not-keep"})},
)


class WatchedClock(FixedClock):
    """Calls back at the n-th look at it."""

    left = 0
    then: Callable[[], None] | None = None

    @override
    def now(self) -> datetime:
        self.left -= 1
        if self.left == 0 and self.then is not None:
            self.then()
        return super().now()


@dataclass
class Item:
    """What the model knows of one communication."""

    id: str
    facts: Facts
    version: str
    of_customer: bool
    case: str | None
    edited: bool = False
    stopped: bool = False
    gone: bool = False
    ends: list[tuple[str, str, datetime]] = field(default_factory=list)
    """(ending, purpose, moment)"""


@dataclass
class Standing:
    """An active hold or override of the model: on one item, or on the customer when ``item`` is None."""

    id: str
    item: str | None
    statute: Override | None = None
    kind: HoldKind = HoldKind.HOLD

    def covers(self, item: Item) -> bool:
        return item.of_customer if self.item is None else item.id == self.item


class Machine(RuleBasedStateMachine):
    """The archive, and the model beside it."""

    database: Callable[[FixedClock], SqlDatabase]

    def __init__(self) -> None:
        super().__init__()
        self.world = self._open()
        self.zone = self.world.archive.config.retention.zone
        self.policies: dict[str, Policy] = {}
        self.active = self.world.policy_version
        self.policies[self.active] = parse_policy(POLICY.encode())
        self.items: dict[str, Item] = {}
        self.holds: list[Standing] = []
        self.overrides: list[Standing] = []
        self.endings: dict[str, datetime] = {}
        self.objected: datetime | None = None
        self.relationship_end: date | None = None
        found = self.world.archive.customers.id_of_number(self.world.actor(Role.ADMINISTRATOR), "1001")
        assert found is not None
        self.customer_id = found

    def _open(self) -> World:
        parts: Parts = memory_parts()
        parts.database.close()
        parts.clock.__class__ = WatchedClock
        parts.database = type(self).database(parts.clock)
        return make_world(parts=parts)

    @override
    def teardown(self) -> None:
        self.world.archive.resources.close()

    # --- the model

    @property
    def handler(self) -> Actor:
        return self.world.actor(Role.PRIVACY_HANDLER)

    def approve(self, proposal_id: str) -> None:
        self.world.archive.approvals.approve(self.world.actor(Role.APPROVER), proposal_id)

    def living(self) -> list[Item]:
        return [item for item in self.items.values() if not item.gone]

    def pick(self, number: int) -> Item:
        living = self.living()
        return living[number % len(living)]

    def end_of(self, item: Item) -> datetime:
        """Policy of the facts, by the model's own account of the facts."""
        ended: dict[str, datetime] = {}
        for _, purpose, at in item.ends:
            ended[purpose] = min(at, ended.get(purpose, at))
        statutes = tuple(
            one.statute.end_for(item.facts.contact_at, self.zone)
            for one in self.overrides
            if one.statute is not None and one.covers(item)
        )
        facts = replace(item.facts, ended_purposes=ended, statutes=statutes)
        return evaluate(self.policies[item.version], facts, self.zone).destroy_at

    def held(self, item: Item) -> bool:
        return any(hold.covers(item) for hold in self.holds)

    def due(self) -> set[str]:
        now = self.world.clock.now()
        return {
            item.id for item in self.living() if not item.edited and not self.held(item) and self.end_of(item) <= now
        }

    # --- what happens

    @rule(kind=st.integers(0, len(KINDS) - 1))
    def store(self, kind: int) -> None:
        receipt = self.world.store(f"n{len(self.items)}", b"RIFF....WAVE a call", **KINDS[kind])
        with self.world.archive.database.read() as unit:
            row = unit.communications.get(receipt.id)
        of_customer = row.customer_id is not None
        item = Item(
            id=row.id,
            facts=replace(row.facts(), ended_purposes={}),
            version=self.active,
            of_customer=of_customer,
            case=row.case_ref,
        )
        if of_customer and self.objected is not None and "training" in item.facts.caps:
            item.ends.append(("objection", "training", self.objected))
        self.items[row.id] = item
        assert receipt.destroy_at == row.destroy_at == self.end_of(item)
        assert row.policy_version == self.active

    @rule(days=st.sampled_from((1, 7, 15, 40, 100, 400)))
    def time_passes(self, days: int) -> None:
        self.world.later(days=days)

    @rule(case=st.sampled_from(("T-1", "T-2")), ago=st.integers(0, 20))
    def a_case_is_closed(self, case: str, ago: int) -> None:
        if not any(item.case == case for item in self.living()):
            return
        at = self.world.clock.now() - timedelta(days=ago)
        self.world.archive.retention_events.case_closed(self.handler, case, at)
        for item in self.living():
            if item.case == case and not item.edited:
                item.facts = replace(item.facts, case_closed_at=max(at, item.facts.case_closed_at or at))

    @rule(ahead=st.integers(-5, 60))
    def the_relationship_ends(self, ahead: int) -> None:
        day = (self.world.clock.now() + timedelta(days=ahead)).date()
        self.world.archive.retention_events.relationship_ended(self.handler, self.customer_id, day)
        with self.world.archive.database.read() as unit:
            self._relationship(unit.register.customer(self.customer_id).relationship_end)

    @rule()
    def the_relationship_resumes(self) -> None:
        today = self.world.clock.now().date()
        self.world.archive.retention_events.relationship_resumed(self.handler, self.customer_id, today)
        ended = self.relationship_end
        self._relationship(None if ended is not None and ended < today else ended)

    def _relationship(self, day: date | None) -> None:
        if day == self.relationship_end:
            return
        self.relationship_end = day
        at = None if day is None else datetime.combine(day, time.max, self.zone).astimezone(UTC)
        for item in self.living():
            if item.of_customer and not item.edited:
                item.facts = replace(item.facts, relationship_ended_at=at)

    @rule()
    def the_customer_objects_to_training(self) -> None:
        self.world.archive.retention_events.object_to_training(
            self.handler, reason="by post", customer_id=self.customer_id
        )
        if self.objected is None:
            self.objected = self.world.clock.now()
            for item in self.living():
                if item.of_customer and not item.edited and "training" in item.facts.caps:
                    item.ends.append(("objection", "training", self.objected))

    @precondition(lambda self: self.living())
    @rule(number=st.integers(0, 50), keep=st.booleans())
    def somebody_asks_not_to_keep_it(self, number: int, keep: bool) -> None:
        item = self.pick(number)
        retention = self.world.archive.retention
        if item.edited:
            with pytest.raises(Conflict):
                retention.do_not_keep(self.handler, item.id)
            return
        (retention.keep_after_all if keep else retention.do_not_keep)(self.handler, item.id)
        item.facts = replace(item.facts, do_not_keep_at=None if keep else self.world.clock.now())

    @precondition(lambda self: self.living())
    @rule(number=st.integers(0, 50), purpose=st.sampled_from(("verification", "training")))
    def a_purpose_is_ended_early(self, number: int, purpose: str) -> None:
        item = self.pick(number)
        refused = (
            self.held(item)
            or (item.case is not None and item.facts.case_closed_at is None)
            or purpose not in item.facts.caps
            or any(ended == purpose for _, ended, _ in item.ends)
        )
        archive = self.world.archive
        if refused or item.edited:
            if refused:
                with pytest.raises(Conflict):
                    archive.purpose_endings.propose(archive.approvals, self.handler, [item.id], purpose, "done")
            return
        proposal = archive.purpose_endings.propose(archive.approvals, self.handler, [item.id], purpose, "done")
        self.approve(proposal.id)
        at = self.world.clock.now() + DELAY
        item.ends.append((proposal.id, purpose, at))
        self.endings[proposal.id] = at

    @precondition(lambda self: self.endings)
    @rule(number=st.integers(0, 50))
    def an_early_end_is_taken_back(self, number: int) -> None:
        ending = sorted(self.endings)[number % len(self.endings)]
        endings = self.world.archive.purpose_endings
        if self.endings[ending] <= self.world.clock.now():
            with pytest.raises(Conflict):
                endings.withdraw(self.handler, ending)
            return
        endings.withdraw(self.handler, ending)
        del self.endings[ending]
        for item in self.items.values():
            if not item.edited:
                item.ends = [one for one in item.ends if one[0] != ending]

    @precondition(lambda self: self.living())
    @rule(
        number=st.integers(0, 50),
        code=st.sampled_from(("mifid-5", "accounting-act", "defence-of-claims")),
        on_customer=st.sampled_from((False, False, True)),
    )
    def a_statute_keeps_it(self, number: int, code: str, on_customer: bool) -> None:
        item, archive = self.pick(number), self.world.archive
        if item.edited and not on_customer:
            return
        proposal = archive.overrides.propose(
            archive.approvals,
            self.handler,
            code=code,
            reason="the auditor asked",
            year_end="12-31" if code == "accounting-act" else None,
            communication_id=None if on_customer else item.id,
            customer_id=self.customer_id if on_customer else None,
        )
        self.approve(proposal.id)
        with archive.database.read() as unit:
            placed = unit.retention.override(proposal.id)
        self.overrides.append(Standing(id=proposal.id, item=None if on_customer else item.id, statute=placed))

    @precondition(lambda self: self.overrides)
    @rule(number=st.integers(0, 50))
    def an_override_is_taken_back(self, number: int) -> None:
        standing, archive = self.overrides[number % len(self.overrides)], self.world.archive
        if standing.item is not None and self.items[standing.item].edited:
            return
        proposal = archive.overrides.propose_end(archive.approvals, self.handler, standing.id, "mistaken")
        self.approve(proposal.id)
        self.overrides.remove(standing)

    @precondition(lambda self: self.living())
    @rule(number=st.integers(0, 50), on_customer=st.sampled_from((False, False, True)), kind=st.sampled_from(HoldKind))
    def a_hold_is_placed(self, number: int, on_customer: bool, kind: HoldKind) -> None:
        item = self.pick(number)
        answer = self._place(None if on_customer else item, kind)
        assert answer.already_destroyed == ()

    def _place(self, item: Item | None, kind: HoldKind) -> HoldAnswer:
        answer = self.world.archive.holds.place(
            self.handler,
            reason="suit",
            review_on=self.world.clock.now().date() + timedelta(days=30),
            communication_id=None if item is None else item.id,
            customer_id=self.customer_id if item is None else None,
            authority="R-7",
            kind=kind,
        )
        if not answer.already_destroyed:
            self.holds.append(Standing(id=answer.hold.id, item=None if item is None else item.id, kind=kind))
        return answer

    @precondition(lambda self: self.holds)
    @rule(number=st.integers(0, 50))
    def a_hold_is_released(self, number: int) -> None:
        standing, archive = self.holds[number % len(self.holds)], self.world.archive
        if standing.kind is HoldKind.REQUEST:
            archive.holds.close_request(self.handler, standing.id, reason="answered")
        else:
            told_on = self.world.clock.now().date()
            proposal = archive.holds.propose_release(
                archive.approvals, self.handler, standing.id, reason="settled", told_on=told_on
            )
            self.approve(proposal.id)
        self.holds.remove(standing)

    @rule(terms=st.sampled_from(TERMS))
    def a_policy_comes_into_force(self, terms: tuple[str, str, bool]) -> None:
        calls, training, contract = terms
        version = f"v{len(self.policies)}"
        text = (
            POLICY.replace("defaults-1", version)
            .replace(CALLS, CALLS.replace("P6M", calls))
            .replace(TRAINING, TRAINING.replace("P3M", training))
        ) + (RELATIONSHIP if contract else "")
        self.policies[version] = parse_policy(text.encode())
        self.world.archive.retention.put_in_force(self.handler, text)
        self.active = version

    @rule()
    def the_policy_is_applied(self) -> None:
        self.world.archive.retention_desk.apply()
        for item in self.living():
            if not item.edited:
                item.version = self.active

    @precondition(lambda self: self.living())
    @rule(number=st.integers(0, 50))
    def somebody_edits_the_database(self, number: int) -> None:
        item = self.pick(number)
        forged = self.world.clock.now() - timedelta(hours=1)
        if forged == self.end_of(item):
            return
        with self.world.archive.database.begin() as unit:
            row = unit.communications.get(item.id)
            unit.communications.set_retention(
                item.id, destroy_at=forged, purposes=row.purposes, policy_version=row.policy_version
            )
            unit.commit()
        item.edited = True

    # --- the purge

    @rule()
    def the_purge_runs(self) -> None:
        self._purged(self.due(), set())

    @precondition(lambda self: self.living())
    @rule(number=st.integers(0, 50), look=st.integers(1, 12), kind=st.sampled_from(HoldKind))
    def a_hold_comes_while_the_purge_runs(self, number: int, look: int, kind: HoldKind) -> None:
        item, due = self.pick(number), self.due()
        answers: list[HoldAnswer] = []
        thread = threading.Thread(target=lambda: answers.append(self._place(item, kind)))
        clock = self.world.clock
        assert isinstance(clock, WatchedClock)
        clock.left, clock.then = look, thread.start
        try:
            self._purged(due - {item.id}, {item.id} & due)
        finally:
            clock.left, clock.then = 0, None
            if thread.ident is not None:
                thread.join(timeout=30)
        if not answers:
            return
        if answers[0].already_destroyed:
            assert answers[0].already_destroyed == (item.id,)
            assert item.gone
        else:
            assert not item.gone

    def _purged(self, surely: set[str], perhaps: set[str]) -> None:
        report = self.world.archive.purge.run("worker")
        assert report.stopped_because is None
        destroyed = set(report.destroyed)
        assert surely <= destroyed <= surely | perhaps
        for one in destroyed:
            self.items[one].gone = True
        unreported = {
            item.id for item in self.living() if item.edited and not self.held(item) and not self._is_stopped(item)
        }
        assert unreported == set()

    def _is_stopped(self, item: Item) -> bool:
        with self.world.archive.database.read() as unit:
            reasons = [entry.detail.get("reason") for entry in unit.audit.about(item.id, 50)]
        return "end-differs-from-policy" in reasons

    # --- what always holds

    @invariant()
    def rows_are_what_the_policy_says(self) -> None:
        with self.world.archive.database.read() as unit:
            rows = {row.id: row for row in unit.communications.find(list(self.items))}
        assert set(rows) == {item.id for item in self.living()}
        for item in self.living():
            row = rows[item.id]
            if not item.edited:
                assert (row.destroy_at, row.policy_version) == (self.end_of(item), item.version), item
                local = row.destroy_at.astimezone(self.zone)
                assert row.key_id.split("/")[1] in (f"{local:%Y-%m-%d}", f"{local:%Y-%m}") or "frozen" in row.key_id
            for record in row.purposes:
                assert record.cap_until == item.facts.caps[record.purpose]
                assert record.needed_until <= record.cap_until


def run(database: Callable[[FixedClock], SqlDatabase], examples: int) -> None:
    machine = type("MachineOnDatabase", (Machine,), {"database": staticmethod(database)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(0 if EXAMPLES > 5 else 900)
def test_the_promise_holds_on_sqlite() -> None:
    run(lambda clock: steady_database("sqlite://", clock), EXAMPLES)


@pytest.mark.postgresql
@pytest.mark.timeout(0 if EXAMPLES > 5 else 900)
def test_the_promise_holds_on_postgresql(pg_url: str) -> None:
    def opened(clock: FixedClock) -> SqlDatabase:
        database = steady_database(pg_url, clock)
        kit.clear(database)
        return database

    run(opened, max(2, EXAMPLES // 2))
