"""The audit log as a Merkle tree, its checkpoints."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count

import sqlalchemy as sa
from alembic import op

from recvault.adapters.database.types import TEXT, CanonicalJson, Moment
from recvault.domain.errors import AuditFailure

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

GENESIS = sha256(b"recvault/audit/v1").digest()
EMPTY_ROOT = sha256(b"").digest()
PORTION = 2560
"""Entries read at a time: whole tiles."""

_ENTRIES = sa.table(
    "audit_entries",
    sa.column("id", TEXT),
    sa.column("at", Moment()),
    sa.column("actor", TEXT),
    sa.column("act", TEXT),
    sa.column("detail", CanonicalJson()),
    sa.column("salt", sa.LargeBinary()),
    sa.column("leaf", sa.LargeBinary()),
    sa.column("number", sa.BigInteger()),
    sa.column("link", sa.LargeBinary()),
)
_HEAD = sa.table(
    "audit_head",
    sa.column("size", sa.BigInteger()),
    sa.column("link", sa.LargeBinary()),
    sa.column("root", sa.LargeBinary()),
)
_TILES = sa.table(
    "audit_tiles",
    sa.column("level", sa.Integer()),
    sa.column("position", sa.BigInteger()),
    sa.column("hashes", sa.LargeBinary()),
)


def upgrade() -> None:
    """The audit log as a Merkle tree, its checkpoints. The chain so far gets its tree, in the same order; an entry says
    what its last link was."""
    _tables()
    size, link = op.get_bind().execute(sa.select(_HEAD.c.size, _HEAD.c.link)).one()
    root = _tree(size, link)
    with op.batch_alter_table("audit_head") as table:
        table.add_column(sa.Column("root", sa.LargeBinary(), nullable=True))
    op.execute(_HEAD.update().values(root=root))
    with op.batch_alter_table("audit_head") as table:
        table.alter_column("root", existing_type=sa.LargeBinary(), nullable=False)
        table.drop_column("link")
    with op.batch_alter_table("audit_entries") as table:
        table.drop_constraint(op.f("ck_audit_entries_sequenced"), type_="check")
        table.drop_column("link")
    if size:
        _say({"chain_size": size, "chain_link": link.hex(), "root": root.hex()})


def downgrade() -> None:
    """Back to the revision before: numbers are linked again, in the same order; tree and checkpoints are gone, and so are
    entries after the first that ended."""
    op.drop_table("audit_checkpoints")
    op.drop_table("audit_ended")
    op.drop_table("audit_tiles")
    with op.batch_alter_table("audit_entries") as table:
        table.add_column(sa.Column("link", sa.LargeBinary(), nullable=True))
    size, link = _links()
    with op.batch_alter_table("audit_entries") as table:
        table.create_check_constraint(op.f("ck_audit_entries_sequenced"), "(number IS NULL) = (link IS NULL)")
    with op.batch_alter_table("audit_head") as table:
        table.add_column(sa.Column("link", sa.LargeBinary(), nullable=True))
    op.execute(_HEAD.update().values(size=size, link=link))
    with op.batch_alter_table("audit_head") as table:
        table.alter_column("link", existing_type=sa.LargeBinary(), nullable=False)
        table.drop_column("root")


def _tables() -> None:
    op.create_table(
        "audit_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0", name=op.f("ck_audit_tiles_hashes")
        ),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_audit_tiles")),
    )
    op.create_table(
        "audit_ended",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("said_in", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_ended")),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("published_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "size", name=op.f("pk_audit_checkpoints")),
    )
    op.create_index(
        op.f("ix_audit_checkpoints_published_at_size"), "audit_checkpoints", ["published_at", "size"], unique=False
    )


def _portions() -> Iterator[list[tuple[int, bytes, bytes | None]]]:
    first = 0
    while True:
        rows = op.get_bind().execute(
            sa.select(_ENTRIES.c.number, _ENTRIES.c.leaf, _ENTRIES.c.link)
            .where(_ENTRIES.c.number >= first)
            .order_by(_ENTRIES.c.number)
            .limit(PORTION)
        )
        found = [(row.number, row.leaf, row.link) for row in rows]
        if not found:
            return
        yield found
        first = found[-1][0] + 1


def _tree(size: int, last: bytes) -> bytes:
    """Follows the chain link by link and writes the tiles over its leaves; the root."""
    link, number = GENESIS, 0
    levels: list[list[bytes]] = []
    written: list[int] = []
    for portion in _portions():
        for place, leaf, linked in portion:
            link = sha256(b"\x01" + link + number.to_bytes(8) + leaf).digest()
            if place != number or link != linked:
                raise AuditFailure(
                    f"the audit log's chain breaks at entry {number}, and what is broken gets no tree: compare the database "
                    "with a backup before it is migrated"
                )
            number += 1
            _rise(levels, written, sha256(b"\x00" + leaf).digest())
    if (number, link) != (size, last):
        raise AuditFailure(
            f"the audit log ends at entry {number}, its head says {size}: compare the database with a backup before it is "
            "migrated"
        )
    for level, held in enumerate(levels):
        if held:
            _put(level, written[level], held)
    return _root(levels)


def _rise(levels: list[list[bytes]], written: list[int], digest: bytes) -> None:
    for level in count():
        if level == len(levels):
            levels.append([])
            written.append(0)
        levels[level].append(digest)
        if len(levels[level]) < 256:
            return
        _put(level, written[level], levels[level])
        digest, levels[level] = _over(levels[level]), []
        written[level] += 1


def _put(level: int, position: int, hashes: list[bytes]) -> None:
    op.execute(_TILES.insert().values(level=level, position=position, hashes=b"".join(hashes)))


def _over(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes), 2)]
    return hashes[0]


def _root(levels: list[list[bytes]]) -> bytes:
    found: bytes | None = None
    for held in levels:
        end = len(held)
        while end:
            low = end & -end
            part = _over(held[end - low : end])
            found = part if found is None else sha256(b"\x01" + part + found).digest()
            end -= low
    return EMPTY_ROOT if found is None else found


def _say(detail: dict[str, object]) -> None:
    """The first entry after the chain: what the chain's last link was."""
    now = datetime.now(UTC)
    entry_id, salt = _uuid7(now), os.urandom(16)
    said = {
        "id": entry_id,
        "at": now.isoformat(timespec="microseconds"),
        "actor": "system:migration",
        "act": "log:tree:begun",
        "target": None,
        "purpose": None,
        "detail": detail,
    }
    body = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    op.execute(
        _ENTRIES.insert().values(
            id=entry_id,
            at=now,
            actor="system:migration",
            act="log:tree:begun",
            detail=detail,
            salt=salt,
            leaf=sha256(b"\x00" + salt + body).digest(),
        )
    )


def _uuid7(now: datetime) -> str:
    number = int(now.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=number & ~(0x3 << 62) | 0x2 << 62))


def _links() -> tuple[int, bytes]:
    """Links what is numbered without a gap; what comes after one loses its number."""
    link, number = GENESIS, 0
    for portion in _portions_without_links():
        for place, leaf in portion:
            if place != number:
                op.execute(_ENTRIES.update().where(_ENTRIES.c.number >= number).values(number=None))
                return number, link
            link = sha256(b"\x01" + link + number.to_bytes(8) + leaf).digest()
            op.execute(_ENTRIES.update().where(_ENTRIES.c.number == number).values(link=link))
            number += 1
    return number, link


def _portions_without_links() -> Iterator[list[tuple[int, bytes]]]:
    for portion in _portions():
        yield [(place, leaf) for place, leaf, _ in portion]
