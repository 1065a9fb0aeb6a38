"""The spine on in-memory parts: stored, found, played, held, destroyed, certified."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Attention, SearchQuery
from recvault.domain.destruction import Stage
from recvault.domain.errors import (
    CertificateInvalid,
    ConflictKeptAside,
    ContentMismatch,
    Destroyed,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
)
from recvault.domain.purpose import Purpose
from recvault.services.certificates import verify_certificate
from tests.support.archives import World, make_world
from tests.support.certificates import certificate_of, verified

CALL = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(range(256)) * 300


@pytest.fixture
def world() -> World:
    return make_world()


def played(world: World, role: Role, secret: str, first: int, last: int) -> bytes:
    playback = world.archive.retrieval.playback(world.actor(role), secret)
    return b"".join(world.archive.retrieval.read(playback, first, last))


def test_a_call_is_stored_found_and_played(world: World) -> None:
    receipt = world.store("call-1", CALL)
    assert receipt.sha256 == hashlib.sha256(CALL).hexdigest()
    assert receipt.length == len(CALL)
    assert receipt.destroy_at > world.clock.now()

    customer = world.archive.customers.search(world.actor(Role.VERIFIER), "virtanen")[0]
    query = SearchQuery(customer_id=customer.id)
    rows = world.archive.retrieval.search(world.actor(Role.VERIFIER), query, Purpose.VERIFICATION)
    assert [row.id for row in rows] == [receipt.id]

    opened = world.archive.retrieval.open(world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, case_ref="T-1")
    assert opened.filename == "20261122-+358401234501.wav"
    assert played(world, Role.VERIFIER, opened.secret, 20_000, 40_000) == CALL[20_000:40_001]


def test_the_stored_object_is_ciphertext(world: World) -> None:
    receipt = world.store("call-1", b"puhelinnumero " * 5000)
    (version,) = world.archive.store.list_versions(f"{receipt.id}/")
    sealed = b"".join(world.archive.store.get(version.name, version.version_id))
    assert b"puhelin" not in sealed


def stored(world: World) -> list[str]:
    """Names of the objects in the store, the ledger's apart."""
    return [v.name for v in world.archive.store.list_versions("") if not v.name.startswith("ledger/")]


def test_sent_again_gives_the_first_receipt(world: World) -> None:
    first = world.store("call-1", CALL)
    again = world.store("call-1", CALL)
    assert (again.id, again.sha256, again.already_stored) == (first.id, first.sha256, True)
    assert stored(world) == [f"{first.id}/original.1"]


def test_sent_again_with_its_digest_stores_nothing(world: World) -> None:
    first = world.store("call-1", CALL)
    again = world.store("call-1", CALL, sha256=first.sha256)
    assert again.id == first.id and again.already_stored
    with pytest.raises(ContentMismatch):
        world.store("call-1", CALL + b"x", sha256=first.sha256)


def test_other_content_under_the_same_id_is_kept_aside(world: World) -> None:
    first = world.store("call-1", CALL)
    with pytest.raises(ConflictKeptAside) as refused:
        world.store("call-1", CALL + b"other")
    with world.archive.database.read() as unit:
        aside = unit.communications.get(refused.value.kept_as)
        original = unit.communications.get(first.id)
    assert aside.conflict_of == first.id
    assert Attention.CONFLICTING_CONTENT in aside.attention
    assert Attention.CONFLICTING_CONTENT in original.attention


def test_the_same_conflicting_content_is_kept_aside_once(world: World) -> None:
    world.store("call-1", CALL)
    kept: set[str] = set()
    for _ in range(3):
        with pytest.raises(ConflictKeptAside) as refused:
            world.store("call-1", CALL + b"other")
        kept.add(refused.value.kept_as)
    assert len(kept) == 1
    assert len(stored(world)) == 2


def test_a_cut_upload_leaves_nothing(world: World) -> None:
    with pytest.raises(ContentMismatch):
        world.store("call-1", CALL, length=len(CALL) + 1)
    assert stored(world) == []


def test_a_revoked_source_stores_nothing(world: World) -> None:
    world.archive.sources.revoke("pbx", by="system:test")
    with pytest.raises(NotAuthenticated):
        world.store("call-1", CALL)
    assert stored(world) == []


def test_an_unknown_number_is_accepted_and_marked(world: World) -> None:
    receipt = world.store("call-1", CALL, remote=None)
    assert Attention.UNKNOWN_CUSTOMER in receipt.needs_attention


