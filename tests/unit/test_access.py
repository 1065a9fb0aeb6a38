"""Who may do what: every role, act, purpose and state against what DESIGN's table of roles says, written down again by hand.

``EXPECTED`` is on purpose not derived from ``domain.access.TABLE``: a slip in the table shows here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recvault.domain.access import (
    Action,
    Actor,
    Decision,
    Grant,
    Role,
    Scope,
    ScopeKind,
    Subject,
    decide,
    sees_customer_masked,
    visible_sets,
)
from recvault.domain.communication import (
    Channel,
    Communication,
    Direction,
    PurposeRecord,
    State,
    VisibleSet,
)
from recvault.domain.purpose import Purpose

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ANY_PURPOSE: tuple[Purpose | None, ...] = (None, *Purpose)
V, T, R, A = Purpose.VERIFICATION, Purpose.TRAINING, Purpose.REQUEST, Purpose.AUTHORITY

OPENERS = {
    Role.AGENT: {V},
    Role.VERIFIER: {V},
    Role.TRAINER: {T},
    Role.TRAINEE: {T},
    Role.TEAM_LEAD: {V, T},
    Role.PRIVACY_HANDLER: {R, A},
}
"""Who opens content, and for which purposes. Agents: own calls. Trainees: what was released to them."""

NO_PURPOSE: set[Purpose | None] = set(ANY_PURPOSE)
"""The act asks none, so naming one changes nothing."""

EXPECTED: dict[Action, dict[Role, set[Purpose] | set[Purpose | None]]] = {
    Action.INGEST: {Role.SOURCE: NO_PURPOSE},
    Action.SEARCH: {role: whys for role, whys in OPENERS.items() if role not in (Role.AGENT, Role.TRAINEE)},
    Action.VIEW: dict(OPENERS),
    Action.OPEN: dict(OPENERS),
    Action.DO_NOT_KEEP: dict.fromkeys([Role.AGENT, Role.TEAM_LEAD, Role.PRIVACY_HANDLER], NO_PURPOSE),
    Action.RELEASE: {Role.TRAINER: {T}},
    Action.HOLD_PLACE: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.HOLD_RELEASE: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.HOLD_LIST: dict.fromkeys([Role.PRIVACY_HANDLER, Role.AUDITOR, Role.APPROVER], NO_PURPOSE),
    Action.RETENTION_EVENT: {Role.PRIVACY_HANDLER: NO_PURPOSE, Role.ADMINISTRATOR: NO_PURPOSE},
    Action.RETENTION_READ: {
        Role.PRIVACY_HANDLER: NO_PURPOSE,
        Role.APPROVER: NO_PURPOSE,
        Role.AUDITOR: NO_PURPOSE,
    },
    Action.PURPOSE_END: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.STATUTORY_OVERRIDE: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.DESTRUCTION_SUSPEND: dict.fromkeys([Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE),
    Action.DESTRUCTION_CONFIRM: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.SWEEP_RESUME: dict.fromkeys([Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE),
    Action.APPROVAL_DECIDE: {Role.APPROVER: NO_PURPOSE},
    Action.APPROVAL_LIST: dict.fromkeys(
        [Role.PRIVACY_HANDLER, Role.APPROVER, Role.AUDITOR, Role.ADMINISTRATOR], NO_PURPOSE
    ),
    Action.REGISTER_READ: dict.fromkeys(
        [Role.VERIFIER, Role.TEAM_LEAD, Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE
    ),
    Action.REGISTER_WRITE: dict.fromkeys([Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE),
    Action.DIRECTORY_READ: dict.fromkeys(
        [Role.VERIFIER, Role.TRAINER, Role.TEAM_LEAD, Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE
    ),
    Action.CERTIFICATE_READ: dict.fromkeys([Role.PRIVACY_HANDLER, Role.AUDITOR, Role.APPROVER], NO_PURPOSE),
    Action.AUDIT_READ: {Role.AUDITOR: NO_PURPOSE},
    Action.ACCOUNT_MANAGE: {Role.ADMINISTRATOR: NO_PURPOSE},
    Action.POLICY_SIGN: {Role.PRIVACY_HANDLER: NO_PURPOSE},
    Action.KEY_REKEY: {Role.ADMINISTRATOR: NO_PURPOSE},
    Action.ROLE_GRANT: {Role.ADMINISTRATOR: NO_PURPOSE},
    Action.BREAK_GLASS: dict.fromkeys([Role.PRIVACY_HANDLER, Role.ADMINISTRATOR], NO_PURPOSE),
    Action.ACCESS_REVIEW: dict.fromkeys([Role.TEAM_LEAD, Role.AUDITOR], NO_PURPOSE),
    Action.ACCESS_CONFIRM: {Role.TEAM_LEAD: NO_PURPOSE},
    Action.DISCLOSE: {Role.PRIVACY_HANDLER: NO_PURPOSE},
}

ON_ONE = {Action.VIEW, Action.OPEN, Action.DO_NOT_KEEP, Action.RELEASE}
"""Acts on one communication."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is true of a communication and of the actor's relation to it."""

    state: State
    live: frozenset[Purpose]
    own: bool
    released: bool
    in_scope: bool
    restricted: bool

    def subject(self) -> Subject:
        return Subject(
            communication=communication(
                state=self.state,
                live=self.live,
                agent="agent-1" if self.own else "agent-2",
                team="north" if self.in_scope else "south",
            ),
            restricted=self.restricted,
            released_to_actor=self.released,
        )


