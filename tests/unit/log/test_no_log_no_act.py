"""With the log unavailable nothing is opened, stored, held, destroyed or handed out: the entry is in the act's own commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from recvault.domain.access import Role
from recvault.domain.communication import Receipt
from recvault.domain.errors import RecvaultError
from recvault.domain.log_query import LogQuery
from recvault.domain.purpose import Purpose
from tests.support.aftermath import rows_of
from tests.support.archives import Parts, World, make_world, memory_parts
from tests.support.interruptions import hold


@pytest.fixture
def parts() -> Parts:
    return memory_parts()


@pytest.fixture
def world(parts: Parts) -> Iterator[World]:
    made = make_world(parts=parts)
    with made.archive:
        yield made


def opened(world: World, item: Receipt) -> object:
    return world.archive.retrieval.open(world.actor(Role.TRAINER), item.id, Purpose.TRAINING)


def stored(world: World, item: Receipt) -> object:
    return world.store("another")


def held(world: World, item: Receipt) -> object:
    return hold(world, item)


def handed_out(world: World, item: Receipt) -> object:
    return list(world.archive.log_views.export(world.actor(Role.AUDITOR), LogQuery(), "jsonl"))


def key_made(world: World, item: Receipt) -> object:
    return world.archive.sources.add("other", by="system:test")


@pytest.mark.parametrize("act", [opened, stored, held, handed_out, key_made], ids=lambda act: act.__name__)
def test_what_cannot_be_logged_is_not_done(world: World, parts: Parts, act: Callable[[World, Receipt], object]) -> None:
    item = world.store("call")
    before = everything(parts)
    without_log(parts)
    with pytest.raises(RecvaultError):
        act(world, item)
    assert everything(parts) == before


def test_what_cannot_be_logged_is_not_destroyed(world: World, parts: Parts) -> None:
    item = world.store("call")
    world.later(days=400)
    without_log(parts)
    with pytest.raises(RecvaultError):
        world.archive.purge.run("worker-1")
    (row,) = rows_of(parts)
    assert row.wrapped_key is not None and list(parts.store.list_versions(f"{item.id}/"))


def without_log(parts: Parts) -> None:
    """From here on the table takes no entry: a full disk, a lost right, somebody's trigger."""
    with parts.database.schema_work() as rows:
        rows.execute(
            text("CREATE TRIGGER no_log BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'no log'); END")
        )


def everything(parts: Parts) -> dict[str, int]:
    """How many rows each table has."""
    with parts.database.schema_reading() as rows:
        tables = rows.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        return {table: rows.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar_one() for table in tables}
