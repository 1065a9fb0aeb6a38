"""The customer register: who a communication belongs to, and how the register is kept (promise P8).

Keeps: a number belongs to whoever held it at the time of the contact; ambiguity is never guessed away, it marks the item
for a person; an unknown number gets a contact point without a customer, which serves as guard row and is dropped when
nothing names it any more. The end of a relationship moves retention (``services.retention_events``) in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from recvault.domain.access import Action, Actor
from recvault.domain.audit import Act
from recvault.domain.communication import Attention, Draft, Party
from recvault.domain.customer import Agent, ContactPerson, ContactPoint, Customer
from recvault.domain.errors import Conflict, InvalidInput, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.register_records import AgentRecord, ContactPointRecord, CustomerRecord, RowFault
from recvault.domain.retention.standing import NOTHING_STANDS, Standing
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.retention_events import RetentionEvents


@dataclass(frozen=True, kw_only=True, slots=True)
class Parties:
    """Who a draft was matched to. ``point`` exists; ``new_point`` is to be made in the commit; ``marks`` say what was
    not found or not clear."""

    customer_id: str | None = None
    customer_kind: str | None = None
    relationship_ended_at: datetime | None = None
    standing: Standing = NOTHING_STANDS
    point: ContactPoint | None = None
    new_point: Party | None = None
    agent_id: str | None = None
    team: str | None = None
    marks: frozenset[Attention] = frozenset()


@dataclass(kw_only=True, slots=True)
class ImportReport:
    """What a nightly import did; faults name the row and the mend, never a person."""

    written: int = 0
    faults: list[RowFault] = field(default_factory=list)


class Customers:
    """Matches communications to the register, and keeps the register."""

    def __init__(
        self,
        *,
        database: Database,
        events: RetentionEvents,
        access: Access,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._events = events
        self._access = access
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    # --- matching

    def resolve(self, unit: UnitOfWork, draft: Draft) -> Parties:
        """The customer, contact point, agent and team of a draft at the time of the contact."""
        marks: set[Attention] = set()
        points = self._points(unit, draft)
        customer = self._customer(unit, draft, points, marks)
        mine = [p for p in points if customer is not None and p.customer_id == customer.id]
        unmatched = [p for p in points if p.customer_id is None]
        point = next(iter(mine or unmatched), None)
        agent = self._agent(unit, draft, marks)
        return Parties(
            customer_id=None if customer is None else customer.id,
            customer_kind=None if customer is None else customer.kind,
            relationship_ended_at=self._events.ended_at(customer),
            standing=_standing(unit, customer),
            point=point,
            new_point=draft.remote if point is None and _reachable(draft.remote) else None,
            agent_id=None if agent is None else agent.id,
            team=None if agent is None else agent.team_at(draft.started_at),
            marks=frozenset(marks),
        )

    def keep_point(self, unit: UnitOfWork, parties: Parties) -> str | None:
        """The contact point's id; makes the unmatched point of an unknown number unless a racing upload just did."""
        party = parties.new_point
        if parties.point is not None or party is None or party.kind is None or party.value is None:
            return None if parties.point is None else parties.point.id
        for point in unit.register.points_by_value(party.kind, party.value):
            if point.customer_id is None:
                return point.id
        point = ContactPoint(id=self._new_id(), kind=party.kind, value=party.value)
        unit.register.put_point(point)
        return point.id

    def _points(self, unit: UnitOfWork, draft: Draft) -> list[ContactPoint]:
        party = draft.remote
        if party is None or party.kind is None or party.value is None:
            return []
        return [p for p in unit.register.points_by_value(party.kind, party.value) if p.held_at(draft.started_at)]

    def _customer(
        self, unit: UnitOfWork, draft: Draft, points: list[ContactPoint], marks: set[Attention]
    ) -> Customer | None:
        named = self._named(unit, draft)
        if named is not None:
            candidates = named
        else:
            ids = {p.customer_id for p in points if p.customer_id is not None}
            candidates = list(unit.register.customers(ids).values())
        if len(candidates) == 1:
            return candidates[0]
        marks.add(Attention.AMBIGUOUS_CUSTOMER if candidates else Attention.UNKNOWN_CUSTOMER)
        return None

    def _named(self, unit: UnitOfWork, draft: Draft) -> list[Customer] | None:
        """What the source's own naming finds; None when it names nobody."""
        key = draft.customer
        if key.id is not None:
            return list(unit.register.customers([key.id]).values())
        if key.number is not None:
            found = unit.register.customer_by_number(key.number)
            return [] if found is None else [found]
        if key.business_id is not None:
            return unit.register.customers_by_business_id(key.business_id)
        return None

    def _agent(self, unit: UnitOfWork, draft: Draft, marks: set[Attention]) -> Agent | None:
        if draft.agent is None:
            return None
        agent = unit.register.agent_by_ref(draft.agent)
        if agent is None:
            agents = [
                a
                for a in unit.register.agents_by_extension(draft.agent)
                if any(e.value == draft.agent and e.held_at(draft.started_at) for e in a.extensions)
            ]
            agent = agents[0] if len(agents) == 1 else None
        if agent is None:
            marks.add(Attention.UNKNOWN_AGENT)
        return agent

    # --- keeping the register

    def put_customer(self, actor: Actor, record: CustomerRecord) -> Customer:
        """Inserts, or updates the customer of the same number (else the only one of the same Y-tunnus)."""
        self._access.require(actor, Action.REGISTER_WRITE)
        return self._write_customer(actor.id, record)

    def put_agent(self, actor: Actor, record: AgentRecord) -> Agent:
        """Inserts, or updates the agent of the same ref."""
        self._access.require(actor, Action.REGISTER_WRITE)
        return self._write_agent(actor.id, record)

    def import_customers(self, by: str, records: Iterable[CustomerRecord | RowFault]) -> ImportReport:
        """A nightly feed: each good row is written in a transaction of its own, bad rows are reported."""
        return _import(records, lambda record: self._write_customer(by, record))

    def import_agents(self, by: str, records: Iterable[AgentRecord | RowFault]) -> ImportReport:
        """The same for the agents' directory."""
        return _import(records, lambda record: self._write_agent(by, record))

    def search(self, actor: Actor, text: str, limit: int = 20) -> list[Customer]:
        """Customers by number, Y-tunnus or a part of the name."""
        self._access.require(actor, Action.REGISTER_READ)
        with self._database.read() as unit:
            return unit.register.search_customers(text, limit)

    def id_of_number(self, actor: Actor, number: str) -> str | None:
        """The id of the customer with this customer number."""
        self._access.require(actor, Action.REGISTER_READ)
        with self._database.read() as unit:
            customer = unit.register.customer_by_number(number)
        return None if customer is None else customer.id

    def agents(self, actor: Actor) -> list[Agent]:
        """The agents' directory, in name order."""
        self._access.require(actor, Action.DIRECTORY_READ)
        with self._database.read() as unit:
            return unit.register.agents()

    def points_of(self, actor: Actor, party: Party) -> list[ContactPoint]:
        """Every contact point with this normalised value, for a search by number or address."""
        self._access.require(actor, Action.REGISTER_READ)
        if party.kind is None or party.value is None:
            return []
        with self._database.read() as unit:
            return unit.register.points_by_value(party.kind, party.value)

    def named(self, ids: Iterable[str]) -> dict[str, Customer]:
        """Customers by id, for showing names beside communications that the caller was already allowed to see."""
        with self._database.read() as unit:
            return unit.register.customers(set(ids))

    def _write_customer(self, by: str, record: CustomerRecord) -> Customer:
        with self._database.begin() as unit:
            old = self._locked(unit, record)
            customer = _merged(record, old, old.id if old is not None else self._new_id())
            unit.register.put_customer(customer)
            self._write_people(unit, customer, record)
            self._audit.record(unit, actor=by, act=Act.CUSTOMER_CHANGED, target=customer.id)
            if old is not None:
                self._events.relationship_moved(unit, old, customer, by=by)
            unit.commit()
        return customer

    def _locked(self, unit: UnitOfWork, record: CustomerRecord) -> Customer | None:
        """As it stands once nobody else can change it: events write the customer too."""
        found = self._existing(unit, record)
        if found is None:
            return None
        unit.register.lock_guards(customer_ids=[found.id], contact_point_ids=[])
        return unit.register.customer(found.id)

    def _existing(self, unit: UnitOfWork, record: CustomerRecord) -> Customer | None:
        if record.number is not None:
            return unit.register.customer_by_number(record.number)
        if record.business_id is not None:
            same = unit.register.customers_by_business_id(record.business_id)
            return same[0] if len(same) == 1 else None
        return None

    def _write_people(self, unit: UnitOfWork, customer: Customer, record: CustomerRecord) -> None:
        self._write_points(unit, customer, None, record.contact_points)
        known = {person.name: person.id for person in unit.register.persons(customer.id)}
        for told in record.contact_persons:
            person = ContactPerson(
                id=known.get(told.name) or self._new_id(), customer_id=customer.id, name=told.name, role=told.role
            )
            unit.register.put_person(person)
            self._write_points(unit, customer, person.id, told.contact_points)

    def _write_points(
        self,
        unit: UnitOfWork,
        customer: Customer,
        person_id: str | None,
        points: Iterable[ContactPointRecord],
    ) -> None:
        known = {(point.kind, point.value): point.id for point in unit.register.points(customer.id)}
        for told in points:
            unit.register.put_point(
                ContactPoint(
                    id=known.get((told.kind, told.value)) or self._new_id(),
                    kind=told.kind,
                    value=told.value,
                    customer_id=customer.id,
                    person_id=person_id,
                    valid_from=told.valid_from,
                    valid_until=told.valid_until,
                )
            )

    def _write_agent(self, by: str, record: AgentRecord) -> Agent:
        with self._database.begin() as unit:
            old = unit.register.agent_by_ref(record.ref)
            agent = Agent(
                id=self._new_id() if old is None else old.id,
                ref=record.ref,
                name=record.name,
                extensions=record.extensions if old is None or "extensions" in record.told else old.extensions,
                teams=record.teams if old is None or "teams" in record.told else old.teams,
                valid_until=record.valid_until if old is None or "valid_until" in record.told else old.valid_until,
            )
            unit.register.put_agent(agent)
            self._audit.record(unit, actor=by, act=Act.AGENT_CHANGED, target=agent.id)
            unit.commit()
        return agent

    def _new_id(self) -> str:
        return uuid7(self._clock.now(), self._entropy.bytes(10))


