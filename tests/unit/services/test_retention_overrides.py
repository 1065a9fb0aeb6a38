"""Statutory overrides raise the end, by a statute of the table, with two people; they open nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Communication
from recvault.domain.errors import Conflict, Destroyed, Forbidden, InvalidInput, NotFound
from tests.support.archives import World, make_world
from tests.unit.services.test_restore import Bench, bench  # noqa: F401 - a fixture


@pytest.fixture
def world() -> World:
    return make_world()


def row(world: World, communication_id: str) -> Communication:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id)


def place(world: World, code: str, **target: str | None) -> str:
    handler, approver = world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER)
    proposal = world.archive.overrides.propose(
        world.archive.approvals, handler, code=code, reason="the auditor asked", **target
    )
    return world.archive.approvals.approve(approver, proposal.id).id


def customer_id(world: World) -> str:
    return world.archive.customers.id_of_number(world.actor(Role.ADMINISTRATOR), "1001") or ""


def test_it_moves_end_and_key_and_opens_nothing(world: World) -> None:
    receipt = world.store("a")
    override_id = place(world, "accounting-act", communication_id=receipt.id, year_end="12-31")
    year = world.clock.now().year
    found = row(world, receipt.id)
    midnight = datetime(year + 7, 1, 1, tzinfo=world.archive.config.retention.zone).astimezone(UTC)
    assert found.destroy_at == midnight
    assert found.key_id == f"day/{year + 7}-01-01/1"
    assert [p.needed_until for p in found.purposes] == [p.needed_until for p in row(world, receipt.id).purposes]
    assert max(p.needed_until for p in found.purposes) == receipt.destroy_at
    told = world.archive.retention_desk.explain(receipt.id)
    assert told.ends.decided_by == "statute:accounting-act"
    assert not told.differs
    assert {line.code for line in told.lines} >= {"statute", "destroy", "needed-until"}
    listed = world.archive.overrides.list(world.actor(Role.AUDITOR))
    assert [(view.override.id, view.covered, view.until) for view in listed] == [(override_id, 1, midnight)]
    world.later(days=400)
    assert row(world, receipt.id).live_purposes(world.clock.now()) == frozenset()
    assert world.archive.purge.run("w").destroyed == []
    world.later(days=366 * 7)
    assert world.archive.purge.run("w").destroyed == [receipt.id]


def test_a_customers_override_covers_what_arrives_later(world: World) -> None:
    before = world.store("a")
    place(world, "mifid-5", customer_id=customer_id(world))
    world.later(days=10)
    after = world.store("b")
    other = world.store("c", remote=None)
    assert row(world, before.id).destroy_at.year == world.clock.now().year + 5
    assert after.destroy_at == row(world, after.id).destroy_at > row(world, before.id).destroy_at
    assert other.destroy_at < before.destroy_at + timedelta(days=30)
    assert not world.archive.retention_desk.explain(after.id).differs


def test_taking_it_back_takes_two_and_brings_the_old_end(world: World) -> None:
    receipt = world.store("a")
    override_id = place(world, "mifid-7", communication_id=receipt.id)
    handler, approver = world.actor(Role.PRIVACY_HANDLER), world.actor(Role.APPROVER)
    proposal = world.archive.overrides.propose_end(world.archive.approvals, handler, override_id, "placed by mistake")
    with pytest.raises(Forbidden):
        world.archive.approvals.approve(handler, proposal.id)
    world.archive.approvals.approve(approver, proposal.id)
    assert row(world, receipt.id).destroy_at == receipt.destroy_at
    with pytest.raises(Conflict, match="ended before"):
        world.archive.overrides.propose_end(world.archive.approvals, handler, override_id, "again")
    with world.archive.database.read() as unit:
        acts = [entry.act for entry in unit.audit.about(receipt.id, 20)]
        ended = unit.retention.override(override_id)
    assert {Act.OVERRIDE_PLACED, Act.OVERRIDE_ENDED} <= set(acts)
    assert (ended.ended_at, ended.approved_by, ended.placed_by) == (world.clock.now(), approver.id, handler.id)


def test_defence_of_claims_is_apart_and_renewed(world: World) -> None:
    receipt = world.store("a")
    first = place(world, "defence-of-claims", communication_id=receipt.id)
    once = row(world, receipt.id).destroy_at
    assert once.year == world.clock.now().year + 3
    world.later(days=200)
    place(world, "defence-of-claims", communication_id=receipt.id)
    assert row(world, receipt.id).destroy_at == once + timedelta(days=200)
    lines = world.archive.retention_desk.explain(receipt.id).lines
    assert [line.text for line in lines if line.code == "statute"] == [
        "a ground of legitimate interest, no obligation, keeps it"
    ] * 2
    with world.archive.database.read() as unit:
        assert not unit.retention.override(first).statute.mandatory


def test_it_goes_before_the_do_not_keep_mark(world: World) -> None:
    receipt = world.store("a")
    place(world, "mifid-5", communication_id=receipt.id)
    world.archive.retention.do_not_keep(world.actor(Role.PRIVACY_HANDLER), receipt.id)
    world.later(days=2)
    assert world.archive.purge.run("w").destroyed == []
    assert row(world, receipt.id).live_purposes(world.clock.now()) == frozenset()


def test_what_cannot_be_placed(world: World) -> None:
    handler, approvals = world.actor(Role.PRIVACY_HANDLER), world.archive.approvals
    receipt = world.store("a", answered=False)
    for wrong in ({"code": "no-such-act"}, {"code": "accounting-act"}, {"code": "accounting-act", "year_end": "13-40"}):
        with pytest.raises(InvalidInput):
            world.archive.overrides.propose(approvals, handler, reason="x", communication_id=receipt.id, **wrong)
    with pytest.raises(InvalidInput, match="leave its end out"):
        world.archive.overrides.propose(
            approvals, handler, code="mifid-5", reason="x", communication_id=receipt.id, year_end="12-31"
        )
    with pytest.raises(InvalidInput, match="either"):
        world.archive.overrides.propose(approvals, handler, code="mifid-5", reason="x")
    with pytest.raises(NotFound):
        world.archive.overrides.propose(approvals, handler, code="mifid-5", reason="x", customer_id="nobody")
    with pytest.raises(Forbidden):
        world.archive.overrides.propose(
            approvals, world.actor(Role.TRAINER), code="mifid-5", reason="x", communication_id=receipt.id
        )
    world.later(days=5)
    waiting = world.archive.overrides.propose(
        approvals, handler, code="mifid-5", reason="x", communication_id=receipt.id
    )
    world.later(days=10)
    world.archive.purge.run("w")
    with pytest.raises(Destroyed):
        approvals.approve(world.actor(Role.APPROVER), waiting.id)
    with pytest.raises(Destroyed):
        world.archive.overrides.propose(approvals, handler, code="mifid-5", reason="x", communication_id=receipt.id)


def test_a_restore_loses_no_override(bench: Bench) -> None:  # noqa: F811
    receipt = bench.world.store("a", remote=None)
    copy = bench.copy()
    place(bench.world, "mifid-5", communication_id=receipt.id)
    end = row(bench.world, receipt.id).destroy_at
    bench.put_back(copy)
    with bench.another() as again:
        again.archive.restore.replay()
        assert row(again, receipt.id).destroy_at == receipt.destroy_at
        assert again.archive.overrides.settle_replayed() == 1
        assert again.archive.overrides.settle_replayed() == 0
        assert row(again, receipt.id).destroy_at == end
        assert not again.archive.retention_desk.explain(receipt.id).differs
        (view,) = again.archive.overrides.list(again.actor(Role.AUDITOR))
        assert (view.override.statute.code, view.override.reason) == ("mifid-5", "replayed from the ledger")
        again.later(days=400)
        assert again.archive.purge.run("w").destroyed == []


def test_before_its_ends_are_moved_a_replayed_override_destroys_nothing(bench: Bench) -> None:  # noqa: F811
    receipt = bench.world.store("a")
    copy = bench.copy()
    place(bench.world, "mifid-5", customer_id=customer_id(bench.world))
    bench.put_back(copy)
    with bench.another() as again:
        again.archive.restore.replay()
        again.later(days=400)
        report = again.archive.purge.run("w")
        assert (report.destroyed, report.stopped) == ([], [receipt.id])


def test_an_override_that_was_taken_back_stays_so_after_a_restore(bench: Bench) -> None:  # noqa: F811
    receipt = bench.world.store("a")
    override_id = place(bench.world, "mifid-5", communication_id=receipt.id)
    copy = bench.copy()
    handler, approver = bench.world.actor(Role.PRIVACY_HANDLER), bench.world.actor(Role.APPROVER)
    archive = bench.world.archive
    proposal = archive.overrides.propose_end(archive.approvals, handler, override_id, "mistaken")
    archive.approvals.approve(approver, proposal.id)
    bench.put_back(copy)
    with bench.another() as again:
        again.archive.restore.replay()
        assert again.archive.overrides.settle_replayed() == 1
        assert row(again, receipt.id).destroy_at == receipt.destroy_at
        assert again.archive.overrides.list(again.actor(Role.AUDITOR)) == []