def test_the_wrong_role_and_purpose_are_refused_with_a_trace(world: World) -> None:
    receipt = world.store("call-1", CALL)
    for role, purpose in ((Role.AUDITOR, Purpose.VERIFICATION), (Role.TRAINER, Purpose.VERIFICATION)):
        with pytest.raises(Forbidden):
            world.archive.retrieval.open(world.actor(role), receipt.id, purpose, reason="complaint")
    world.archive.audit.sequence()
    with world.archive.database.read() as unit:
        acts = [entry.act.value for entry in unit.audit.about(receipt.id, 10)]
    assert acts.count("communication:content:open-refused") == 2


def test_a_trainer_hears_but_is_not_told_who_called(world: World) -> None:
    receipt = world.store("call-1", CALL)
    view = world.archive.retrieval.view(world.actor(Role.TRAINER), receipt.id, Purpose.TRAINING)
    assert view.masked and "remote" not in view.fields
    opened = world.archive.retrieval.open(world.actor(Role.TRAINER), receipt.id, Purpose.TRAINING)
    assert opened.filename is None


def test_training_ends_before_verification(world: World) -> None:
    receipt = world.store("call-1", CALL)
    world.later(days=120)
    with pytest.raises(Forbidden):
        world.archive.retrieval.open(world.actor(Role.TRAINER), receipt.id, Purpose.TRAINING)
    world.archive.retrieval.open(world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, reason="complaint")


def test_a_grant_is_bound_to_its_person_and_ends(world: World) -> None:
    receipt = world.store("call-1", CALL)
    opened = world.archive.retrieval.open(
        world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, reason="complaint"
    )
    with pytest.raises(NotFound):
        played(world, Role.TEAM_LEAD, opened.secret, 0, 1)
    world.later(minutes=16)
    with pytest.raises(NotFound):
        played(world, Role.VERIFIER, opened.secret, 0, 1)


def test_what_is_due_is_destroyed_and_certified(world: World) -> None:
    receipt = world.store("call-1", CALL)
    kept = world.store("call-2", CALL, case_ref="T-9")
    world.later(days=190)
    report = world.archive.purge.run("worker-1")
    assert report.destroyed == [receipt.id]
    assert world.archive.purge.absent(receipt.id)
    with pytest.raises(Destroyed):
        world.archive.retrieval.open(world.actor(Role.VERIFIER), receipt.id, Purpose.VERIFICATION, reason="complaint")
    with pytest.raises(Destroyed):
        world.store("call-1", CALL)
    with world.archive.database.read() as unit:
        assert unit.communications.get(kept.id).wrapped_key is not None
    body = verified(world.archive, receipt.id)
    assert body["item"] == receipt.id and body["stage"] == "inaccessible"


def test_the_certificate_is_complete_when_the_day_key_is_gone(world: World) -> None:
    receipt = world.store("call-1", CALL)
    world.later(days=190)
    report = world.archive.purge.run("worker-1")
    assert report.keys_destroyed and not report.completed  # another process may still hold the key for a minute
    world.later(seconds=61)
    report = world.archive.purge.run("worker-1")
    assert report.completed == [receipt.id]
    with world.archive.database.read() as unit:
        tombstone = unit.destructions.get(receipt.id)
    assert tombstone.stage is Stage.COMPLETE
    body = verified(world.archive, receipt.id, Stage.COMPLETE)
    assert body["stage"] == "complete"


def test_an_altered_certificate_does_not_verify(world: World) -> None:
    world.store("call-1", CALL)
    world.later(days=190)
    (destroyed,) = world.archive.purge.run("worker-1").destroyed
    envelope = certificate_of(world.archive, destroyed)
    place = len('{"certificate":{"payload":"') + 40
    altered = envelope[:place] + ("A" if envelope[place] != "A" else "B") + envelope[place + 1 :]
    with pytest.raises(CertificateInvalid):
        verify_certificate(altered.encode(), world.archive.certificates.public_key())


@pytest.mark.parametrize("scope", ["communication", "customer"])
def test_a_hold_keeps_and_its_release_lets_go(world: World, scope: str) -> None:
    receipt = world.store("call-1", CALL)
    handler = world.actor(Role.PRIVACY_HANDLER)
    customer = world.archive.customers.search(handler, "1001")[0]
    world.later(days=190)
    answer = world.archive.holds.place(
        handler,
        reason="claim",
        review_on=(world.clock.now() + timedelta(days=30)).date(),
        communication_id=receipt.id if scope == "communication" else None,
        customer_id=customer.id if scope == "customer" else None,
    )
    assert answer.covered == 1
    assert world.archive.purge.run("worker-1").destroyed == []
    world.later(days=3)
    assert world.archive.purge.run("worker-1").destroyed == []
    world.release(answer.hold)
    assert world.archive.purge.run("worker-1").destroyed == [receipt.id]


