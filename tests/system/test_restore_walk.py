"""A copy of the database of every moment of a script is put back beside today's ledger, keyring and objects, and replayed:
nothing protected is destroyed, nothing destroyed opens, and nothing acknowledged is lost silently.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from recvault.domain.access import Role
from recvault.domain.destruction import Stage
from recvault.domain.errors import DatabaseBehind, Destroyed, KeyDestroyed
from recvault.domain.ledger import LedgerKind
from recvault.domain.purpose import Purpose
from tests.support.aftermath import content_of, ledger_items, objects_of, rows_of, tombstones_of
from tests.support.archives import Parts, World, configuration, make_world, real_parts
from tests.support.interruptions import CALL, hold
from tests.support.worlds import SteadyFolder, another_process, reopen


@dataclass
class Place:
    """Where the archive of today is, how its database is copied, and an address for each copy put back."""

    directory: Path
    url: str
    copy: Callable[[Parts], str]
    put_back: Callable[[str, Path], str]


def sqlite_place(directory: Path) -> Place:
    live = directory / "recvault.db"

    def copy(parts: Parts) -> str:
        target = directory.parent / f"copy-{len(list(directory.parent.glob('copy-*')))}"
        with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(target)) as other:
            source.backup(other)
        return str(target)

    def put_back(made: str, place: Path) -> str:
        shutil.copy(made, place / "restored.db")
        return f"sqlite:///{place}/restored.db"

    return Place(directory=directory, url=f"sqlite:///{live}", copy=copy, put_back=put_back)


def postgresql_place(directory: Path, url: str) -> Place:
    parsed = make_url(url)
    made: list[str] = []

    def cloned(source: str, name: str) -> str:
        admin = parsed.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
        return parsed.set(database=name).render_as_string(hide_password=False)

    def copy(parts: Parts) -> str:
        parts.database.close()  # a template has no other connections; the pool opens new ones
        made.append(f"{parsed.database}_c{len(made)}")
        cloned(str(parsed.database), made[-1])
        return made[-1]

    return Place(
        directory=directory, url=url, copy=copy, put_back=lambda name, place: cloned(name, f"{name}_{place.name}")
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    directory = tmp_path / "today"
    directory.mkdir()
    if request.param == "sqlite":
        return sqlite_place(directory)
    return postgresql_place(directory, request.getfixturevalue("new_pg_url")())


@dataclass
class Story:
    """What happened: contents of everything acknowledged by id, and what is held at the end."""

    stored: dict[str, bytes] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    copies: list[str] = field(default_factory=list)


def steps(world: World, story: Story) -> Iterator[None]:
    """One thing after the other; a copy is taken before and after each."""

    def store(ref: str) -> str:
        content = CALL + ref.encode()
        item = world.store(ref, content)
        story.stored[item.id] = content
        return item.id

    handler, approver = world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER)
    yield
    first, _second = store("first"), store("second")
    yield
    placed = hold(world, world.store("first", CALL + b"first"))
    yield
    world.later(days=100)
    kept = store("kept")
    yield
    world.later(days=90)
    world.archive.purge.run("worker-1")
    yield
    hold(world, world.store("kept", CALL + b"kept"))
    story.held.add(kept)
    yield
    proposal = world.archive.holds.propose_release(world.archive.approvals, handler, placed, reason="over")
    world.archive.approvals.approve(approver, proposal.id)
    yield
    world.later(days=9)
    world.archive.purge.run("worker-1")
    store("last")
    yield
    with world.archive.database.read() as unit:
        assert first not in unit.holds.covering([first])
    world.archive.ledger.write(LedgerKind.INTENT, {"batch": "b", "items": [kept]})
    yield


@contextmanager
def restored(world: World, parts: Parts, place: Place, made: str, number: int) -> Iterator[tuple[World, Parts]]:
    """A process on the copy, beside copies of today's objects, keyring, root key and ledger."""
    other = place.directory.with_name(f"r{number}")
    shutil.copytree(place.directory, other)
    with ExitStack() as opened:
        store = SteadyFolder(other / "objects")
        opened.callback(store.close)
        url = place.put_back(made, other)
        old = reopen(other, url=url, store=store, moment=parts.clock.now(), config=configuration())
        opened.callback(old.database.close)
        yield opened.enter_context(another_process(replace(world, clock=old.clock), old)), old


def test_a_copy_of_any_moment_put_back_breaks_no_promise(place: Place) -> None:
    store = SteadyFolder(place.directory / "objects", create=True)
    parts = real_parts(place.directory, database_url=place.url, store=store, config=configuration())
    store.tell = parts.clock.now
    story = Story()
    with (world := make_world(parts=parts)).archive:
        world.archive.restore.stand()
        for _step in steps(world, story):
            story.copies.append(place.copy(parts))
        destroyed = ledger_items(parts, LedgerKind.DONE)
        assert destroyed and story.held and destroyed < set(story.stored)
        for number, made in enumerate(story.copies):
            with restored(world, parts, place, made, number) as (again, old):
                came_back(again, old, story, destroyed)
    store.close()


def came_back(again: World, old: Parts, story: Story, destroyed: set[str]) -> None:
    """Replays one copy and looks at every promise, before and after the purges that follow."""
    archive = again.archive
    with old.database.unjudged():
        fresh = old.database.witness().head.sequence < archive.ledger.verify().sequence
    if fresh:
        with pytest.raises(DatabaseBehind):
            archive.restore.stand()
    report = archive.restore.replay()
    archive.purge.certify_left(report.remembered)
    for _ in range(3):
        listed = {one.id for one in archive.restore.orphans()}
        rows = {row.id: row for row in rows_of(old)}
        gone = tombstones_of(old)
        for item in destroyed:
            assert item in gone and (item not in rows or rows[item].wrapped_key is None), "destroyed, and back"
            with pytest.raises(Destroyed):
                archive.retrieval.open(again.actor(Role.PRIVACY_HANDLER), item, Purpose.REQUEST, case_ref="REQ-1")
        for item, content in story.stored.items():
            if item in destroyed:
                continue
            assert item in rows or item in listed, "acknowledged, in the store, and nobody is told"
            if item not in rows:
                continue
            if item in report.beyond_reach:
                with pytest.raises(KeyDestroyed):
                    content_of(old, archive, rows[item])
            else:
                assert content_of(old, archive, rows[item]) == content
        with old.database.read() as unit:
            assert set(unit.holds.covering(story.held & set(rows))) == story.held & set(rows)
        archive.purge.run("worker-2")
        again.later(minutes=6)
    gone = tombstones_of(old)
    assert all(gone[item].stage is not Stage.SHREDDED for item in destroyed)
    assert not {name.split("/", 1)[0] for name in objects_of(old)} & destroyed
