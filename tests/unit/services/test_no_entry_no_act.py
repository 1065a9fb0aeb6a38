"""With the log unavailable nothing is opened, exported, taken in or destroyed (rule 2)."""

from __future__ import annotations

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import SearchQuery
from recvault.domain.errors import RecvaultError
from recvault.domain.log_query import LogQuery
from recvault.domain.purpose import Purpose
from tests.support.archives import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


def without_log(world: World) -> None:
    """The database refuses every further entry; all else works."""
    on_the_database(
        world,
        "CREATE TRIGGER no_entries BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )


def on_the_database(world: World, statement: str) -> None:
    database = world.archive.database
    assert isinstance(database, SqlDatabase)
    with database.schema_work() as connection:
        connection.exec_driver_sql(statement)


def test_nothing_is_opened_or_exported(world: World) -> None:
    stored = world.store("call-1").id
    without_log(world)
    with pytest.raises(RecvaultError):
        world.archive.retrieval.open(world.actor(Role.VERIFIER), stored, Purpose.VERIFICATION, case_ref="T-7")
    with pytest.raises(RecvaultError):
        world.archive.log_views.export(world.actor(Role.AUDITOR), LogQuery(), "csv")


def test_nothing_is_taken_in(world: World) -> None:
    without_log(world)
    with pytest.raises(RecvaultError):
        world.store("call-1")


def test_nothing_is_destroyed(world: World) -> None:
    stored = world.store("call-1").id
    world.later(days=400)
    without_log(world)
    with pytest.raises(RecvaultError):
        world.archive.purge.run("worker")
    on_the_database(world, "DROP TRIGGER no_entries")
    handler = world.actor(Role.PRIVACY_HANDLER)
    (row,) = world.archive.retrieval.search(handler, SearchQuery(), Purpose.REQUEST, reference="REQ-1")
    assert row.id == stored
    world.later(hours=2)  # the lease of the run that broke off
    assert world.archive.purge.run("worker").destroyed == [stored]
    found = world.archive.log_views.find(world.actor(Role.AUDITOR), LogQuery(target=stored))
    assert Act.SHREDDED in {one.entry.act for one in found}
