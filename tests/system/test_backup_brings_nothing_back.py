"""The promise itself: somebody has a full copy of database and objects from before, and today's keyring. What the archive has
destroyed since does not open for them; everything else does.

On SQLite with a folder and on PostgreSQL with Ceph RGW. The copy of the database is taken below recvault: the raw file
with its write-ahead log, or PostgreSQL's own copy of a database.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recvault.adapters.database import SqlDatabase, connect
from recvault.domain.access import Role
from recvault.domain.accounts import PeriodKey
from recvault.domain.backups import ProofReport
from recvault.domain.communication import Communication
from recvault.domain.errors import KeyDestroyed, KeyNotFound, Tampered
from recvault.domain.ports.keyring import KeyKind
from recvault.sealing.container import Opener, open_stream, stream_context
from recvault.sealing.wrapping import wrap_aad
from recvault.services.backup import rows_of
from recvault.services.streams import ORIGINAL
from tests.servers.ceph import Ceph
from tests.support.archives import Parts, World, make_world
from tests.support.interruptions import CALL, STRANGER, hold
from tests.support.worlds import postgresql_and_ceph, sqlite_and_folder

NIGHTS = 12
"""After the copy: enough that keys which wait for a newer backup are gone."""


@dataclass
class Attacker:
    """Rows and objects as they were, and the keyring as it is."""

    database: SqlDatabase
    objects: dict[str, bytes]
    world: World
    raw: bytes = b""
    rows: dict[str, Communication] = field(default_factory=dict)

    def opens(self, communication_id: str) -> bytes | None:
        """The recording from the copy alone, by any living key; None when no key opens it."""
        row = self.rows[communication_id]
        keyring = self.world.archive.keyring
        for key in keyring.list():
            if key.kind is not KeyKind.WRAP or row.wrapped_key is None:
                continue
            aad = wrap_aad(communication=row.id, key_id=row.key_id)
            with suppress(KeyDestroyed, KeyNotFound, Tampered):
                data_key = keyring.unwrap(key.id, row.wrapped_key, aad)
                (stream,) = row.streams
                context = stream_context(communication=row.id, stream=ORIGINAL, generation=stream.generation)
                opener = Opener(key=data_key, context=context)
                return b"".join(open_stream(opener, [self.objects[stream.object_name]]))
        return None


Copier = Callable[[], tuple[SqlDatabase, bytes]]


@contextmanager
def on_sqlite(directory: Path) -> Iterator[tuple[World, Parts, Copier]]:
    with sqlite_and_folder(directory) as parts, (world := make_world(parts=parts)).archive:

        def copy() -> tuple[SqlDatabase, bytes]:
            place = directory / "copied"
            place.mkdir()
            for file in directory.glob("recvault.db*"):
                shutil.copy2(file, place / file.name)
            raw = b"".join(file.read_bytes() for file in sorted(place.iterdir()))
            return _open(f"sqlite:///{place}/recvault.db"), raw

        yield world, parts, copy


@contextmanager
def on_postgresql(directory: Path, ceph: Ceph, url: str) -> Iterator[tuple[World, Parts, Copier]]:
    with postgresql_and_ceph(directory, ceph, url) as parts, (world := make_world(parts=parts)).archive:

        def copy() -> tuple[SqlDatabase, bytes]:
            parts.database.close()  # PostgreSQL copies only what nobody uses; the pool opens new connections afterwards
            before, _, name = url.replace("+psycopg", "").rpartition("/")
            other = f"t_{secrets.token_hex(6)}"
            with psycopg.connect(f"{before}/postgres", autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {other} TEMPLATE {name}".encode())
            return _open(f"{url.rpartition('/')[0]}/{other}"), b""

        yield world, parts, copy


def _open(url: str) -> SqlDatabase:
    return connect(url, pool_size=2, connect_timeout_seconds=5, statement_timeout_seconds=30)


@pytest.fixture(params=["sqlite and folder", "postgresql and ceph"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[World, Parts, Copier]]:
    if request.param == "sqlite and folder":
        with on_sqlite(tmp_path) as made:
            yield made
    else:
        ceph: Ceph = request.getfixturevalue("ceph")
        with on_postgresql(tmp_path, ceph, request.getfixturevalue("new_pg_url")()) as made:
            yield made


def objects_in(parts: Parts) -> dict[str, bytes]:
    """Every object of the archive's communications, as the store gives it."""
    found = {}
    for version in parts.store.list_versions(""):
        if not version.is_delete_marker and version.name.count("/") == 1 and not version.name.startswith("ledger"):
            found[version.name] = b"".join(parts.store.get(version.name, version.version_id))
    return found


