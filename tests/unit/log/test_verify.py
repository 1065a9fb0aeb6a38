"""Whatever is done to the log in the database is found, and the first bad index named; who kept a checkpoint finds more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from recvault.adapters.database.log_seals import LogSeals
from recvault.domain.audit import Act, leaf_data
from recvault.domain.checkpoints import Checkpoint
from recvault.domain.errors import AuditFailure, Conflict, InvalidInput
from recvault.domain.log_tree import check_consistency, grow, leaf_hashes
from recvault.sealing import notes
from recvault.services.checkpoints import SIGNING_KEY
from recvault.services.log_proofs import LogProofs, check
from tests.support.archives import World, make_world

MANY = 700


@pytest.fixture(scope="module")
def whole() -> Iterator[World]:
    """A log of some tiles with two checkpoints; a test alters it within :func:`altered`."""
    world = make_world()
    with world.archive:
        acts(world, 300)
        world.archive.checkpoints.publish()
        acts(world, MANY - 300)
        world.archive.checkpoints.publish(at_once=True)
        yield world


def acts(world: World, count: int) -> None:
    with world.archive.database.begin() as unit:
        targets = [f"item-{number}" for number in range(count)]
        world.archive.audit.record_each(unit, actor="system:test", act=Act.VIEWED, targets=targets, detail={"ä": [1]})
        unit.commit()
    world.archive.audit.sequence()


@contextmanager
def altered(world: World, *statements: str) -> Iterator[None]:
    """The log as an intruder left it; afterwards as it was."""
    tables = ("audit_entries", "audit_tiles", "audit_head", "audit_ended")
    with work(world) as rows:
        for table in tables:
            rows.exec_driver_sql(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
        for statement in statements:
            rows.exec_driver_sql(statement)
    try:
        yield
    finally:
        with work(world) as rows:
            for table in tables:
                rows.exec_driver_sql(f"DELETE FROM {table}")
                rows.exec_driver_sql(f"INSERT INTO {table} SELECT * FROM kept_{table}")
                rows.exec_driver_sql(f"DROP TABLE kept_{table}")


@contextmanager
def work(world: World) -> Iterator[Connection]:
    with world.archive.database.schema_work() as rows:  # type: ignore[attr-defined]
        yield rows


def checkpoints(world: World) -> tuple[Checkpoint, Checkpoint]:
    with world.archive.database.read() as unit:
        new, old = unit.audit.checkpoints(2)
    return old, new


LAST = "(SELECT max(number) FROM audit_entries)"

FOUND = {
    "edited actor": (
        "UPDATE audit_entries SET actor_tag = zeroblob(16) WHERE number = 411",
        "entry 411 .* not what its leaf",
    ),
    "edited seal": (
        "UPDATE audit_entries SET sealed = (SELECT sealed FROM audit_entries WHERE number = 410) WHERE number = 411",
        "entry 411 .* its seal does not open",
    ),
    "target put beside": ("UPDATE audit_entries SET target = 'somebody' WHERE number = 300", "entry 300 "),
    "edited time": ("UPDATE audit_entries SET at = at + 1 WHERE number = 0", "entry 0 .* not what its leaf"),
    "seal cut short": ("UPDATE audit_entries SET sealed = x'00' WHERE number = 256", "entry 256 "),
    "another act": ("UPDATE audit_entries SET act = 'communication:content:opened' WHERE number = 401", "entry 401 "),
    "deleted": ("DELETE FROM audit_entries WHERE number = 500", "entry 500 is missing"),
    "deleted at the end": (f"DELETE FROM audit_entries WHERE number = {LAST}", "is missing"),
    "deleted, told to have ended": (
        "DELETE FROM audit_entries WHERE number = 500; INSERT INTO audit_ended VALUES (500, 'nobody')",
        "1 entries are missing .* entry nobody, which should say so",
    ),
    "told to have ended and there": ("INSERT INTO audit_ended VALUES (9, 'nobody')", "entry 9 .* should not be there"),
    "put in beyond the head": (
        "UPDATE audit_entries SET number = number + 1000 WHERE number = 600",
        "entry 600 is missing",
    ),
    "put in below": ("UPDATE audit_entries SET number = -3 WHERE number = 600", "entry -3 .* should not be there"),
    "reordered": (
        ";".join(
            f"UPDATE audit_entries SET number = {to} WHERE number = {of}"
            for of, to in ((450, -1), (451, 450), (-1, 451))
        ),
        "entry 450 ",
    ),
    "a leaf": (
        "UPDATE audit_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 0 AND position = 2",
        "entry 512 ",
    ),
    "no tile": ("DELETE FROM audit_tiles WHERE level = 0 AND position = 1", "the first bad index is 256"),
    "a tile above": (
        "UPDATE audit_tiles SET hashes = CAST(substr(hashes, 1, 32) || zeroblob(32) AS BLOB) WHERE level = 1",
        "from index 256 on",
    ),
    "the head's root": ("UPDATE audit_head SET root = zeroblob(32)", "do not lead to the root of its head"),
    "the head's size": ("UPDATE audit_head SET size = size - 1", "audit tree holds .* leaves|do not lead"),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_done_is_found(whole: World, what: str) -> None:
    statement, match = FOUND[what]
    whole.archive.audit.verify()
    with altered(whole, *statement.split(";")), pytest.raises(AuditFailure, match=match):
        whole.archive.audit.verify()
    whole.archive.audit.verify()


def test_a_log_that_was_altered_does_not_grow(whole: World) -> None:
    with altered(whole, "UPDATE audit_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND position = 2"):
        with pytest.raises(AuditFailure, match="do not lead to its head"):
            acts(whole, 1)
        with work(whole) as rows:
            rows.exec_driver_sql("DELETE FROM audit_entries WHERE number IS NULL")


def rewritten(world: World, change: Callable[[int], dict[str, str]]) -> list[str]:
    """The statements of who has database and keys, and makes a history that agrees with itself."""
    with world.archive.database.read() as unit:
        entries = [one.entry for one in unit.audit.read(0, 10_000)]
    new = [replace(entry, **change(index)) for index, entry in enumerate(entries)]  # type: ignore[arg-type]
    growth = grow(0, {}, leaf_hashes(leaf_data(entry) for entry in new))
    seals = LogSeals(keyring=world.archive.keyring, entropy=world.archive.entropy)
    statements = [
        f"UPDATE audit_entries SET sealed = x'{row['sealed'].hex()}', actor_tag = x'{row['actor_tag'].hex()}', "
        f"leaf = x'{row['leaf'].hex()}' WHERE number = {index}"
        for index, entry in enumerate(new)
        if entry != entries[index]
        for row in [seals.row(entry, leaf_data(entry))]
    ]
    statements += [
        f"UPDATE audit_tiles SET hashes = x'{hashes.hex()}' WHERE level = {level} AND position = {position}"
        for (level, position), hashes in growth.tiles.items()
    ]
    return [*statements, f"UPDATE audit_head SET root = x'{growth.root.hex()}'"]


def test_a_history_rewritten_as_a_whole_is_found_by_whoever_kept_a_checkpoint(whole: World) -> None:
    """The thief has the database and even the log's key, and signs anew; the checkpoint outside is not theirs to change."""
    old, new = checkpoints(whole)
    with altered(whole, *rewritten(whole, lambda index: {"actor": "nobody"} if index == 50 else {})):
        forged = whole.archive.audit.verify()  # agrees with itself
        with pytest.raises(AuditFailure, match="history was rewritten"):
            whole.archive.audit.verify(old)
        with pytest.raises(AuditFailure, match="not those that were published"):
            whole.archive.checkpoints.check()
        key, keyring = whole.archive.checkpoints.key(), whole.archive.keyring
        fork = Checkpoint(origin=new.origin, size=new.size, root=forged.root)
        signed = notes.sign(fork, key, lambda message: keyring.sign(SIGNING_KEY, message))
        notes.verify(signed, key)  # a good signature is not enough
        with pytest.raises(AuditFailure, match="forked"):
            check_consistency(new.size, new.root, signed.size, signed.root, [])


