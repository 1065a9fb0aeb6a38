"""Sessions and API tokens: who stands behind a secret, since when, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from recvault.domain.access import Grant, Role
from recvault.domain.audit import Act
from recvault.domain.errors import (
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    SecondFactorRequired,
    StepUpRequired,
)
from recvault.domain.sessions import Kind, Method
from recvault.services.sessions import SessionLimits, Sessions, SignedIn
from tests.support.archives import World, make_world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Made:
    """People of a fresh archive, and a service that asks for second factors."""

    def __init__(self) -> None:
        self.world: World = make_world()
        self.archive = self.world.archive
        self.sessions = self.service()

    def service(self, *, second_factor: bool = True) -> Sessions:
        return Sessions(
            database=self.archive.database,
            audit=self.archive.audit,
            clock=self.archive.clock,
            entropy=self.archive.entropy,
            limits=SessionLimits(),
            second_factor=second_factor,
        )

    def signed_in(self, name: str, *methods: Method) -> str:
        with self.archive.database.begin() as unit:
            user = unit.accounts.user_by_name(name)
            assert user is not None
            now = self.archive.clock.now()
            secret = self.sessions.open(
                unit, user, methods=methods or (Method.PASSWORD, Method.TOTP), label="Firefox, Linux", now=now
            )
            unit.commit()
        return secret

    def whose(self, secret: str) -> SignedIn:
        return self.sessions.whose(secret)

    def over(self, *secrets: str) -> None:
        for secret in secrets:
            with pytest.raises(NotAuthenticated):
                self.whose(secret)

    def acts(self, target: str) -> list[Act]:
        with self.archive.database.read() as unit:
            return [entry.act for entry in unit.audit.about(target, 10)]


@pytest.fixture
def made() -> Made:
    return Made()


def test_a_session_ends_unused_and_after_its_longest_time(made: Made) -> None:
    unused, used = made.signed_in("verifier"), made.signed_in("verifier")
    for _ in range(20):
        made.world.later(minutes=29)
        made.whose(used)
    made.over(unused)
    made.world.later(minutes=20)  # ten hours since it began
    made.over(used)
    with pytest.raises(NotAuthenticated):
        made.sessions.add_method(used, Method.TOTP)


def test_signing_out_ends_it_at_once_and_twice_is_harmless(made: Made) -> None:
    secret, other = made.signed_in("verifier"), made.signed_in("verifier")
    made.sessions.end(secret)
    made.sessions.end(secret)
    made.sessions.end("rvw_nothing")
    made.over(secret)
    assert made.whose(other).user.name == "verifier"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SOURCE])
def test_a_password_alone_opens_nothing_for_who_needs_more(made: Made, role: Role) -> None:
    secret = made.signed_in(role.value, Method.PASSWORD)
    assert made.sessions.half_open(secret).user.name == role.value
    if role is Role.AUDITOR:
        assert made.whose(secret).user.name == role.value
    else:
        with pytest.raises(SecondFactorRequired):
            made.whose(secret)
        assert made.service(second_factor=False).whose(secret).user.name == role.value


def test_a_federated_session_is_complete_when_its_issuer_asked_for_more(made: Made) -> None:
    with pytest.raises(SecondFactorRequired):
        made.whose(made.signed_in("verifier", Method.FEDERATED))
    assert made.whose(made.signed_in("verifier", Method.FEDERATED, Method.FEDERATED_MFA)).session.has_second_factor


def test_a_role_gained_later_asks_for_the_factor_then(made: Made) -> None:
    secret = made.signed_in("auditor", Method.PASSWORD)
    with made.archive.database.begin() as unit:  # as a role that begins by its date
        user = unit.accounts.user(made.world.actor(Role.AUDITOR).id)
        begins = made.archive.clock.now() + MINUTE
        grants = (*user.grants, Grant(role=Role.VERIFIER, valid_from=begins))
        unit.accounts.put_user(replace(user, grants=grants))
        unit.commit()
    made.whose(secret)
    made.world.later(minutes=1)
    with pytest.raises(SecondFactorRequired):
        made.whose(secret)


def test_each_proof_changes_the_secret(made: Made) -> None:
    """Session fixation: whoever planted or saw the earlier secret has nothing."""
    planted = made.signed_in("verifier", Method.PASSWORD)
    before = made.sessions.half_open(planted).session
    raised = made.sessions.add_method(planted, Method.TOTP)
    made.over(planted)
    found = made.whose(raised).session
    assert found.id == before.id and found.expires_at == before.expires_at
    assert found.methods == {Method.PASSWORD, Method.TOTP}
    made.world.later(minutes=10)
    again = made.sessions.add_method(raised, Method.TOTP)
    made.over(planted, raised)
    assert made.whose(again).session.proved_at == made.archive.clock.now()
    with pytest.raises(NotAuthenticated):
        made.sessions.add_method(raised, Method.TOTP)


def test_a_proof_is_recent_for_five_minutes(made: Made) -> None:
    secret = made.signed_in("privacy_handler")
    made.world.later(minutes=4, seconds=59)
    made.sessions.require_proof(made.whose(secret).actor)
    made.world.later(seconds=1)
    for asked in (made.whose(secret).actor, made.whose(secret).session):
        with pytest.raises(StepUpRequired, match="5 minutes"):
            made.sessions.require_proof(asked)
    made.sessions.require_proof(made.whose(made.sessions.add_method(secret, Method.TOTP)).actor)


def test_without_a_session_there_is_no_proof_unless_factors_are_off(made: Made) -> None:
    actor = made.world.actor(Role.PRIVACY_HANDLER)
    token = made.sessions.issue_token("privacy_handler", by="test")
    for who in (actor, made.whose(token).actor):
        with pytest.raises(StepUpRequired):
            made.sessions.require_proof(who)
        made.service(second_factor=False).require_proof(who)
    with pytest.raises(NotAuthenticated, match="proves nothing"):
        made.sessions.add_method(token, Method.TOTP)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.archive.accounts.set_grants("verifier", (), by="test"),
        lambda made: made.sessions.end_for(made.world.actor(Role.VERIFIER).id, by="test"),
    ],
)
def test_all_sessions_end_with_a_change_of_roles_and_tokens_keep_what_is_left(
    made: Made, change: Callable[[Made], object]
) -> None:
    sessions = [made.signed_in("verifier") for _ in range(2)]
    token, other = made.sessions.issue_token("verifier", by="test"), made.signed_in("trainer")
    change(made)
    made.over(*sessions)
    left = made.archive.accounts.user_named("verifier").grants
    assert made.whose(token).actor.grants == left and made.whose(other).user.name == "trainer"


def test_a_closed_account_has_nothing_left(made: Made) -> None:
    session, token = made.signed_in("verifier"), made.sessions.issue_token("verifier", by="test")
    made.archive.accounts.disable("verifier", by="test")
    made.over(session, token)
    assert made.sessions.of_name("verifier") == []


def test_own_sessions_are_listed_and_ended_others_are_not(made: Made) -> None:
    first, second, foreign = made.signed_in("verifier"), made.signed_in("verifier"), made.signed_in("trainer")
    token = made.sessions.issue_token("verifier", by="test", label="case system")
    who, ended, revoked = made.whose(first), made.whose(second).session.id, made.whose(token).session.id
    assert {one.label for one in made.sessions.of(who.user.id)} == {"Firefox, Linux", "case system"}
    made.sessions.end_own(who, ended)
    made.sessions.end_own(who, revoked)
    made.over(second, token)
    for wrong in (made.whose(foreign).session.id, "none"):
        with pytest.raises(NotFound):
            made.sessions.end_own(who, wrong)
    assert [one.id for one in made.sessions.of(who.user.id)] == [who.session.id]
    assert made.acts(ended) == [Act.SESSION_ENDED] and made.acts(revoked) == [Act.TOKEN_REVOKED]


def test_the_operator_ends_tokens_as_well(made: Made) -> None:
    secrets = [made.signed_in("verifier"), made.sessions.issue_token("verifier", by="test")]
    person = made.world.actor(Role.VERIFIER).id
    assert made.sessions.end_for(person, by="test", tokens=True) == 2
    made.over(*secrets)
    assert made.sessions.end_for(person, by="test", tokens=True) == 0
    with pytest.raises(NotFound):
        made.sessions.end_for("nobody", by="test")


def test_an_own_token_is_made_in_a_proved_session_only(made: Made) -> None:
    half, secret = made.signed_in("verifier", Method.PASSWORD), made.signed_in("verifier")
    issued = made.sessions.issue_own_token(made.whose(secret), label="report", scopes=None, life=DAY)
    assert made.whose(issued.secret).session == issued.session and issued.session.kind is Kind.API
    for refused in (made.sessions.half_open(half), made.whose(issued.secret)):
        with pytest.raises(Forbidden):
            made.sessions.issue_own_token(refused, label="report", scopes=None, life=DAY)
    made.world.later(minutes=5)
    with pytest.raises(StepUpRequired):
        made.sessions.issue_own_token(made.whose(secret), label="report", scopes=None, life=DAY)
    made.world.later(days=1)
    made.over(issued.secret)


def test_a_token_has_the_roles_it_was_given_as_long_as_its_owner_has_them(made: Made) -> None:
    both = (Grant(role=Role.VERIFIER), Grant(role=Role.PRIVACY_HANDLER))
    made.archive.accounts.set_grants("verifier", both, by="test")
    token = made.sessions.issue_token("verifier", by="test", scopes=frozenset({Role.VERIFIER}))
    now = made.archive.clock.now()
    assert made.whose(token).actor.roles(now) == {Role.VERIFIER}
    made.archive.accounts.set_grants("verifier", both[1:], by="test")
    assert made.whose(token).actor.grants == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"life": timedelta(0)},
        {"life": 91 * DAY},
        {"label": ""},
        {"label": "x" * 61},
        {"label": "two\nlines"},
        {"scopes": frozenset()},
        {"scopes": frozenset({Role.VERIFIER, Role.APPROVER})},
    ],
)
def test_what_a_token_may_not_be(made: Made, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        made.sessions.issue_token("verifier", by="test", **{"label": "x", **wrong})  # type: ignore[arg-type]


def test_what_ended_a_month_ago_is_forgotten_at_the_next_sign_in(made: Made) -> None:
    made.signed_in("verifier")
    made.world.later(days=32)
    made.signed_in("verifier")
    with made.archive.database.read() as unit:
        assert len(unit.sessions.of_user(made.world.actor(Role.VERIFIER).id)) == 1
