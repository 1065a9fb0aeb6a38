"""The chain of earlier versions gets its tree, in the same order; a broken one is not migrated; and the way back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from recvault.adapters.database import SqlDatabase, migrate
from recvault.adapters.database.migration import alembic_config
from recvault.adapters.database.tables import audit_entries
from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.errors import AuditFailure
from recvault.services.log_verify import LogVerifier
from recvault.services.sequencer import Sequencer
from tests.contract import database_kit as kit
from tests.contract.database_kit import NOW

GENESIS = hashlib.sha256(b"recvault/audit/v1").digest()
MANY = 300


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    opened = kit.open_database(kit.address(request.param, request, tmp_path))
    with opened.schema_work() as connection:
        command.upgrade(alembic_config(connection), "0014")
    yield opened
    opened.close()


def chain(database: SqlDatabase) -> bytes:
    """Entries as the version before linked them; the last link."""
    link = GENESIS
    with database.schema_work() as connection:
        for number in range(MANY):
            entry = Entry(
                id=f"entry-{number:04d}", at=NOW + timedelta(seconds=number), actor="user-1", act=Act.OPENED,
                target="communication-1", purpose=None, detail={"n": number}, salt=number.to_bytes(16),
            )  # fmt: skip
            leaf = leaf_data(entry)
            link = hashlib.sha256(b"\x01" + link + number.to_bytes(8) + leaf).digest()
            row = {name: getattr(entry, name) for name in ("id", "at", "actor", "target", "purpose", "detail", "salt")}
            connection.execute(audit_entries.insert().values(**row, act=entry.act.value, leaf=leaf))
            connection.execute(
                text("UPDATE audit_entries SET number = :number, link = :link WHERE id = :id"),
                {"number": number, "link": link, "id": entry.id},
            )
        connection.execute(text("UPDATE audit_head SET size = :size, link = :link"), {"size": MANY, "link": link})
    return link


def test_a_chain_becomes_a_tree_and_an_entry_says_what_it_was(database: SqlDatabase) -> None:
    link = chain(database)
    migrate(database)
    assert LogVerifier(database=database).verify().size == MANY
    assert Sequencer(database=database).run() == 1
    assert LogVerifier(database=database).verify().size == MANY + 1
    with database.read() as unit:
        first, said = unit.audit.read(MANY - 1, 2)
        assert first.entry.id == f"entry-{MANY - 1:04d}"
        assert (said.entry.act, said.entry.detail["chain_link"]) == (Act.TREE_BEGUN, link.hex())
    with database.schema_work() as connection:
        command.downgrade(alembic_config(connection), "0014")
    with database.schema_reading() as connection:
        size, _ = connection.execute(text("SELECT size, link FROM audit_head")).one()
        kept = connection.execute(text("SELECT link FROM audit_entries WHERE number = :last"), {"last": MANY - 1})
        assert (size, bytes(kept.scalar_one())) == (MANY + 1, link)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ("UPDATE audit_entries SET leaf = salt WHERE number = 77", "breaks at entry 77"),
        ("DELETE FROM audit_entries WHERE number = 299", "ends at entry 299, its head says 300"),
    ],
)
def test_a_broken_chain_gets_no_tree(database: SqlDatabase, damage: str, match: str) -> None:
    chain(database)
    with database.schema_work() as connection:
        connection.execute(text(damage))
    with pytest.raises(AuditFailure, match=match):
        migrate(database)