def test_from_a_checkpoint_on_only_what_follows_is_read(whole: World) -> None:
    old, _ = checkpoints(whole)
    whole.archive.audit.verify(old)
    with altered(whole, "UPDATE audit_entries SET actor_tag = x'00' WHERE number = 3"):
        whole.archive.audit.verify(old)  # whoever kept the checkpoint has verified that before
    edit = altered(whole, "UPDATE audit_entries SET actor_tag = x'00' WHERE number = 620")
    with edit, pytest.raises(AuditFailure, match="entry 620"):
        whole.archive.audit.verify(old)
    with pytest.raises(AuditFailure, match="it was cut or put back"):
        whole.archive.audit.verify(replace(old, size=5000))


def test_entries_that_end_with_a_word_leave_their_leaves(whole: World) -> None:
    with altered(whole):
        database, audit = whole.archive.database, whole.archive.audit
        with database.read() as unit:
            ids = {one.index: one.entry.id for one in unit.audit.read(0, 10_000) if one.index in (3, 4, 299, 600)}
        digest = hashlib.sha256(b"".join(index.to_bytes(8) for index in sorted(ids))).hexdigest()
        with database.begin() as unit:
            detail = {"count": len(ids), "indexes": digest}
            said = audit.record(unit, actor="system:log", act=Act.ENTRIES_ENDED, detail=detail)
            assert unit.audit.end(ids.values(), said_in=said) == sorted(ids)
            unit.commit()
        audit.sequence()
        audit.verify()
        audit.verify(checkpoints(whole)[0])
        proof = LogProofs(database=database).of_entry("299", checkpoints(whole)[1])
        assert check(proof, whole.archive.checkpoints.key()).entry is None
        with work(whole) as rows:  # one more, under the same word
            rows.exec_driver_sql("DELETE FROM audit_entries WHERE number = 7")
            rows.exec_driver_sql("INSERT INTO audit_ended VALUES (7, ?)", (said,))
        with pytest.raises(AuditFailure, match="5 entries are missing"):
            audit.verify()


