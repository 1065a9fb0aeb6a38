"""Certificates that an earlier version issued, one signature for each item, stay and are shown; later ones follow them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import text

from recvault.domain.destruction import Stage
from recvault.domain.errors import CertificateInvalid
from tests.support.archives import World, make_world, memory_parts
from tests.support.certificates import certificate_of, verified

EARLIER = (Path(__file__).parents[3] / "docs" / "certificate" / "earlier" / "inaccessible.json").read_text("utf-8")


def changed(world: World, statement: str, **values: str) -> None:
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text(statement), values)


def inaccessible() -> tuple[World, str]:
    world = make_world(parts=memory_parts())
    one = world.store("call-1").id
    world.later(days=190)
    assert world.archive.purge.run("worker-1").destroyed == [one]
    return world, one


def test_an_earlier_certificate_is_shown_as_it_was_signed_and_completed_by_a_batch() -> None:
    world, one = inaccessible()
    changed(world, "UPDATE destructions SET certificate_inaccessible = :file, inaccessible_in = NULL", file=EARLIER)
    world.later(days=8)
    completed = world.archive.purge.settle().completed
    world.later(seconds=61)
    assert completed + world.archive.purge.settle().completed == [one]
    assert certificate_of(world.archive, one) == EARLIER
    body = verified(world.archive, one, Stage.COMPLETE)
    assert body["file_inaccessible"] == hashlib.sha256(EARLIER.encode()).hexdigest()


def test_a_tombstone_that_was_altered_has_no_certificate_to_show() -> None:
    world, one = inaccessible()
    changed(world, "UPDATE destructions SET facts = replace(facts, '2026-', '2025-')")
    with pytest.raises(CertificateInvalid, match="altered"):
        certificate_of(world.archive, one)