def cases() -> Iterator[Case]:
    lives = [frozenset(some) for some in ((), (V,), (T,), (V, T))]
    flags = (True, False)
    for state, live in itertools.product(State, lives):
        for own, released, in_scope, restricted in itertools.product(flags, flags, flags, flags):
            yield Case(state=state, live=live, own=own, released=released, in_scope=in_scope, restricted=restricted)


def communication(
    *,
    state: State = State.STORED,
    live: frozenset[Purpose] = frozenset({V, T}),
    agent: str = "agent-1",
    team: str = "north",
) -> Communication:
    ends = {V: DAY if V in live else -DAY, T: DAY if T in live else -DAY}
    return Communication(
        id="0193a4d8-7c00-7000-8000-000000000001",
        source_id="source",
        source_ref_hash=None,
        conflict_of=None,
        channel=Channel.CALL,
        direction=Direction.INBOUND,
        started_at=NOW - 30 * DAY,
        ended_at=None,
        stored_at=NOW - 30 * DAY,
        customer_id=None,
        customer_kind=None,
        contact_point_id=None,
        agent_id=agent,
        team=team,
        queue=f"queue-of-{team}",
        case_ref=None,
        tags=frozenset(),
        answered=None,
        media_type="audio/wav",
        notice_ref="2026-01",
        balancing_ref="2026-01",
        length=1,
        policy_version="1",
        destroy_at=NOW + DAY,
        purposes=tuple(
            PurposeRecord(purpose=purpose, needed_until=NOW + end, rule="r", cap_until=NOW + DAY)
            for purpose, end in ends.items()
        ),
        attention=frozenset(),
        state=state,
        key_id="day/2026-11-23/1",
        wrapped_key=b"k",
        sealed_fields=b"f",
        sealed_manifest=b"m",
        streams=(),
        place_declared="FI",
        place_observed="folder",
    )


CASES = [(case, case.subject()) for case in cases()]


def expected(role: Role, action: Action, purpose: Purpose | None, case: Case) -> bool:
    """DESIGN in words: the role grants the act for the purpose; then state, scope, own, released, restriction, live."""
    if purpose not in EXPECTED[action].get(role, set()):
        return False
    if action not in ON_ONE:
        return True
    if case.state is State.DESTROYING or not case.in_scope:
        return False
    if (role is Role.AGENT and not case.own) or (role is Role.TRAINEE and not case.released):
        return False
    if case.restricted and action in (Action.OPEN, Action.RELEASE):
        return False
    return purpose not in (V, T) or purpose in case.live


def person(*grants: Grant) -> Actor:
    return Actor(id="somebody", grants=grants, agent_id="agent-1")


def north(role: Role) -> Grant:
    return Grant(role=role, scope=Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"})))


def test_every_act_is_expected_of_somebody() -> None:
    assert set(EXPECTED) == set(Action)


@pytest.mark.parametrize("role", Role)
def test_every_act_purpose_and_state(role: Role) -> None:
    actor = person(north(role))
    wrong = [
        (action.name, purpose, case)
        for action in Action
        for purpose in ANY_PURPOSE
        for case, subject in CASES
        if decide(actor, action, subject, purpose, NOW).allowed is not expected(role, action, purpose, case)
    ]
    assert wrong == []


@pytest.mark.parametrize("role", Role)
def test_what_reaches_a_communication_needs_one(role: Role) -> None:
    for action, purpose in itertools.product(ON_ONE, ANY_PURPOSE):
        assert not decide(person(Grant(role=role)), action, Subject(), purpose, NOW).allowed


def test_nobody_without_a_role_does_anything() -> None:
    for action, purpose, (_, subject) in itertools.product(Action, ANY_PURPOSE, CASES):
        assert decide(person(), action, subject, purpose, NOW) == Decision(allowed=False, reason="no-role")


def test_an_agent_without_an_entry_in_the_directory_owns_nothing() -> None:
    unlinked = Actor(id="somebody", grants=(Grant(role=Role.AGENT),))
    assert not decide(unlinked, Action.OPEN, CASES[0][1], V, NOW).allowed
    nobodys = Subject(communication=communication(agent="agent-1"))
    assert decide(person(Grant(role=Role.AGENT)), Action.OPEN, nobodys, V, NOW).allowed


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (Scope(), True),
        (Scope(kind=ScopeKind.TEAMS, values=frozenset({"north", "east"})), True),
        (Scope(kind=ScopeKind.TEAMS, values=frozenset({"queue-of-north"})), False),
        (Scope(kind=ScopeKind.QUEUES, values=frozenset({"queue-of-north"})), True),
        (Scope(kind=ScopeKind.QUEUES, values=frozenset({"north"})), False),
    ],
)
def test_scopes(scope: Scope, inside: bool) -> None:
    verifier = person(Grant(role=Role.VERIFIER, scope=scope))
    subject = Subject(communication=communication())
    assert decide(verifier, Action.OPEN, subject, V, NOW).allowed is inside