def _standing(unit: UnitOfWork, customer: Customer | None) -> Standing:
    """What stands over the customer as such, and so over what arrives for it."""
    if customer is None:
        return NOTHING_STANDS
    return Standing(
        overrides=unit.retention.overrides_of_customer(customer.id),
        endings=unit.retention.endings_of_customer(customer.id),
    )


def _reachable(party: Party | None) -> bool:
    return party is not None and party.kind is not None and party.value is not None


_TOLD = (
    "name",
    "kind",
    "address",
    "domicile",
    "business_id",
    "relationship_start",
    "relationship_end",
    "marketing_ban",
)


def _merged(record: CustomerRecord, old: Customer | None, customer_id: str) -> Customer:
    """The customer with what the record tells of; a field it does not speak of stays as it was."""
    if old is None:
        return Customer(id=customer_id, number=record.number, **{name: getattr(record, name) for name in _TOLD})
    changed = {name: getattr(record, name) for name in _TOLD if name in record.told}
    return replace(old, number=record.number or old.number, **changed)


RecordT = TypeVar("RecordT", CustomerRecord, AgentRecord)


def _import(records: Iterable[RecordT | RowFault], write: Callable[[RecordT], object]) -> ImportReport:
    report = ImportReport()
    for position, record in enumerate(records, start=1):
        if isinstance(record, RowFault):
            report.faults.append(record)
            continue
        try:
            write(record)
            report.written += 1
        except (Conflict, InvalidInput, NotFound) as fault:
            report.faults.append(RowFault(line=position, reason=str(fault)))
    return report
