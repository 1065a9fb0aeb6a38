"""Every door of API and desk, tried by every role, on calls of the own and of another team, in every state they can be in.

What the doors do is compared with the permission table (``domain.access``) by way of ``interfaces.doors``: a route that is not
declared there fails, a declared one that is not built fails, and so does one that lets through or turns away somebody else
than the table says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.domain.access import TABLE, Action, Actor, Grant, Role, Scope, ScopeKind, Subject, decide
from recvault.domain.accounts import actor_of
from recvault.domain.communication import Communication, State
from recvault.domain.customer import Membership
from recvault.domain.errors import StoreUnavailable
from recvault.domain.holds import HoldKind
from recvault.domain.ports.objects import DeleteFailure, ObjectVersion
from recvault.domain.purpose import Purpose
from recvault.domain.register_records import AgentRecord
from recvault.interfaces.doors import DESK, DOORS, Door, Who
from recvault.interfaces.http.app import create_app
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.asking import Client, session

PEOPLE = tuple(role for role in Role if role is not Role.SOURCE)
PURPOSES = (Purpose.VERIFICATION, Purpose.TRAINING, Purpose.REQUEST)
NOBODY = "0193a4d8-7c00-7000-8000-000000000001"
THROUGH = {200, 201, 202, 204, 206, 303, 404, 409, 410, 422}
"""Not turned away; what the door then found may be missing or not make sense."""


class Keeping(MemoryObjectStore):
    """An object store that deletes nothing: what is to be destroyed stays on its way."""

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        raise StoreUnavailable("the store does not delete now")


@dataclass
class House:
    """An archive with people of the north team for every role, and calls of north and south in every state."""

    world: World
    client: Client
    secrets: Mapping[Role, str]
    everywhere: Mapping[Role, str]
    calls: Mapping[str, str]
    hold: str

    def actor(self, role: Role) -> Actor:
        return actor_of(self.world.archive.accounts.user_named(f"north-{role.value}"))

    def row(self, call: str) -> Communication:
        with self.world.archive.database.read() as unit:
            return unit.communications.find([call])[0]

    def released(self, call: str, actor: Actor) -> bool:
        with self.world.archive.database.read() as unit:
            return unit.accounts.released_to(call, actor.id, self.world.clock.now())


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    parts = memory_parts()
    parts.store = Keeping(clock=parts.clock.now)
    parts.config = configuration(
        ACCESS__SEARCHES_PER_HOUR="100000", ACCESS__OPENS_PER_HOUR="100000", PURGE__GUARD_ITEMS="1000"
    )
    world = make_world(parts=parts)
    admin = world.actor(Role.ADMINISTRATOR)
    for team in ("north", "south"):
        world.archive.customers.put_agent(
            admin,
            AgentRecord(ref=team, name=team, teams=(Membership(value=team),), told=frozenset({"ref", "name", "teams"})),
        )
    agents = {agent.ref: agent.id for agent in world.archive.customers.agents(admin)}
    calls = {f"{team} destroying": world.store(f"{team}-old", agent=team).id for team in ("north", "south")}
    world.later(days=800)
    world.archive.purge.run("worker-1")
    scope = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"}))
    for role in PEOPLE:
        grant = Grant(role=role, scope=Scope() if role is Role.APPROVER else scope)
        world.archive.accounts.add_user(
            f"north-{role.value}",
            display_name=role.value,
            password=None,
            grants=(grant,),
            by="system:test",
            agent_id=agents["north"] if role is Role.AGENT else None,
        )
    trainee = world.archive.accounts.user_named("north-trainee")
    hold = ""
    for team in ("north", "south"):
        for state in ("stored", "held", "released", "restricted"):
            call = calls[f"{team} {state}"] = world.store(f"{team}-{state}", agent=team).id
            if state == "held":
                hold = held(world, call)
            if state == "restricted":
                held(world, call, HoldKind.RESTRICTION)
            if state == "released":
                with world.archive.database.begin() as unit:
                    unit.accounts.release_to(call, trainee.id, world.clock.now() + timedelta(days=30))
                    unit.commit()
    client = Client(world)
    yield House(
        world=world,
        client=client,
        secrets={role: session(world, f"north-{role.value}") for role in PEOPLE},
        everywhere={role: session(world, role.value) for role in PEOPLE},
        calls=calls,
        hold=hold,
    )
    client.close()


def held(world: World, call: str, kind: HoldKind = HoldKind.HOLD) -> str:
    review = (world.clock.now() + timedelta(days=90)).date()
    handler = world.actor(Role.PRIVACY_HANDLER)
    place = world.archive.holds.place
    return place(handler, reason="a claim", review_on=review, communication_id=call, kind=kind).hold.id


# --- what is sent: well formed, so that it is the role that decides

DAY = {"on": "2026-11-22"}
WORDS = {"reason": "because of the test"}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /v1/communications/search": {"purpose": "verification", "reference": "REQ-1"},
    "POST /v1/communications/{communication_id}/open": {"reason": "claim", "case_ref": "REQ-1"},
    "POST /v1/communications/{communication_id}/release": {"to": "nobody", "until": "2030-01-01T00:00:00Z"},
    "POST /v1/customers": {"name": "Virtanen Oy", "number": "1001"},
    "POST /v1/customers/search": {"text": "Virtanen"},
    "POST /v1/agents": {"ref": "east", "name": "East"},
    "POST /v1/holds": WORDS | {"review_on": "2031-01-01", "communication_id": NOBODY},
    "POST /v1/holds/{hold_id}/release": WORDS,
    "POST /v1/holds/{hold_id}/close": WORDS,
    "POST /v1/events/case-closed": {"case_ref": "CASE-1"},
    "POST /v1/events/relationship-end": DAY | {"customer_id": "no-such-customer"},
    "POST /v1/events/relationship-resumed": DAY | {"customer_id": "no-such-customer"},
    "POST /v1/events/training-objection": WORDS | {"communication_id": NOBODY},
    "POST /v1/purpose-endings": WORDS | {"communications": [NOBODY], "purpose": "training"},
    "POST /v1/statutory-overrides": WORDS | {"code": "no-such-statute", "communication_id": NOBODY},
    "POST /v1/statutory-overrides/{override_id}/end": WORDS,
    "POST /v1/destruction/suspend": WORDS,
    "POST /v1/destruction/extend": WORDS | {"until": "2030-01-01T00:00:00Z"},
    "PUT /v1/accounts/{account_id}/roles": {"roles": []},
    "POST /v1/break-glass": WORDS | {"account": NOBODY, "role": {"role": "verifier"}, "hours": 1},
    "POST /v1/disclosures": WORDS | {"reference": "POL-7", "statute": "an Act", "customer_id": NOBODY},
    "POST /v1/communications/{communication_id}/view": {"reference": "REQ-1"},
    "POST /v1/approvals/{proposal_id}/decide": {"decision": "refuse"},
    "POST /v1/session/factor": {"code": "000000"},
    "POST /v1/account/tokens": {"label": "x"},
    "POST /v1/access-review/confirm": {"week": "2026-W01", "digest": "00"},
}
EVERYWHERE = frozenset(
    f"{team} {state}"
    for team in ("north", "south")
    for state in ("stored", "held", "released", "restricted", "destroying")
)
ON_THE_DESK = frozenset({"north stored", "north released", "north destroying", "south stored"})
"""Calls tried on the desk, which asks what the API asks, where every one is tried, and takes longer to render it."""
PLACES = {
    "hold_id": NOBODY,
    "ending_id": NOBODY,
    "override_id": NOBODY,
    "proposal_id": NOBODY,
    "account_id": NOBODY,
    "authorisation_id": NOBODY,
    "communication_id": NOBODY,
    "session_id": NOBODY,
    "passkey_id": NOBODY,
    "secret": "no-such-playback",
    "language": "fi",
    "stage": "complete",
    "decision": "approve",
    "name": "style.css",
}


def ask(
    house: House, door: str, secret: str | None, *, call: str = NOBODY, purpose: Purpose | None = None
) -> httpx.Response:
    method, _, path = door.partition(" ")
    headers = {} if secret is None else {"Authorization": f"Bearer {secret}", "Sec-Fetch-Site": "same-origin"}
    query = {} if purpose is None or method != "GET" else {"purpose": purpose.value}
    address = path.format(**PLACES | {"communication_id": call})
    if method in ("GET", "HEAD", "DELETE"):
        return house.client.request(method, address, headers=headers, params=query)
    more = {} if purpose is None else {"purpose": purpose.value}
    if door in DESK:
        references = {"case_ref": "REQ-1", "reference": "REQ-1"}
        fields = {"reason": "claim", "review_on": "2031-01-01", "text": NOBODY, **references, **more}
        return house.client.request(method, address, headers=headers, data=fields)
    body = dict(BODIES.get(door, {}))
    if "search" in door or door.endswith(("/open", "/view")):
        body |= more
    return house.client.request(method, address, headers=headers, json=body)


def routes(found: Iterable[Any]) -> Iterator[str]:
    for route in found:
        if hasattr(route, "original_router"):
            yield from routes(route.original_router.routes)
        else:
            yield from (f"{method} {route.path}" for method in route.methods)


# --- the doors


def test_every_door_is_declared_and_every_declared_one_is_there(house: House) -> None:
    built = set(routes(create_app(house.world.archive).routes)) - {"HEAD /openapi.json"}
    assert built - set(DOORS) == set(), "say in recvault.interfaces.doors who comes through"
    assert set(DOORS) - built == set(), "no such door"


def test_the_table_is_asked_at_the_doors_alone_that_name_it() -> None:
    named = {door.act for door in DOORS.values() if door.act is not None}
    elsewhere = {Action.INGEST, Action.SWEEP_RESUME, Action.POLICY_SIGN, Action.KEY_REKEY}
    assert set(Action) - named == elsewhere, (
        "an act that no door asks for: commands on the machine, or the source's token"
    )


def test_without_a_credential_only_open_doors_open(house: House) -> None:
    for name, door in DOORS.items():
        answer = ask(house, name, None)
        turned_away = answer.status_code == 401 or answer.headers.get("location", "").startswith("/sign-in")
        if door.who in (Who.ANYBODY, Who.NEAR):
            assert not turned_away or "session" in name or "sign-in" in name, name
        else:
            assert turned_away, (name, answer.status_code)


def test_a_persons_credential_is_no_sources_and_a_sources_no_persons(house: House) -> None:
    for name, door in DOORS.items():
        if door.who is Who.SOURCE:
            assert ask(house, name, house.everywhere[Role.ADMINISTRATOR]).status_code == 401, name
        elif door.who in (Who.PERSON, Who.ROLE):
            answer = ask(house, name, house.world.token)
            assert answer.status_code == 401 or answer.headers["location"].startswith("/sign-in"), name


def for_roles() -> list[tuple[str, Door]]:
    return [(name, door) for name, door in DOORS.items() if door.who is Who.ROLE and not door.each]


@pytest.mark.parametrize("role", PEOPLE)
def test_every_door_of_an_act_and_every_role(house: House, role: Role) -> None:
    actor = Actor(id="somebody", grants=(Grant(role=role),))
    wrong = []
    for name, door in for_roles():
        assert door.act is not None
        for purpose in PURPOSES if door.act is Action.SEARCH else (None,):
            allowed = decide(actor, door.act, Subject(), purpose, house.world.clock.now()).allowed
            status = ask(house, name, house.everywhere[role], purpose=purpose).status_code
            if not fits(name, status, allowed=allowed):
                wrong.append((name, purpose, status, allowed))
    assert wrong == []


@pytest.mark.parametrize("role", PEOPLE)
def test_every_door_of_a_communication_every_role_team_and_state(house: House, role: Role) -> None:
    actor, wrong = house.actor(role), []
    for name, door in ((name, door) for name, door in DOORS.items() if door.each):
        assert door.act is not None
        for which, call in house.calls.items():
            if which not in tried(name, door.act, role):
                continue
            for purpose in purposes(name, door.act, role):
                row = house.row(call)
                subject = Subject(
                    communication=row,
                    restricted=which.endswith("restricted"),
                    released_to_actor=house.released(call, actor),
                )
                asked = Purpose.TRAINING if door.act is Action.RELEASE else purpose
                allowed = decide(actor, door.act, subject, asked, house.world.clock.now()).allowed
                answer = ask(house, name, house.secrets[role], call=call, purpose=purpose)
                gone = row.state is State.DESTROYING
                if not fits(name, answer.status_code, allowed=allowed, gone=gone):
                    wrong.append((name, which, purpose, answer.status_code, allowed))
    assert wrong == []


def purposes(name: str, act: Action, role: Role) -> tuple[Purpose | None, ...]:
    """Those that the role may give, and one that it may not; on the desk those that it offers."""
    if act is Action.DO_NOT_KEEP:
        return (None,)
    if role not in TABLE[act]:
        return PURPOSES[:1]
    offered = tuple(one for one in PURPOSES if one in TABLE[act][role].purposes)
    others = tuple(one for one in PURPOSES if one not in offered)
    return offered if name in DESK else offered + others[:1]


def tried(name: str, act: Action, role: Role) -> frozenset[str]:
    """The calls that could make a difference: none does to a role that the table does not name for the act."""
    if role not in TABLE[act]:
        return frozenset({"north stored", "south stored"})
    return ON_THE_DESK if name in DESK else EVERYWHERE


def fits(name: str, status: int, *, allowed: bool, gone: bool = False) -> bool:
    """Whether a status says what the table says. What is gone may be told as gone; a page offers only purposes that the
    person's roles have, and takes no other (422)."""
    if allowed:
        return status in THROUGH
    refused = {403} | ({404, 409, 410, 303} if gone else set()) | ({422} if name in DESK else set())
    return status in refused


