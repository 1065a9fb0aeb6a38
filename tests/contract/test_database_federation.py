"""People of issuers, sign-ins under way, and break-glass accounts in the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from recvault.adapters.database import SqlDatabase
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import federated_sign_ins
from recvault.adapters.database.waiting import make_room
from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.errors import Conflict, NotFound
from recvault.domain.federation import BreakGlass, FederatedSession, Identity, Logout, Pending
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW

ISSUER = "oidc:company"
SECOND = timedelta(seconds=1)
PENDING = Pending(
    state_hash=b"s" * 32,
    issuer="company",
    browser_hash=b"b" * 32,
    onward="/",
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
)
IDENTITY = Identity(key=b"k" * 32, issuer="company", user_id="user-1", linked_at=NOW, linked_by="system:test")
CAME = FederatedSession(session_id="session-1", issuer="company", key=b"k" * 32, sid=b"1" * 32, created_at=NOW)
TEAMS = Scope(kind=ScopeKind.TEAMS, values=frozenset({"north", "south"}))


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def take(database: SqlDatabase, **changes: object) -> Pending | None:
    values: dict[str, object] = {"issuer": "company", "browser_hash": b"b" * 32, "now": NOW} | changes
    with database.begin() as unit:
        found = unit.federation.take(b"s" * 32, **values)  # type: ignore[arg-type]
        unit.commit()
    return found


def test_a_sign_in_under_way_is_taken_once_by_its_browser_and_in_time(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.federation.begin(PENDING)
        unit.commit()
    assert take(database, issuer="partners") is None
    assert take(database, browser_hash=b"x" * 32) is None
    assert take(database, now=NOW + timedelta(minutes=10)) is None
    assert take(database) == PENDING
    assert take(database) is None


def test_of_two_who_come_at_once_one_gets_it(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.federation.begin(PENDING)
        unit.commit()
    found: list[Pending | None] = []
    threads = [threading.Thread(target=lambda: found.append(take(database))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found, key=str) == sorted([PENDING, None, None, None], key=str)


def test_a_new_sign_in_clears_those_that_are_over(database: SqlDatabase) -> None:
    later = replace(PENDING, state_hash=b"t" * 32, created_at=NOW + DAY, expires_at=NOW + 2 * DAY)
    with database.begin() as unit:
        unit.federation.begin(PENDING)
        unit.federation.begin(later)
        unit.commit()
    assert take(database) is None


def test_a_person_is_linked_to_one_account_and_an_account_to_one_person_of_an_issuer(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.federation.link(IDENTITY)
        unit.federation.used(IDENTITY.key, NOW + DAY)
        unit.commit()
    for other in (replace(IDENTITY, user_id="user-2"), replace(IDENTITY, key=b"o" * 32)):
        with database.begin() as unit, pytest.raises(Conflict):
            unit.federation.link(other)
    with database.begin() as unit:
        used = replace(IDENTITY, last_used_at=NOW + DAY)
        assert unit.federation.identity(IDENTITY.key) == used
        assert unit.federation.identities() == unit.federation.identities("user-1") == [used]
        assert unit.federation.identities("user-2") == []
        assert unit.federation.unlink("user-1", "company") and not unit.federation.unlink("user-1", "company")
        assert unit.federation.identity(IDENTITY.key) is None
        with pytest.raises(NotFound):
            unit.federation.lock_user("nobody")


def test_roles_of_each_origin_are_replaced_apart(database: SqlDatabase) -> None:
    here = Grant(role=Role.VERIFIER, valid_until=NOW + DAY)
    theirs = Grant(role=Role.TRAINER, scope=TEAMS, origin=ISSUER)
    with database.begin() as unit:
        unit.accounts.put_user(replace(unit.accounts.user("user-1"), grants=(here,)))
        unit.federation.replace_grants("user-1", ISSUER, (replace(theirs, origin=None),))
        assert set(unit.federation.lock_user("user-1").grants) == {here, theirs}
        unit.accounts.put_user(replace(unit.accounts.user("user-1"), grants=(Grant(role=Role.AUDITOR),)))
        assert set(unit.accounts.user("user-1").grants) == {Grant(role=Role.AUDITOR), theirs}
        unit.federation.replace_grants("user-1", "oidc:partners", (here,))
        unit.federation.replace_grants("user-1", ISSUER, ())
        found = {Grant(role=Role.AUDITOR), replace(here, origin="oidc:partners")}
        assert set(unit.accounts.user("user-1").grants) == found
        unit.accounts.put_user(replace(unit.accounts.user("user-1"), grants=()))
        assert {one.origin for one in unit.accounts.user("user-1").grants} == {"oidc:partners"}
        unit.accounts.put_user(replace(unit.accounts.user("user-1"), grants=(), disabled_at=NOW))
        assert unit.accounts.user("user-1").grants == ()


def test_sessions_are_found_by_what_the_issuer_says_of_them(database: SqlDatabase) -> None:
    other = replace(CAME, session_id="session-2", sid=b"2" * 32)
    stranger = replace(CAME, session_id="session-3", key=b"x" * 32, sid=None)
    with database.begin() as unit:
        for one in (CAME, other, stranger):
            unit.federation.came_from(one, forget_before=NOW - DAY)

        def ended(key: bytes | None, sid: bytes | None, issuer: str = "company") -> list[str]:
            return sorted(unit.federation.sessions_of(Logout(key=key, sid=sid), issuer))

        assert ended(CAME.key, None) == ["session-1", "session-2"]
        assert ended(None, CAME.sid) == ended(CAME.key, CAME.sid) == ["session-1"]
        assert ended(stranger.key, CAME.sid) == ended(CAME.key, None, "partners") == []
        assert unit.federation.origin_of("session-1") == CAME and unit.federation.origin_of("session-9") is None
        unit.federation.came_from(replace(CAME, session_id="session-4", created_at=NOW + DAY), forget_before=NOW + DAY)
        assert ended(CAME.key, None) == ["session-4"]


def test_break_glass_accounts_come_back_as_they_were(database: SqlDatabase) -> None:
    account = BreakGlass(user_id="user-1", marked_at=NOW, marked_by="system:test")
    with database.begin() as unit:
        assert unit.federation.break_glass("user-1") is None
        unit.federation.mark_break_glass(account)
        unit.federation.mark_break_glass(replace(account, last_used_at=NOW + DAY))
        assert unit.federation.break_glass_accounts() == [replace(account, last_used_at=NOW + DAY)]
        assert unit.federation.unmark_break_glass("user-1") and not unit.federation.unmark_break_glass("user-1")
        with pytest.raises(Conflict):
            unit.federation.mark_break_glass(replace(account, user_id="nobody"))


def test_a_logout_token_is_taken_once_and_forgotten_when_it_is_too_old(database: SqlDatabase) -> None:
    def taken(token: bytes, *, now: datetime = NOW) -> bool:
        with database.begin() as unit:
            first = unit.federation.remember_logout(token, until=now + timedelta(minutes=12), now=now)
            unit.commit()
        return first

    assert taken(b"one") and taken(b"two") and not taken(b"one")
    assert not taken(b"one", now=NOW + timedelta(minutes=11))
    assert taken(b"one", now=NOW + timedelta(minutes=12))


def test_too_many_sign_ins_under_way_displace_the_oldest_of_the_most_crowded_network(database: SqlDatabase) -> None:
    asked = federated_sign_ins.c
    last = PENDING.expires_at

    def begun(number: int, network: bytes, *, in_all: int = 100) -> list[int]:
        one = replace(PENDING, state_hash=number.to_bytes(32), network=network, expires_at=last + number * SECOND)
        with sessions(database) as session:
            make_room(
                session, federated_sign_ins, key=asked.state_hash, network=asked.network, until=asked.expires_at,
                asking=network, per_network=3, in_all=in_all,
            )  # fmt: skip
            session.insert(federated_sign_ins, asdict(one))
            return sorted(int.from_bytes(found) for found in session.column(select(asked.state_hash)))

    begun(1, b"person")
    for number in range(2, 7):
        begun(number, b"stranger")
    assert begun(7, b"stranger") == [1, 5, 6, 7], "a network displaces its own"
    assert begun(8, b"another", in_all=4) == [1, 6, 7, 8], "the most crowded network gives way"


@contextmanager
def sessions(database: SqlDatabase) -> Iterator[Session]:
    with database.begin() as unit:
        yield unit._session
        unit.commit()