# --- proofs as files


def test_a_proof_needs_nothing_but_keys(whole: World) -> None:
    proofs, key = LogProofs(database=whole.archive.database), whole.archive.checkpoints.key()
    old, new = checkpoints(whole)
    with whole.archive.database.read() as unit:
        entry = unit.audit.read(333, 1)[0].entry
    file = proofs.of_entry(entry.id, new)
    proven = check(file, key)
    assert proven.index == 333 and proven.entry is not None and proven.entry["id"] == entry.id
    grown = check(proofs.of_growth(old, new), key)
    assert grown.old is not None and (grown.old.size, grown.checkpoint.size) == (old.size, new.size)
    document = json.loads(file)
    for change, match in (
        ({"index": 334}, "is not in the tree"),
        ({"entry": document["entry"] | {"actor": "nobody"}}, "not what its leaf says"),
        ({"proof": document["proof"][1:]}, "is not in the tree|too"),
        ({"checkpoint": document["checkpoint"].replace(f"\n{new.size}\n", f"\n{new.size + 1}\n")}, "does not verify"),
    ):
        with pytest.raises(AuditFailure, match=match):
            check(json.dumps(document | change).encode(), key)
    with pytest.raises(AuditFailure, match="take the right one"):
        check(file, whole.archive.checkpoints.key(9))
    for other in (b"{}", b"[]", b"no", json.dumps(document | {"schema": "other"}).encode()):
        with pytest.raises(InvalidInput):
            check(other, key)
    with pytest.raises(Conflict, match="newer than the last checkpoint"):
        proofs.of_entry(str(new.size), new)
