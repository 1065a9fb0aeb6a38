"""How often an upload and a range ask the database: pinned, so that it does not creep back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from recvault.adapters.database.engines import READING as READER
from recvault.domain.access import Role
from recvault.domain.errors import DatabaseUnavailable
from recvault.domain.purpose import Purpose
from tests.contract import database_kit as kit
from tests.support.archives import World, make_world, memory_parts, steady_database

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 300


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    parts = memory_parts()
    parts.database.close()
    parts.database = steady_database(kit.address(request.param, request, tmp_path), parts.clock)
    made = make_world(parts=parts)
    with made.archive:
        yield made


class Asked:
    """Statements and transactions since the counting began."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.written = 0

    @property
    def kinds(self) -> list[str]:
        return [" ".join(text.split()[:2]) for text in self.statements]


@contextmanager
def counted(world: World) -> Iterator[Asked]:
    engine = world.archive.database._engine  # type: ignore[attr-defined]
    asked = Asked()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked.statements.append(statement)

    def note_commit(connection: Connection) -> None:
        asked.written += not connection.get_execution_options().get(READER)

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", note_commit)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", note_commit)


def is_postgresql(world: World) -> bool:
    return bool(world.archive.database.is_postgresql)  # type: ignore[attr-defined]


def test_an_upload_asks_six_times_and_commits_once(world: World) -> None:
    """Token; seen before; source, policy and key under lock; then all rows with their audit entry. (The clock is a seventh
    statement, which tests replace.) SQLite inserts table by table."""
    world.store("first", CALL, remote=None)
    with counted(world) as asked:
        source = world.archive.sources.whose(world.token, certificate=None)
        world.archive.ingest.accept(source, world.draft("call", remote=None), [CALL])
    assert len(asked.statements) == (6 if is_postgresql(world) else 11), asked.kinds
    assert asked.written == 1


def test_a_known_caller_costs_ten_statements_more(world: World) -> None:
    """Number, customer, and what stands over the customer, before and under the lock on customer and number."""
    world.store("first", CALL)
    with counted(world) as asked:
        world.store("call", CALL)
    assert len(asked.statements) <= (5 if is_postgresql(world) else 10) + 10, asked.kinds
    assert asked.written == 1


def test_a_range_is_authorised_by_four_statements(world: World) -> None:
    """Token, person with roles and scopes; grant, communication with all that is beside it. SQLite takes the last five
    apart, in this process. The entry of what was served comes after the last byte."""
    receipt = world.store("first", CALL)
    actor = world.actor(Role.VERIFIER)
    token = world.archive.sessions.issue_token(Role.VERIFIER.value, by="system:test")
    opened = world.archive.retrieval.open(actor, receipt.id, Purpose.VERIFICATION, reason="complaint")
    with counted(world) as asked:
        actor = world.archive.sessions.whose(token).actor
        playback = world.archive.retrieval.playback(actor, opened.secret)
        pieces = world.archive.retrieval.read(playback, 0, 99)
        next(pieces)
        before_content = len(asked.statements)
        list(pieces)
    assert before_content == (4 if is_postgresql(world) else 8), asked.kinds
    assert len(asked.statements) == before_content + 1 and asked.written == 1


def test_one_communication_loads_as_several_do(world: World) -> None:
    """By one statement and by one for each table: the same value."""
    one, other = (world.store(ref, CALL, tags=frozenset({"b", "a"}), agent="77") for ref in ("one", "other"))
    with world.archive.database.read() as unit:
        both = {row.id: row for row in unit.communications.find([one.id, other.id])}
        assert unit.communications.find([one.id]) == [both[one.id]]
        assert both[one.id].purposes and both[one.id].streams and both[one.id].attention and both[one.id].tags
        assert unit.communications.find(["nobody"]) == []


def test_looking_does_not_write(world: World) -> None:
    with world.archive.database.look() as unit, pytest.raises(DatabaseUnavailable, match="takes no writes"):
        unit.settings.put("x", {})
    with world.archive.database.begin() as unit:
        assert unit.settings.get("x") is None