def test_a_hold_that_outlives_the_day_moves_the_key_to_the_frozen_month(world: World) -> None:
    receipt = world.store("call-1", CALL)
    handler = world.actor(Role.PRIVACY_HANDLER)
    world.archive.holds.place(
        handler, reason="claim", review_on=world.clock.now().date() + timedelta(days=400), communication_id=receipt.id
    )
    world.later(days=190)
    world.archive.purge.run("worker-1")
    with world.archive.database.read() as unit:
        row = unit.communications.get(receipt.id)
        assert row.key_id.startswith("frozen/")
        assert len(unit.communications.wrapped_by([receipt.id])[receipt.id]) == 2
    opened = world.archive.retrieval.open(handler, receipt.id, Purpose.REQUEST, case_ref="REQ-1")
    assert played(world, Role.PRIVACY_HANDLER, opened.secret, 0, len(CALL) - 1) == CALL


def test_an_unsigned_policy_destroys_nothing() -> None:
    world = make_world(signed=False)
    world.store("call-1", CALL)
    world.later(days=190)
    report = world.archive.purge.run("worker-1")
    assert report.destroyed == [] and "not signed" in (report.stopped_because or "")


def test_an_edited_end_is_not_destroyed_but_reported(world: World) -> None:
    receipt = world.store("call-1", CALL)
    with world.archive.database.begin() as unit:
        row = unit.communications.get(receipt.id)
        unit.communications.set_retention(
            row.id, destroy_at=world.clock.now(), purposes=row.purposes, policy_version=row.policy_version
        )
        unit.commit()
    world.later(hours=1)
    report = world.archive.purge.run("worker-1")
    assert report.destroyed == [] and report.stopped == [receipt.id]


def test_do_not_keep_destroys_after_a_day_unless_undone(world: World) -> None:
    lead = world.actor(Role.TEAM_LEAD)
    undone, kept = world.store("call-1", CALL), world.store("call-2", CALL)
    for receipt in (undone, kept):
        world.archive.retention.do_not_keep(lead, receipt.id)
    world.archive.retention.keep_after_all(lead, undone.id)
    world.later(hours=25)
    assert world.archive.purge.run("worker-1").destroyed == [kept.id]


def test_an_old_call_is_accepted_destroyed_and_complete(world: World) -> None:
    long_ago = datetime(2024, 3, 1, 9, 0, tzinfo=UTC)
    receipt = world.store("old-1", CALL, started_at=long_ago, ended_at=long_ago + timedelta(minutes=4))
    assert Attention.OVERDUE_ON_ARRIVAL in receipt.needs_attention
    assert world.archive.purge.run("worker-1").destroyed == [receipt.id]
    world.later(seconds=61)
    assert world.archive.purge.run("worker-1").completed == [receipt.id]


def test_ciphertext_without_a_row_is_swept_after_a_day(world: World) -> None:
    receipt = world.store("call-1", CALL)
    orphan = receipt.id[:-4] + "ffff"
    world.archive.store.put(f"{orphan}/original.1", [b"ciphertext"])
    assert world.archive.sweeper.run() == []
    world.later(hours=25)
    assert world.archive.sweeper.run() == [orphan]
    assert stored(world) == [f"{receipt.id}/original.1"]


def test_audit_log_and_ledger_verify(world: World) -> None:
    world.store("call-1", CALL)
    world.later(days=190)
    world.archive.purge.run("worker-1")
    world.archive.audit.sequence()
    assert world.archive.audit.verify().size > 5
    assert world.archive.ledger.verify().sequence == 4  # policy signed, intent, outcome, keys


def test_the_log_knows_the_case_and_no_person(world: World) -> None:
    receipt = world.store("call-1", CALL)
    verifier = world.actor(Role.VERIFIER)
    world.archive.retrieval.open(verifier, receipt.id, Purpose.VERIFICATION, case_ref="T-2026/17")
    with world.archive.database.read() as unit:
        (entry,) = (e for e in unit.audit.about(receipt.id, 10) if e.act is Act.OPENED)
    assert entry.detail == {"case": "T-2026/17"}
    for person in ("Matti Virtanen", "+358401234501", "0401234501", "131052-308T"):
        with pytest.raises(InvalidInput):
            world.archive.retrieval.open(verifier, receipt.id, Purpose.VERIFICATION, case_ref=person)
