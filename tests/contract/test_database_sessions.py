"""Sessions and API tokens in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import LargeBinary, TableClause, column, insert, select, table

from recvault.adapters.database import SqlDatabase
from recvault.adapters.database.migration import alembic_config
from recvault.adapters.database.types import TEXT, Moment
from recvault.domain.access import Role
from recvault.domain.errors import Conflict
from recvault.domain.sessions import Kind, Method
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, SESSION

LATER = NOW + timedelta(minutes=5)
TOKEN = replace(
    SESSION,
    id="token-1",
    hash=b"a" * 32,
    kind=Kind.API,
    label="case system",
    methods=frozenset(),
    scopes=frozenset({Role.VERIFIER, Role.TRAINER}),
    created_at=NOW + DAY,
    proved_at=None,
)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def test_they_come_back_as_they_were(database: SqlDatabase) -> None:
    with database.begin() as unit:
        for one in (SESSION, TOKEN):
            unit.sessions.add(one)
            assert unit.sessions.find(one.hash) == one
        unit.sessions.touch(SESSION.hash, LATER)
        unit.sessions.touch(SESSION.hash, NOW)
        unit.sessions.touch(b"x", NOW)
        assert unit.sessions.find(b"x") is None
        assert unit.sessions.of_user("user-1") == [TOKEN, replace(SESSION, last_used_at=LATER)]
        assert unit.sessions.of_user("user-2") == []


def test_nobodys_session_is_refused(database: SqlDatabase) -> None:
    with database.begin() as unit, pytest.raises(Conflict):
        unit.sessions.add(replace(SESSION, user_id="nobody"))


def test_the_first_revocation_stands(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.sessions.add(SESSION)
        assert unit.sessions.revoke("session-1", LATER)
        assert not unit.sessions.revoke("session-1", LATER + DAY)
        assert not unit.sessions.revoke("no", NOW)
        assert unit.sessions.find(SESSION.hash) == replace(SESSION, revoked_at=LATER)
        assert unit.sessions.of_user("user-1") == []


def test_a_rotated_secret_is_another_one_of_the_same_session(database: SqlDatabase) -> None:
    raised = replace(SESSION, hash=b"r" * 32, methods=frozenset({Method.PASSWORD, Method.TOTP}), proved_at=LATER)
    with database.begin() as unit:
        unit.sessions.add(SESSION)
        assert unit.sessions.rotate(SESSION.hash, raised)
        assert unit.sessions.find(SESSION.hash) is None
        assert unit.sessions.find(raised.hash) == raised
        assert not unit.sessions.rotate(SESSION.hash, raised)
        unit.sessions.revoke("session-1", LATER)
        assert not unit.sessions.rotate(raised.hash, SESSION)


def test_all_of_a_person_end_by_kind_but_one(database: SqlDatabase) -> None:
    other = replace(SESSION, id="session-2", hash=b"o" * 32)
    sessions = frozenset({Kind.SESSION})
    with database.begin() as unit:
        for one in (SESSION, other, TOKEN):
            unit.sessions.add(one)
        assert unit.sessions.revoke_all("user-2", LATER, kinds=sessions) == 0
        assert unit.sessions.revoke_all("user-1", LATER, kinds=sessions, except_id="session-2") == 1
        assert unit.sessions.of_user("user-1") == [TOKEN, other]
        assert unit.sessions.revoke_all("user-1", LATER, kinds=frozenset(Kind)) == 2
        assert unit.sessions.of_user("user-1") == []


def test_what_ended_long_ago_is_forgotten(database: SqlDatabase) -> None:
    revoked = replace(SESSION, id="session-2", hash=b"o" * 32, revoked_at=NOW)
    with database.begin() as unit:
        for one in (SESSION, revoked, replace(TOKEN, expires_at=NOW + 9 * DAY)):
            unit.sessions.add(one)
        unit.sessions.forget("user-2", ended_before=NOW + 10 * DAY)
        unit.sessions.forget("user-1", ended_before=NOW)
        assert unit.sessions.find(revoked.hash) == revoked
        unit.sessions.forget("user-1", ended_before=NOW + timedelta(seconds=1))
        assert unit.sessions.find(revoked.hash) is None and unit.sessions.find(SESSION.hash) == SESSION
        unit.sessions.forget("user-1", ended_before=NOW + 2 * DAY)
        assert [one.id for one in unit.sessions.of_user("user-1")] == ["token-1"]


@pytest.mark.parametrize("kind", kit.ON_DISK)
def test_tokens_of_before_go_on_and_sessions_of_before_end(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Revision 0014: nothing tells how a session of before began."""
    opened = kit.open_database(kit.address(kind, request, tmp_path))
    person = {"id": "user-1", "name": "liisa", "display_name": "Liisa", "created_at": NOW, "language": "fi"}
    begun = {"user_id": "user-1", "created_at": NOW, "expires_at": NOW + DAY, "last_used_at": NOW}
    with opened.schema_work() as connection:
        command.upgrade(alembic_config(connection), "0013")
        connection.execute(insert(_before("users", *person)), person)
        rows = [{**begun, "hash": b"s" * 32, "kind": "session"}, {**begun, "hash": b"a" * 32, "kind": "api"}]
        connection.execute(insert(_before("tokens", *rows[0])), rows)
        command.upgrade(alembic_config(connection), "head")
    with opened.read() as unit:
        (left,) = unit.sessions.of_user("user-1")
        assert unit.sessions.find(b"s" * 32) is None
    assert (left.hash, left.kind, left.scopes, left.proved_at) == (b"a" * 32, Kind.API, None, None)
    assert left.id and left.live(NOW, DAY)
    with opened.schema_work() as connection:
        command.downgrade(alembic_config(connection), "0013")
        assert connection.execute(select(_before("tokens", "hash"))).all() == [(b"a" * 32,)]
    opened.close()


def _before(name: str, *columns: str) -> TableClause:
    """A table as it was then, of these columns."""
    types: dict[str, Any] = {
        "hash": LargeBinary(),
        "created_at": Moment(),
        "expires_at": Moment(),
        "last_used_at": Moment(),
    }
    return table(name, *(column(one, types.get(one, TEXT)) for one in columns))
