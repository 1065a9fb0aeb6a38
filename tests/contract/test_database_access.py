"""Counts of listening, authorisations and confirmed reviews: the same on both databases, and counted one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase, migrate
from recvault.domain.approvals import ProposalKind
from recvault.domain.coverage import Coverage
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.grants import Authorisation
from recvault.domain.listening import Counted, day_of, hour_of
from recvault.domain.ports.database.grants import Confirmation
from recvault.domain.purpose import Purpose
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, Aside

HOUR = timedelta(hours=1)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    opened = kit.open_database(kit.address(request.param, request, tmp_path))
    migrate(opened)
    kit.prepare(opened)
    yield opened
    opened.close()


def count(database: SqlDatabase, person: str = "p", *, hours: int = 0, customer: str | None = None) -> Counted:
    with database.begin() as unit:
        found = unit.listening.opening(person, hour_of(NOW + hours * HOUR), Purpose.TRAINING, customer)
        unit.commit()
    return found


def test_counts_by_person_hour_and_purpose(database: SqlDatabase) -> None:
    assert count(database, customer="c1").opens == 1
    assert count(database, customer="c1").opens == 2
    assert count(database, "q").opens == 1
    with database.begin() as unit:
        assert unit.listening.look("p", hour_of(NOW)) == Counted(opens=2, looks=1)
        assert unit.listening.opening("p", hour_of(NOW), Purpose.VERIFICATION, "c2") == Counted(opens=3, looks=1)
        unit.commit()
    today = day_of(NOW)
    with database.read() as unit:
        days = unit.listening.days(today, today + DAY)
        assert [(one.person, one.opened, one.looks, one.customers) for one in days] == [("p", 3, 1, 2), ("q", 1, 0, 0)]
        assert days[0].opens == {Purpose.VERIFICATION: 1, Purpose.TRAINING: 2}
        assert [one.person for one in unit.listening.days(today, today + DAY, least=2)] == ["p"]
        assert [one.person for one in unit.listening.days(today, today + DAY, people=["q"])] == ["q"]
        assert unit.listening.days(today + DAY, today + 2 * DAY) == []
        assert unit.listening.any(today, today + DAY) and not unit.listening.any(today + DAY, today + 2 * DAY)


def test_what_is_not_committed_is_not_counted(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.listening.look("p", hour_of(NOW))
    assert count(database) == Counted(opens=1, looks=0)


def test_two_processes_count_one_after_the_other(database: SqlDatabase) -> None:
    with database.begin() as unit:
        first = unit.listening.opening("p", hour_of(NOW), Purpose.TRAINING, None)
        second = Aside(lambda: count(database))
        assert first.opens == 1
        unit.commit()
    assert second.join().opens == 2


def test_the_usual_day_is_of_days_with_openings(database: SqlDatabase) -> None:
    today = day_of(NOW)
    for hours in (-24, -25, -72):
        count(database, hours=hours)
    count(database, hours=-24 * 40)
    with database.read() as unit:
        assert unit.listening.usual("p", today, 28) == 1.5
        assert unit.listening.usual("nobody", today, 28) is None
    with database.begin() as unit:
        assert unit.listening.forget(today - 30 * DAY) == 1
        unit.commit()


def test_authorisations(database: SqlDatabase) -> None:
    made = Authorisation(
        id="proposal-1",
        kind=ProposalKind.BREAK_GLASS,
        subject="verifier",
        holder="user-1",
        approved_by="user-2",
        issued_at=NOW,
        valid_until=NOW + HOUR,
    )
    covers = Coverage(customer_id="customer-1", started_from=NOW)
    disclosed = replace(made, id="proposal-9", kind=ProposalKind.DISCLOSURE, covers=covers)
    with database.begin() as unit:
        unit.authorisations.add(made)
        unit.authorisations.add(disclosed)
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.authorisations.add(made)
    with database.read() as unit:
        assert unit.authorisations.get("proposal-1") == made
        assert unit.authorisations.issued(ProposalKind.BREAK_GLASS, since=NOW, until=NOW + DAY) == [made]
        assert unit.authorisations.issued(ProposalKind.BREAK_GLASS, since=NOW - DAY, until=NOW) == []
        assert unit.authorisations.issued(ProposalKind.DISCLOSURE, since=NOW, until=NOW + DAY) == [disclosed]
        live = [unit.authorisations.live(ProposalKind.BREAK_GLASS, at) for at in (NOW - HOUR, NOW, NOW + HOUR)]
        assert live == [0, 1, 0]
        with pytest.raises(NotFound):
            unit.authorisations.get("proposal-2")
    with database.begin() as unit:
        unit.authorisations.end("proposal-1", NOW)
        unit.authorisations.end("proposal-1", NOW + DAY)
        assert unit.authorisations.get("proposal-1").ended_at == NOW
        assert unit.authorisations.live(ProposalKind.BREAK_GLASS, NOW) == 0


def test_reviews_and_last_uses(database: SqlDatabase) -> None:
    made = Confirmation(week="2026-W47", reviewer="user-1", digest="ab" * 32, unusual=1, confirmed_at=NOW)
    with database.begin() as unit:
        unit.reviews.confirm(made)
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.reviews.confirm(made)
    with database.read() as unit:
        assert unit.reviews.of_week("2026-W47") == [made] and unit.reviews.of_week("2026-W46") == []
        assert unit.reviews.last_used() == {}


def test_persons_and_agents_that_end(database: SqlDatabase) -> None:
    with database.begin() as unit:
        user = replace(unit.accounts.lock_user(kit.USER.id), person="person-1", agent_id=kit.AGENT.id)
        unit.accounts.put_user(user)
        unit.register.put_agent(replace(kit.AGENT, valid_until=NOW + DAY))
        unit.commit()
    with database.begin() as unit:
        assert unit.register.agent(kit.AGENT.id).valid_until == NOW + DAY
        found = unit.accounts.user(kit.USER.id)
        assert (found.who, found.agent_until) == ("person-1", NOW + DAY)
        with pytest.raises(NotFound):
            unit.accounts.lock_user("nobody")