def test_two_roles_do_not_lend_each_other_scope_or_purpose() -> None:
    actor = person(north(Role.VERIFIER), Grant(role=Role.TRAINER))
    elsewhere = Subject(communication=communication(team="south"))
    assert decide(actor, Action.OPEN, elsewhere, T, NOW) == Decision(allowed=True, reason="granted", by=Role.TRAINER)
    assert decide(actor, Action.OPEN, elsewhere, V, NOW).reason == "out-of-scope"


# --- searching


def test_what_a_search_shows() -> None:
    teams = frozenset({"north"})
    for role in Role:
        for purpose in ANY_PURPOSE:
            wanted = EXPECTED[Action.SEARCH].get(role, set())
            asked = [one for one in (V, T, R, A) if one in wanted and purpose in (None, one)]
            shown = {VisibleSet(purpose=one.value if one in (V, T) else None, teams=teams) for one in asked}
            assert set(visible_sets(person(north(role)), purpose, NOW)) == shown, (role, purpose)


def test_whom_customers_are_hidden_from() -> None:
    for role in Role:
        trains_only = role in (Role.TRAINER, Role.TRAINEE)
        assert sees_customer_masked(person(north(role)), None, NOW) is trains_only
        assert sees_customer_masked(person(north(role)), T, NOW)
    assert not sees_customer_masked(person(north(Role.TRAINER), north(Role.VERIFIER)), V, NOW)


# --- dates, and adding up


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "counts"),
    [
        (None, None, True),
        (NOW, None, True),
        (NOW + timedelta(microseconds=1), None, False),
        (None, NOW, False),
        (None, NOW + timedelta(microseconds=1), True),
        (NOW - DAY, NOW + DAY, True),
        (NOW - 2 * DAY, NOW - DAY, False),
    ],
)
def test_a_grant_counts_from_its_first_moment_until_before_its_last(
    valid_from: datetime | None, valid_until: datetime | None, counts: bool
) -> None:
    actor = person(Grant(role=Role.VERIFIER, valid_from=valid_from, valid_until=valid_until))
    assert decide(actor, Action.OPEN, Subject(communication=communication()), V, NOW).allowed is counts
    assert bool(visible_sets(actor, V, NOW)) is counts
    assert bool(actor.roles(NOW)) is counts


MOMENTS = st.none() | st.sampled_from([NOW - 2 * DAY, NOW - DAY, NOW, NOW + DAY])
SCOPES = st.sampled_from(
    [
        Scope(),
        Scope(kind=ScopeKind.TEAMS, values=frozenset({"north"})),
        Scope(kind=ScopeKind.TEAMS, values=frozenset({"south"})),
        Scope(kind=ScopeKind.QUEUES, values=frozenset({"queue-of-north"})),
    ]
)
GRANTS = st.builds(Grant, role=st.sampled_from(Role), scope=SCOPES, valid_from=MOMENTS, valid_until=MOMENTS)
SOME = st.lists(GRANTS, max_size=4)
SUBJECTS = st.sampled_from([Subject(), *(subject for _, subject in CASES)])
PURPOSES = st.sampled_from(ANY_PURPOSE)


@given(SOME, GRANTS, st.sampled_from(Action), SUBJECTS, PURPOSES)
def test_one_more_grant_never_takes_a_right_away(
    held: list[Grant], more: Grant, action: Action, subject: Subject, purpose: Purpose | None
) -> None:
    before = decide(person(*held), action, subject, purpose, NOW)
    for grants in ([*held, more], [more, *held]):
        assert decide(person(*grants), action, subject, purpose, NOW).allowed >= before.allowed
    assert set(visible_sets(person(*held), purpose, NOW)) <= set(visible_sets(person(*held, more), purpose, NOW))


@given(SOME, st.sampled_from(Action), SUBJECTS, PURPOSES)
def test_rights_are_those_of_the_single_grants_together(
    held: list[Grant], action: Action, subject: Subject, purpose: Purpose | None
) -> None:
    alone = [decide(person(grant), action, subject, purpose, NOW).allowed for grant in held]
    assert decide(person(*held), action, subject, purpose, NOW).allowed is any(alone)


@given(SOME, st.sampled_from(Action), SUBJECTS, PURPOSES, st.booleans())
def test_grants_that_are_over_or_to_come_give_nothing(
    held: list[Grant], action: Action, subject: Subject, purpose: Purpose | None, over: bool
) -> None:
    window = (None, NOW) if over else (NOW + timedelta(microseconds=1), None)
    dated = [Grant(role=g.role, scope=g.scope, valid_from=window[0], valid_until=window[1]) for g in held]
    assert not decide(person(*dated), action, subject, purpose, NOW).allowed
    assert visible_sets(person(*dated), purpose, NOW) == ()
