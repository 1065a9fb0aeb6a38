"""Retention over HTTP: events, early ends and overrides as other systems and people tell them, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from recvault.domain.access import Role
from tests.support.archives import World, make_world
from tests.support.serving import Served, problem_of, serve


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def served(world: World) -> Iterator[Served]:
    with serve(world.archive) as server:
        yield server


class Person:
    """Sends as one role; answers with the body of what succeeded."""

    def __init__(self, served: Served, world: World, role: Role) -> None:
        self._served = served
        token = world.archive.sessions.issue_token(role.value, by="system:test")
        self._headers = {"Authorization": f"Bearer {token}"}

    def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self._served.client.post(path, json=body, headers=self._headers)
        assert answer.status_code == status, answer.text
        return answer.json() if status < 300 else problem_of(answer)

    def get(self, path: str, status: int = 200) -> dict[str, Any]:
        answer = self._served.client.get(path, headers=self._headers)
        assert answer.status_code == status, answer.text
        return answer.json() if status < 300 else problem_of(answer)


@pytest.fixture
def handler(served: Served, world: World) -> Person:
    return Person(served, world, Role.PRIVACY_HANDLER)


def test_a_case_system_tells_of_a_closed_case(served: Served, world: World) -> None:
    system = Person(served, world, Role.ADMINISTRATOR)
    stored = world.store("case", case_ref="T-7").id
    assert system.post("/v1/events/case-closed", case_ref="T-7") == {"concerned": 1, "moved": 1}
    told = Person(served, world, Role.AUDITOR).get(f"/v1/communications/{stored}/retention")
    assert (told["decided_by"], told["differs"], told["policy"]) == ("case", False, "defaults-1")
    assert {line["code"] for line in told["lines"]} >= {"contact", "rule", "event", "needed-until", "destroy"}
    assert "virtanen" not in str(told).lower()
    system.post("/v1/events/case-closed", 404, case_ref="T-8")
    system.post("/v1/events/case-closed", 422, case_ref="T-7", at="2099-01-01T00:00:00Z")


def test_relationships_and_objections(served: Served, world: World, handler: Person) -> None:
    world.store("plain")
    ended = handler.post("/v1/events/relationship-end", customer_number="1001", on="2026-12-31")
    assert ended["concerned"] >= 1 and ended["moved"] == 0  # no rule of the shipped policy counts from it
    handler.post("/v1/events/relationship-resumed", customer_number="1001", on="2027-01-01")
    objected = handler.post("/v1/events/training-objection", customer_number="1001", reason="by post")
    assert objected["moved"] >= 1
    handler.post("/v1/events/relationship-end", 422, on="2026-12-31")
    handler.post("/v1/events/relationship-end", 404, customer_number="9", on="2026-12-31")
    handler.post("/v1/events/relationship-end", 422, customer_number="9", customer_id="x", on="2026-12-31")
    Person(served, world, Role.VERIFIER).post("/v1/events/case-closed", 403, case_ref="T-7")


def test_an_early_end_from_proposal_to_withdrawal(served: Served, world: World, handler: Person) -> None:
    stored = world.store("early").id
    asked = handler.post(
        "/v1/purpose-endings", 202, communications=[stored], purpose="verification", reason="not needed"
    )
    assert asked["state"] == "open"
    world.archive.approvals.approve(world.actor(Role.APPROVER), asked["proposal"])
    rows = Person(served, world, Role.AUDITOR).get("/v1/purpose-endings")["rows"]
    assert [(row["id"], row["communications"], row["purpose"]) for row in rows] == [
        (asked["proposal"], 1, "verification")
    ]
    assert handler.post(f"/v1/purpose-endings/{asked['proposal']}/withdraw")["concerned"] == 1
    handler.post(f"/v1/purpose-endings/{asked['proposal']}/withdraw", 409)


def test_an_override_from_the_table_to_its_end(served: Served, world: World, handler: Person) -> None:
    stored = world.store("voucher").id
    codes = {row["code"]: row["mandatory"] for row in handler.get("/v1/statutes")["rows"]}
    assert codes == {"accounting-act": True, "mifid-5": True, "mifid-7": True, "defence-of-claims": False}
    handler.post("/v1/statutory-overrides", 422, code="accounting-act", communication_id=stored, reason="x")
    asked = handler.post(
        "/v1/statutory-overrides",
        202,
        code="accounting-act",
        communication_id=stored,
        reason="voucher",
        year_end="12-31",
    )
    world.archive.approvals.approve(world.actor(Role.APPROVER), asked["proposal"])
    (row,) = handler.get("/v1/statutory-overrides")["rows"]
    assert (row["covered"], row["statute"]["source"]) == (1, "Accounting Act (1336/1997), chapter 2, section 10")
    assert row["until"] == handler.get(f"/v1/communications/{stored}/retention")["destroy_at"]
    back = handler.post(f"/v1/statutory-overrides/{row['id']}/end", 202, reason="mistaken")
    world.archive.approvals.approve(world.actor(Role.APPROVER), back["proposal"])
    assert handler.get("/v1/statutory-overrides")["rows"] == []
    Person(served, world, Role.TRAINER).get("/v1/statutory-overrides", 403)
