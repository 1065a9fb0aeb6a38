"""What the database promises about proposals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.errors import Conflict, NotFound
from tests.contract import database_kit as kit
from tests.contract.database_kit import NOW, Aside, name


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    yield from kit.migrated(request.param, request, tmp_path)


def proposal(number: int, subject: str = "hold-1", **changes: object) -> Proposal:
    values: dict[str, object] = {
        "id": name(number),
        "kind": ProposalKind.RELEASE_HOLD,
        "subject": subject,
        "body": {"a": [1, "ä"]},
        "reason": "settled",
        "proposed_by": "user-1",
        "proposed_at": NOW + timedelta(seconds=number),
    } | changes
    return Proposal(**values)  # type: ignore[arg-type]


def decided(one: Proposal, state: ProposalState, **changes: object) -> Proposal:
    return replace(one, state=state, decided_by="user-2", decided_at=NOW, **changes)  # type: ignore[arg-type]


def add(database: SqlDatabase, *proposals: Proposal) -> None:
    with database.begin() as unit:
        for one in proposals:
            unit.proposals.add(one)
        unit.commit()


def test_what_goes_in_comes_out(database: SqlDatabase) -> None:
    one = proposal(1)
    add(database, one)
    with database.read() as unit:
        assert unit.proposals.get(one.id) == one
        with pytest.raises(NotFound):
            unit.proposals.get("no")
        assert unit.proposals.standing_about(ProposalKind.RELEASE_HOLD, "hold-1") == one
        assert unit.proposals.standing_about(ProposalKind.END_PURPOSE, "hold-1") is None


def test_one_stands_about_a_subject(database: SqlDatabase) -> None:
    add(database, proposal(1), proposal(2, "hold-2"), proposal(3, kind=ProposalKind.END_PURPOSE))
    with database.begin() as unit, pytest.raises(Conflict):
        unit.proposals.add(proposal(4))
    with database.begin() as unit:
        unit.proposals.settle(decided(proposal(1), ProposalState.WAITING, not_before=NOW))
        unit.commit()
    with database.begin() as unit, pytest.raises(Conflict):
        unit.proposals.add(proposal(4))
    with database.begin() as unit:
        unit.proposals.settle(decided(proposal(1), ProposalState.REFUSED))
        unit.proposals.add(proposal(4))
        unit.commit()
    with database.read() as unit:
        assert [one.id for one in unit.proposals.standing()] == [name(2), name(3), name(4)]
        assert [one.id for one in unit.proposals.recent(5)] == [name(1)]


def test_what_has_waited_long_enough(database: SqlDatabase) -> None:
    for number in (1, 2, 3):
        one = proposal(number, f"hold-{number}")
        add(database, one)
        with database.begin() as unit:
            waits = NOW + timedelta(hours=72 - number)
            unit.proposals.settle(decided(one, ProposalState.WAITING, not_before=waits))
            unit.commit()
    with database.read() as unit:
        assert unit.proposals.waiting(NOW + timedelta(hours=68)) == []
        assert unit.proposals.waiting(NOW + timedelta(hours=70)) == [name(3), name(2)]


def test_a_state_that_lacks_its_facts_is_refused(database: SqlDatabase) -> None:
    add(database, proposal(1))
    for wrong in (
        replace(proposal(1), state=ProposalState.REFUSED),
        decided(proposal(1), ProposalState.OPEN),
        decided(proposal(1), ProposalState.WAITING),
    ):
        with database.begin() as unit, pytest.raises(Conflict):
            unit.proposals.settle(wrong)
    with database.begin() as unit, pytest.raises(NotFound):
        unit.proposals.settle(decided(proposal(9), ProposalState.REFUSED))


def test_two_that_decide_come_one_after_the_other(database: SqlDatabase) -> None:
    one = proposal(1)
    add(database, one)

    def decide(by: str) -> str:
        with database.begin() as unit:
            found = unit.proposals.lock(one.id)
            if found.state is ProposalState.OPEN:
                unit.proposals.settle(replace(decided(found, ProposalState.CARRIED_OUT), decided_by=by))
                unit.commit()
                return by
        return "second"

    outcomes = sorted(thread.join() for thread in [Aside(lambda: decide("a")), Aside(lambda: decide("b"))])
    assert outcomes in (["a", "second"], ["b", "second"])