def test_the_states_are_those_there_are(house: House) -> None:
    assert {house.row(call).state for call in house.calls.values()} == set(State)
    with house.world.archive.database.read() as unit:
        kept = unit.holds.covering(list(house.calls.values()))
    frozen = {call for which, call in house.calls.items() if which.endswith(("held", "restricted"))}
    assert {call for call, holds in kept.items() if holds} == frozen


@pytest.mark.parametrize("role", PEOPLE)
def test_what_is_every_persons_is_every_persons(house: House, role: Role) -> None:
    for name, door in DOORS.items():
        if door.who is Who.PERSON and "session" not in name and "sign-out" not in name and "withdraw" not in name:
            assert ask(house, name, house.everywhere[role]).status_code in THROUGH, name


def test_a_problem_document_names_the_reason_of_a_refusal(house: House) -> None:
    name = "POST /v1/communications/{communication_id}/open"
    secrets = house.secrets
    reasons = {
        secrets[Role.AUDITOR]: "no-role",
        secrets[Role.TRAINER]: "purpose-not-for-role",
        secrets[Role.AGENT]: "not-own",
        secrets[Role.VERIFIER]: "out-of-scope",
    }
    for secret, reason in reasons.items():
        answer = ask(house, name, secret, call=house.calls["south stored"], purpose=Purpose.VERIFICATION)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["reason"]) == (403, reason)
    answer = ask(house, "GET /v1/accounts", secrets[Role.VERIFIER])
    assert (answer.status_code, answer.json()["reason"]) == (403, "no-role")
