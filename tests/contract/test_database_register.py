"""The register: customers, persons, points, agents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.communication import PartyKind
from recvault.domain.customer import Agent, ContactPerson, ContactPoint, Customer, Membership
from recvault.domain.errors import Conflict, NotFound
from tests.contract import database_kit as kit
from tests.contract.database_kit import AGENT, CUSTOMER, DAY, LOOSE_POINT, NOW, OTHER_CUSTOMER, POINT, communication


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def test_customers_come_back_and_are_replaced(database: SqlDatabase) -> None:
    changed = replace(CUSTOMER, name="Uusi Oy", relationship_end=date(2026, 12, 31), marketing_ban=False)
    with database.begin() as unit:
        register = unit.register
        assert register.customer("customer-1") == CUSTOMER
        register.put_customer(changed)
        assert register.customers(["customer-1", "customer-2", "no"]) == {
            "customer-1": changed,
            "customer-2": OTHER_CUSTOMER,
        }
        assert register.customer_by_number("10042") == changed
        assert register.customer_by_number("1") is None
        assert register.customers_by_business_id("2345678-4") == [changed]
        assert register.search_customers("äänek", 5) == []
        with pytest.raises(NotFound, match="customer"):
            register.customer("no")


def test_a_customer_number_is_one_customer(database: SqlDatabase) -> None:
    with database.begin() as unit, pytest.raises(Conflict) as refused:
        unit.register.put_customer(Customer(id="customer-3", number="10042", name="Salainen Nimi"))
    assert "Salainen" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ÄÄNEKOSKEN", ["customer-1"]),
        ("sähkö", ["customer-1"]),
        ("A\u0308a\u0308nekosken", ["customer-1"]),
        ("åbo", ["customer-2"]),
        ("BÅT", ["customer-2"]),
        ("10043", ["customer-2"]),
        ("1004", []),
        ("2345678-4", ["customer-1"]),
        ("%", ["customer-3"]),
        ("_", []),
        ("straße", ["customer-3"]),
        ("STRASSE", ["customer-3"]),
        ("", ["customer-3", "customer-1", "customer-2"]),
    ],
)
def test_customers_are_searched_in_any_case(database: SqlDatabase, text: str, expected: list[str]) -> None:
    with database.begin() as unit:
        unit.register.put_customer(Customer(id="customer-3", number=None, name="100 % Straße"))
        assert [one.id for one in unit.register.search_customers(text, 10)] == expected
        assert [one.id for one in unit.register.search_customers(text, 1)] == expected[:1]


def test_a_customer_leaves_with_persons_and_points_when_nothing_names_it(database: SqlDatabase) -> None:
    person = ContactPerson(id="person-1", customer_id="customer-1", name="Matti Meikäläinen")
    kit.add(database, communication(1))
    with database.begin() as unit:
        unit.register.put_person(person)
        unit.register.put_point(replace(POINT, person_id="person-1"))
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict, match="named by"):
        unit.register.delete_customer("customer-1")
    with database.begin() as unit:
        unit.register.put_person(replace(person, id="person-2", customer_id="customer-2"))
        unit.register.delete_customer("customer-2")
        unit.register.delete_customer("customer-2")
        assert unit.register.persons("customer-2") == []
        assert unit.register.persons("customer-1") == [person]
        assert set(unit.register.customers(["customer-1", "customer-2"])) == {"customer-1"}


def test_persons_in_name_order(database: SqlDatabase) -> None:
    people = [
        ContactPerson(id=f"person-{called}", customer_id="customer-1", name=called, role="osto", valid_from=NOW)
        for called in ("virtanen", "Aalto", "Öhman")
    ]
    with database.begin() as unit:
        for person in people:
            unit.register.put_person(person)
        unit.register.put_person(replace(people[0], valid_until=NOW + DAY))
        names = [person.name for person in unit.register.persons("customer-1")]
        assert names == ["Aalto", "virtanen", "Öhman"]
        assert unit.register.persons("customer-1")[1].valid_until == NOW + DAY


def test_points_by_owner_value_and_id(database: SqlDatabase) -> None:
    former = ContactPoint(
        id="point-0", kind=PartyKind.TEL, value=POINT.value, customer_id="customer-2", valid_until=NOW
    )
    mail = ContactPoint(id="point-9", kind=PartyKind.MAILTO, value="a@example.fi", customer_id="customer-1")
    with database.begin() as unit:
        register = unit.register
        register.put_point(former)
        register.put_point(mail)
        assert register.points("customer-1") == [mail, POINT]
        assert register.points_by_value(PartyKind.TEL, POINT.value) == [former, POINT]
        assert register.points_by_value(PartyKind.HANDLE, POINT.value) == []
        assert register.get_points(["point-2", "point-1", "no"]) == {"point-1": POINT, "point-2": LOOSE_POINT}
        register.put_point(replace(LOOSE_POINT, customer_id="customer-2"))
        assert register.get_points(["point-2"])["point-2"].customer_id == "customer-2"


def test_only_points_that_nothing_uses_are_dropped(database: SqlDatabase) -> None:
    named = ContactPoint(id="point-3", kind=PartyKind.TEL, value="+358409999999")
    with database.begin() as unit:
        unit.register.put_point(named)
        unit.commit()
    kit.add(database, communication(1, customer_id=None, contact_point_id="point-3"))
    with database.begin() as unit:
        assert unit.register.drop_unused_points(["point-1", "point-2", "point-3", "no"]) == 1
        assert set(unit.register.get_points(["point-1", "point-2", "point-3"])) == {"point-1", "point-3"}


def test_agents_with_extensions_and_teams(database: SqlDatabase) -> None:
    other = Agent(id="agent-2", ref="b1", name="aalto", extensions=(Membership(value="1001", valid_until=NOW),))
    with database.begin() as unit:
        register = unit.register
        register.put_agent(other)
        assert register.agent("agent-1") == AGENT
        assert register.agents() == [other, AGENT]
        assert register.agent_by_ref("a17") == AGENT
        assert register.agent_by_ref("no") is None
        assert register.agents_by_extension("1001") == [other, AGENT]
        assert register.agents_by_extension("laskutus") == []
        moved = replace(AGENT, teams=(Membership(value="myynti", valid_from=NOW),), extensions=())
        register.put_agent(moved)
        assert register.agent("agent-1") == moved
        with pytest.raises(NotFound, match="agent"):
            register.agent("no")
    with database.begin() as unit, pytest.raises(Conflict):
        unit.register.put_agent(replace(other, ref="a17"))


def test_guards_that_do_not_exist_are_passed_over(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.register.lock_guards(customer_ids=["no", "customer-1"], contact_point_ids=["point-1"])
        unit.register.share_guards(customer_ids=[], contact_point_ids=["no"])
        unit.commit()
