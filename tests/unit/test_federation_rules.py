"""What an issuer's word is worth here: who is admitted, with which roles, and whether a second factor is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recvault.domain.access import Role, Scope, ScopeKind
from recvault.domain.errors import InvalidInput
from recvault.domain.federation import (
    Claims,
    FederationRefused,
    GroupGrant,
    IssuerRules,
    Reason,
    fingerprint,
    grants_of,
    has_second_factor,
    identity_key,
    key_of,
    require_admitted,
)

UNTIL = datetime(2026, 11, 22, 22, tzinfo=UTC)
TEAMS = {"g-north": "north", "g-south": "south"}


def rules(**changes: Any) -> IssuerRules:
    return IssuerRules(**{"name": "company", "issuer": "https://i.example", "label": "C", "teams": TEAMS} | changes)


def claims(*groups: str, **changes: Any) -> Claims:
    return Claims(**{"issuer": "https://i.example", "subject": "s", "groups": frozenset(groups)} | changes)


def given(*grants: GroupGrant, groups: tuple[str, ...]) -> list[tuple[Role, Scope]]:
    found = grants_of(rules(grants=grants), claims(*groups), until=UNTIL)
    assert all(one.origin == "oidc:company" and one.valid_until == UNTIL for one in found)
    return [(one.role, one.scope) for one in found]


def test_a_group_gives_its_role_and_no_other_does() -> None:
    grants = GroupGrant(group="qa", role=Role.TRAINER), GroupGrant(group="desk", role=Role.VERIFIER)
    assert given(*grants, groups=("desk", "QA", "qa ")) == [(Role.VERIFIER, Scope())]
    assert given(*grants, groups=()) == []


def test_a_scope_of_teams_is_that_of_the_persons_own_groups() -> None:
    lead = GroupGrant(group="lead", role=Role.TEAM_LEAD, scope=ScopeKind.TEAMS)
    scope = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north", "south"}))
    assert given(lead, groups=("lead", "g-north", "g-south")) == [(Role.TEAM_LEAD, scope)]
    assert given(lead, groups=("lead",)) == []  # of no team: no role, rather than one for everything
    assert given(lead, groups=("g-north",)) == []


def test_named_values_are_kept_and_double_grants_are_one() -> None:
    queues = GroupGrant(group="a", role=Role.VERIFIER, scope=ScopeKind.QUEUES, values=frozenset({"x"}))
    again = GroupGrant(group="b", role=Role.VERIFIER, scope=ScopeKind.QUEUES, values=frozenset({"x"}))
    assert given(queues, again, groups=("a", "b")) == [
        (Role.VERIFIER, Scope(kind=ScopeKind.QUEUES, values=frozenset({"x"})))
    ]


@pytest.mark.parametrize(
    ("rule", "person", "admitted"),
    [
        ({}, claims(), True),
        ({"required_group": "staff"}, claims("staff"), True),
        ({"required_group": "staff"}, claims("Staff"), False),
        ({"email_domains": frozenset({"company.example"})}, claims(email="m@COMPANY.example"), True),
        ({"email_domains": frozenset({"company.example"})}, claims(email="m@company.example.evil.example"), False),
        ({"email_domains": frozenset({"company.example"})}, claims(email="m@evil.example@company.example"), True),
        ({"email_domains": frozenset({"company.example"})}, claims(email="company.example"), False),
        ({"email_domains": frozenset({"company.example"})}, claims(), False),
    ],
)
def test_who_may_come_in(rule: dict[str, Any], person: Claims, admitted: bool) -> None:
    if admitted:
        require_admitted(rules(**rule), person)
        return
    with pytest.raises(FederationRefused) as caught:
        require_admitted(rules(**rule), person)
    assert caught.value.why is Reason.NOT_ADMITTED


def test_a_second_factor_is_believed_only_in_the_words_agreed_on() -> None:
    several = claims(amr=frozenset({"pwd", "mfa"}), acr="phr")
    assert not has_second_factor(rules(), several)
    assert has_second_factor(rules(second_factor_amr=frozenset({"mfa"})), several)
    assert has_second_factor(rules(second_factor_acr=frozenset({"phr"})), several)
    assert not has_second_factor(rules(second_factor_amr=frozenset({"hwk"})), several)
    assert not has_second_factor(rules(second_factor_acr=frozenset({"phr"})), claims())


def test_a_person_is_issuer_and_subject() -> None:
    keys = {identity_key(*pair) for pair in (("a", "bc"), ("ab", "c"), ("a", 'b","c'), ("A", "bc"))}
    assert len(keys) == 4
    key = identity_key("https://i.example", "matti")
    assert key_of(fingerprint(key)) == key_of(f" {key.hex()} ") == key
    for text in ("", "zz", key.hex()[:-2], key.hex() + "00"):
        with pytest.raises(InvalidInput, match="64 digits"):
            key_of(text)