def test_a_copy_of_everything_and_todays_keyring_open_what_lives_and_nothing_that_was_destroyed(
    ground: tuple[World, Parts, Copier],
) -> None:
    world, parts, copy = ground
    due = [world.store(f"due-{n}", CALL + bytes([n])).id for n in range(3)]
    world.later(days=20)
    next_due = [world.store(f"next-{n}", CALL + bytes([10 + n])).id for n in range(3)]
    held = world.store("held", CALL + b"h", remote=STRANGER)
    hold(world, held)
    world.later(days=80)
    early = [world.store(f"early-{n}", CALL + bytes([20 + n])).id for n in range(2)]
    neighbours = [world.store(f"neighbour-{n}", CALL + bytes([30 + n]), remote=STRANGER).id for n in range(2)]

    database, raw = copy()
    with closing(database):
        attacker = Attacker(database=database, objects=objects_in(parts), world=world, raw=raw)
        attacker.rows = {row.id: row for row in rows_of(database)}
        everything = {*due, *next_due, held.id, *early, *neighbours}
        assert set(attacker.rows) == everything
        assert all(attacker.opens(one) is not None for one in everything), (
            "before anything is destroyed the copy is whole"
        )

        for one in early:
            world.archive.retention.do_not_keep(world.actor(Role.PRIVACY_HANDLER), one)
        for _night in range(NIGHTS):
            world.later(days=1)
            world.archive.purge.run("worker")
        world.later(days=80)
        for _night in range(2 * NIGHTS):
            world.later(days=1)
            world.archive.purge.run("worker")
        destroyed = {*due, *next_due, *early}
        with parts.database.read() as unit:
            stages = {one: tombstone.stage.value for one, tombstone in unit.destructions.find(destroyed).items()}
        assert stages == dict.fromkeys(destroyed, "complete")

        assert [one for one in destroyed if attacker.opens(one) is not None] == []
        for one in neighbours:  # their day was re-keyed since: the archive opens them, that copy need not
            assert world.archive.period_keys.unwrap(_row(parts, one))
        report = world.archive.proof.examine(database, actor="system:test")
        assert report.violations == []
        assert (report.copied, report.beyond_reach, report.until_its_keys_die) == (len(everything), len(destroyed), 0)
        assert report.opens + report.rekeyed_since == len(everything) - len(destroyed)
        dead_bytes_are_useless(attacker, destroyed)


def dead_bytes_are_useless(attacker: Attacker, destroyed: set[str]) -> None:
    """Wrapped keys and sealed fields of the destroyed stand in the copied file and its log, byte for byte; tried with the
    raw bytes of nothing but the keyring's living keys they stay shut."""
    if not attacker.raw:
        return
    keyring = attacker.world.archive.keyring
    for one in destroyed:
        row = attacker.rows[one]
        assert row.wrapped_key is not None and row.sealed_fields is not None
        assert row.wrapped_key in attacker.raw and row.sealed_fields in attacker.raw
        for key in keyring.list():
            if key.kind is KeyKind.WRAP:
                with pytest.raises((KeyDestroyed, KeyNotFound, Tampered)):
                    keyring.unwrap(key.id, row.wrapped_key, wrap_aad(communication=one, key_id=row.key_id))
        with pytest.raises(InvalidTag):  # as a guess at the data key
            AESGCM(row.wrapped_key[-32:]).decrypt(row.sealed_fields[:12], row.sealed_fields[12:], None)


def test_a_backup_of_any_age_opens_everything_alive_whose_day_was_not_rekeyed(tmp_path: Path) -> None:
    with on_sqlite(tmp_path) as (world, _parts, _copy):
        copies: list[tuple[Path, timedelta]] = []
        alive: list[str] = []
        for week in range(6):
            alive.append(world.store(f"call-{week}", CALL + bytes([week])).id)
            place = tmp_path / f"copy-{week}"
            place.mkdir()
            for file in tmp_path.glob("recvault.db*"):
                shutil.copy2(file, place / file.name)
            copies.append((place, timedelta(weeks=week)))
            world.later(weeks=1)
        world.later(days=150)
        world.archive.purge.run("worker")
        for place, _age in copies:
            with closing(_open(f"sqlite:///{place}/recvault.db")) as database:
                report: ProofReport = world.archive.proof.examine(database, actor="system:test")
            assert report.violations == []
            assert report.rekeyed_since == 0, "nothing was destroyed early"
            assert report.opens + report.beyond_reach + report.until_its_keys_die == report.copied


def test_a_lie_about_a_destruction_is_found(tmp_path: Path) -> None:
    """The proof is worth nothing if it cannot fail: a row that came back under a living key is a violation."""
    with on_sqlite(tmp_path) as (world, _parts, copy):
        gone = world.store("gone", CALL)
        world.later(days=100)
        database, _raw = copy()
        with closing(database):
            world.later(days=90)
            world.archive.purge.run("worker")
            with database.begin() as unit:  # the attacker had kept the data key and wraps it under a key that lives
                (row,) = unit.communications.find([gone.id])
                day = world.clock.now() + timedelta(days=100)
                living = world.archive.period_keys.prepare(day)
                unit.period_keys.add(
                    PeriodKey(key_id=living, period=f"{day:%Y-%m-%d}", generation=1, created_at=world.clock.now())
                )
                unit.communications.rewrap(
                    row.id, key_id=living, wrapped_key=world.archive.period_keys.wrap(row.id, living, b"k" * 32)
                )
                unit.commit()
            world.later(days=NIGHTS)
            world.archive.purge.run("worker")
            report = world.archive.proof.examine(database, actor="system:test")
            assert report.copied == 1
            assert report.violations or report.until_its_keys_die


def _row(parts: Parts, communication_id: str) -> Communication:
    with parts.database.read() as unit:
        return unit.communications.get(communication_id)
