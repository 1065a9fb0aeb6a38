"""The API and the desk of roles, authorisations, limits and the access review: statuses and problem documents."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from recvault.domain.access import Role
from recvault.domain.purpose import Purpose
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.asking import Client, session


class Asked:
    """The application, asked by people of every role."""

    def __init__(self) -> None:
        parts = memory_parts()
        parts.config = configuration(ACCESS__OPENS_PER_HOUR="2")
        self.world: World = make_world(parts=parts)
        self.client = Client(self.world)

    def __call__(self, role: Role, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session(self.world, role.value)}"}
        return self.client.request(method, path, headers=headers, json=body)

    def form(self, role: Role, path: str, fields: dict[str, str]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session(self.world, role.value)}", "Sec-Fetch-Site": "same-origin"}
        return self.client.request("POST", path, headers=headers, data=fields)


@pytest.fixture
def ask() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.client.close()


def test_roles_are_given_and_taken(ask: Asked) -> None:
    admin = Role.ADMINISTRATOR
    rows = {row["name"]: row for row in ask(admin, "GET", "/v1/accounts").json()["rows"]}
    path = f"/v1/accounts/{rows['auditor']['id']}/roles"
    role = {"role": "verifier", "scope": "teams", "values": ["north"], "until": "2030-01-01T00:00:00Z"}
    body = {"roles": [{"role": "auditor"}, role]}
    assert ask(admin, "PUT", path, body).status_code == 422  # for whoever approves: why
    asked = ask(admin, "PUT", path, body | {"reason": "also verifies"})
    assert asked.status_code == 202 and asked.json()["proposal"]["kind"] == "grant-roles"
    assert [one["role"] for one in asked.json()["account"]["roles"]] == ["auditor"]
    proposed = asked.json()["proposal"]["body"]["grants"]
    assert proposed == [role | {"from": None, "until": "2030-01-01T00:00:00+00:00"}]
    assert ask(admin, "PUT", path, body | {"reason": "again"}).status_code == 409
    taken = ask(admin, "PUT", path, {"roles": []})
    assert taken.status_code == 200 and taken.json()["account"]["roles"] == []


@pytest.mark.parametrize(
    "role",
    [
        {"role": "king"},
        {"role": "source"},
        {"role": "verifier", "scope": "teams"},
        {"role": "verifier", "values": ["north"]},
        {"role": "verifier", "until": "2030-01-01T00:00:00"},
        {"role": "approver", "scope": "teams", "values": ["north"]},
        {"role": "verifier", "colour": "red"},
    ],
)
def test_what_is_no_role_is_not_understood(ask: Asked, role: dict[str, object]) -> None:
    account = ask.world.actor(Role.AUDITOR).id
    answer = ask(Role.ADMINISTRATOR, "PUT", f"/v1/accounts/{account}/roles", {"roles": [role], "reason": "x"})
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"


def test_what_two_people_give(ask: Asked) -> None:
    account = ask.world.actor(Role.AUDITOR).id
    form = {"account": account, "role": {"role": "verifier"}, "hours": 2, "reason": "ill"}
    asked = ask(Role.PRIVACY_HANDLER, "POST", "/v1/break-glass", form)
    assert (asked.status_code, asked.json()["kind"]) == (202, "break-glass")
    assert ask(Role.PRIVACY_HANDLER, "POST", "/v1/break-glass", form | {"hours": 13}).status_code == 422
    form = {"reference": "POL-7", "statute": "an Act", "reason": "ordered"}
    assert ask(Role.PRIVACY_HANDLER, "POST", "/v1/disclosures", form).status_code == 422
    call = ask.world.store("call-1").id
    asked = ask(Role.PRIVACY_HANDLER, "POST", "/v1/disclosures", form | {"communications": [call]})
    assert (asked.status_code, asked.json()["subject"]) == (202, "POL-7")


def test_a_disclosure_from_asking_to_its_end(ask: Asked) -> None:
    world, call = ask.world, ask.world.store("call-1").id
    form = {"reference": "POL-7", "statute": "an Act", "reason": "ordered", "communications": [call]}
    given = ask(Role.PRIVACY_HANDLER, "POST", "/v1/disclosures", form).json()["id"]
    body = {"purpose": "authority", "reference": given}
    assert ask(Role.PRIVACY_HANDLER, "POST", "/v1/communications/search", body).status_code == 403
    world.archive.approvals.approve(world.actor(Role.APPROVER), given)
    found = ask(Role.PRIVACY_HANDLER, "POST", "/v1/communications/search", body).json()["rows"]
    assert [row["id"] for row in found] == [call]
    assert ask(Role.PRIVACY_HANDLER, "GET", f"/v1/communications/{call}?purpose=authority").status_code == 403
    assert ask(Role.PRIVACY_HANDLER, "POST", f"/v1/communications/{call}/view", body).json()["id"] == call
    opening = {"purpose": "authority", "case_ref": given}
    played = ask(Role.PRIVACY_HANDLER, "POST", f"/v1/communications/{call}/open", opening).json()["playback"]
    assert ask(Role.PRIVACY_HANDLER, "GET", played).status_code == 200
    assert ask(Role.PRIVACY_HANDLER, "POST", f"/v1/disclosures/{given}/end", {}).status_code == 204
    refused = ask(Role.PRIVACY_HANDLER, "GET", played)
    assert (refused.status_code, refused.json()["reason"]) == (403, "not-authorised")
    (row,) = ask(Role.PRIVACY_HANDLER, "GET", "/v1/disclosures").json()["rows"]
    assert row["id"] == given and row["ended_at"] and row["covers"] == {"communications": [call]}
    assert ask(Role.PRIVACY_HANDLER, "POST", "/v1/disclosures/none/end", {}).status_code == 404


def test_a_disclosure_at_the_desk(ask: Asked) -> None:
    world, call, handler = ask.world, ask.world.store("call-1").id, Role.PRIVACY_HANDLER
    form = {"reference": "POL-7", "statute": "an Act", "reason": "ordered"}
    unclear = ask.form(handler, "/disclosures?lang=en", form)
    assert unclear.status_code == 422 and "Name what it covers" in unclear.text and "POL-7" in unclear.text
    assert ask.form(handler, "/disclosures", form | {"customer": "none"}).status_code == 422
    assert ask.form(handler, "/disclosures", form | {"communications": call}).status_code == 303
    (proposal,) = world.archive.approvals.open()
    assert "an Act" in ask(handler, "GET", "/disclosures").text
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    under = {"purpose": "authority", "reference": proposal.id}
    assert f"/communications/{call}" in ask.form(handler, "/search", under).text
    asked = ask(handler, "GET", f"/communications/{call}?purpose=authority&lang=en")
    assert asked.status_code == 422 and "under a disclosure" in asked.text and "CASE" not in asked.text
    assert ask.form(handler, f"/communications/{call}", under | {"reference": "POL-7"}).status_code == 403
    assert ask.form(handler, f"/communications/{call}", under).status_code == 200
    assert ask.form(handler, f"/communications/{call}/open", under).status_code == 200
    assert ask.form(handler, f"/disclosures/{proposal.id}/end", {}).status_code == 303
    assert ask.form(handler, "/search", under).status_code == 403
    assert ask(Role.VERIFIER, "GET", "/disclosures").status_code == 403


def test_enough_for_one_hour(ask: Asked) -> None:
    path = f"/v1/communications/{ask.world.store('call-1').id}/open"
    body = {"purpose": "verification", "reason": "claim"}
    assert [ask(Role.VERIFIER, "POST", path, body).status_code for _ in range(3)] == [200, 200, 429]
    answer = ask(Role.VERIFIER, "POST", path, body)
    assert answer.json()["type"] == "/problems/limit-reached" and "at most 2" in answer.json()["detail"]
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    page = ask.form(Role.VERIFIER, path.removeprefix("/v1"), {"purpose": "verification", "reason": "claim"})
    assert page.status_code == 429 and "Tältä erää riittää" in page.text


def test_the_review_is_read_and_confirmed(ask: Asked) -> None:
    world = ask.world
    call = world.store("call-1").id
    world.archive.retrieval.open(world.actor(Role.VERIFIER), call, Purpose.VERIFICATION, reason="claim")
    world.later(days=8 - world.clock.now().weekday())
    report = ask(Role.TEAM_LEAD, "GET", "/v1/access-review").json()
    verifier = next(one for one in report["accounts"] if one["name"] == "verifier")
    assert verifier["opened"] == {"verification": 1} and report["confirmed"] == []
    assert ask(Role.TEAM_LEAD, "GET", "/v1/access-review?week=2026-W99").status_code == 422
    page = ask(Role.TEAM_LEAD, "GET", "/review?lang=en")
    assert page.status_code == 200 and report["digest"] in page.text and "Nobody has confirmed" in page.text
    assert ask(Role.AUDITOR, "GET", "/review").text.count(report["digest"]) == 0  # who does not confirm sees no button
    wrong = ask.form(Role.TEAM_LEAD, "/review", {"week": report["week"], "digest": "00"})
    assert wrong.status_code == 409
    done = ask.form(Role.TEAM_LEAD, "/review", {"week": report["week"], "digest": report["digest"]})
    assert done.status_code == 303 and done.headers["location"] == "/review"
    again = ask(Role.TEAM_LEAD, "POST", "/v1/access-review/confirm", {k: report[k] for k in ("week", "digest")})
    assert again.status_code == 409


def test_a_person_is_told_of_a_role_that_begins_soon(ask: Asked) -> None:
    world = ask.world
    made = world.archive.grants.set_roles(
        world.archive.approvals,
        world.actor(Role.ADMINISTRATOR),
        world.actor(Role.VERIFIER).id,
        [*world.actor(Role.VERIFIER).grants, *world.actor(Role.TRAINER).grants],
        reason="also trains",
    )
    assert made.proposal is not None
    told = "Sinulle hyväksytty rooli"
    assert told not in ask(Role.VERIFIER, "GET", "/").text
    world.archive.approvals.approve(world.actor(Role.APPROVER), made.proposal.id)
    assert told in ask(Role.VERIFIER, "GET", "/").text
    assert told not in ask(Role.TRAINER, "GET", "/").text
    world.later(days=1)
    world.archive.approvals.carry_out_due()
    assert told not in ask(Role.VERIFIER, "GET", "/").text
