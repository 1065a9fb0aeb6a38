"""A database that was put back by an hour: it serves nothing, publishes nothing, and goes on as another log, openly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.errors import AuditFailure, DatabaseBehind
from recvault.domain.purpose import Purpose
from recvault.sealing import notes
from recvault.services.checkpoints import published
from tests.support.archives import make_world
from tests.support.worlds import sqlite_and_folder
from tests.unit.services.test_restore import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with sqlite_and_folder(tmp_path) as parts, (world := make_world(parts=parts)).archive:
        world.archive.restore.stand()
        yield Bench(world=world, parts=parts, directory=tmp_path)


def test_an_hour_is_lost_and_nobody_hides_it(bench: Bench) -> None:
    """No hold and no destruction in that hour: the ledger misses nothing. What was opened is missing."""
    world = bench.world
    archive, listener = world.archive, world.actor(Role.TRAINER)
    receipt = world.store("one")
    archive.audit.sequence()
    archive.checkpoints.publish()
    copy = bench.copy()
    archive.retrieval.open(listener, receipt.id, Purpose.TRAINING)
    archive.audit.sequence()
    ahead = archive.checkpoints.publish(at_once=True)
    assert ahead is not None
    bench.put_back(copy)
    with bench.another() as again:
        archive = again.archive
        with pytest.raises(DatabaseBehind, match=r"acts are missing.*ledger replay"):
            archive.restore.stand()
        with pytest.raises(DatabaseBehind):
            archive.retrieval.open(listener, receipt.id, Purpose.TRAINING)
        with bench.parts.database.unjudged(), pytest.raises(AuditFailure, match="were published"):
            archive.checkpoints.publish(at_once=True)

        assert archive.restore.replay().log_continued_as == 2
        archive.restore.stand()
        archive.audit.sequence()
        archive.audit.verify()
        new = archive.checkpoints.publish(at_once=True)
        assert new is not None and new.origin.endswith("/2")
        assert f"had reached {ahead.size} {ahead.root.hex()}" in new.extensions[0]
        notes.verify(new, archive.checkpoints.key())
        with pytest.raises(AuditFailure, match="take the right one"):
            notes.verify(new, archive.checkpoints.key(1))
        with bench.parts.database.read() as unit:
            said = [one.entry for one in unit.audit.read(0, 1000) if one.entry.act is Act.LOG_CONTINUED]
        assert [entry.detail["published_size"] for entry in said] == [ahead.size]
        assert archive.restore.replay().log_continued_as is None, "once is enough"
        last = published(bench.parts.keyring)
        assert last is not None and last.epoch == 2
