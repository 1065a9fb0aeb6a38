"""Policies are tried, put in force and applied: what the trial told is what the job does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.communication import Channel, Communication
from recvault.domain.errors import ConfigurationError, Conflict, Destroyed, Forbidden, NotFound
from recvault.domain.retention.trial import Shift, Trial
from recvault.intake.policy_file import parse_policy
from recvault.services.fact_digests import FactDigests
from recvault.services.retention import Retention
from recvault.services.retention_desk import Moved
from recvault.services.signed_policies import SignedPolicies
from tests.support.archives import POLICY, World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


def changed(version: str, *pairs: tuple[str, str]) -> str:
    text = POLICY.replace('version = "defaults-1"', f'version = "{version}"')
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


CALLS = 'match = { channels = ["call", "sms", "chat"] }\npurpose = "verification"\nkeep = "P6M"'
SHORTER = changed("shorter", (CALLS, CALLS.replace("P6M", "P1M")))
LONGER = changed("longer", (CALLS, CALLS.replace("P6M", "P12M")))


def rows(world: World) -> dict[str, Communication]:
    with world.archive.database.read() as unit:
        ids = [one.id for one in unit.retention.stored_facts(1000)]
        return {row.id: row for row in unit.communications.find(ids)}


def tried(world: World, text: str) -> tuple[Trial, dict[str, Moved]]:
    told: dict[str, Moved] = {}
    trial = world.archive.retention_desk.simulate(parse_policy(text.encode()), lambda one: told.update({one.id: one}))
    return trial, told


def put_in_force(world: World, text: str) -> None:
    world.archive.retention.put_in_force(world.actor(Role.PRIVACY_HANDLER), text)


def test_the_facts_of_a_page_are_the_facts_of_the_row(world: World) -> None:
    world.store("a", case_ref="T-1", tags=frozenset({"order", "vip"}), queue="q", team="t")
    world.store("b", channel=Channel.EMAIL, ended_at=None, remote=None)
    world.store("c", answered=False, content=b"")
    ended = world.clock.now() - timedelta(days=1)
    world.store("d", started_at=world.clock.now(), ended_at=ended)
    world.archive.retention_events.case_closed(world.actor(Role.PRIVACY_HANDLER), "T-1")
    with world.archive.database.read() as unit:
        page = unit.retention.stored_facts(10)
        found = unit.communications.find([one.id for one in page])
    assert [one.facts for one in page] == [row.facts() for row in found]
    assert [one.destroy_at for one in page] == [row.destroy_at for row in found]


def test_a_shorter_policy_tells_what_is_due_and_moves_it(world: World) -> None:
    old = [world.store(f"o{n}").id for n in range(3)]
    world.later(days=40)
    fresh = world.store("new").id
    told: list[Moved] = []
    trial = world.archive.retention_desk.simulate(parse_policy(SHORTER.encode()), told.append)
    assert (trial.rows, trial.total(Shift.NOW), trial.total(Shift.SOONER), trial.total(Shift.LATER)) == (4, 0, 4, 0)
    # Training keeps three months: verification alone does not decide.
    assert {one.id for one in told} == {*old, fresh}
    put_in_force(world, SHORTER)
    assert rows(world)[old[0]].destroy_at != told[0].after
    done = world.archive.retention_desk.apply()
    assert (done.looked_at, done.moved, done.done) == (4, 4, False)
    assert {one.id: one.after for one in told} == {row.id: row.destroy_at for row in rows(world).values()}
    assert {row.policy_version for row in rows(world).values()} == {"shorter"}
    with world.archive.database.read() as unit:
        entry = next(e for e in unit.audit.about(old[0], 5) if e.act is Act.RETENTION_MOVED)
    assert entry.detail["policy"] == "shorter"
    assert entry.detail["before"] != entry.detail["after"] == rows(world)[old[0]].destroy_at.isoformat()


def test_the_caps_of_storing_are_not_passed_by_a_longer_policy(world: World) -> None:
    receipt = world.store("a")
    put_in_force(world, LONGER)
    trial = world.archive.retention_desk.simulate(world.archive.retention.active())
    assert trial.total(Shift.SAME) == 1
    world.archive.retention_desk.apply()
    found = rows(world)[receipt.id]
    assert (found.policy_version, found.destroy_at) == ("longer", receipt.destroy_at)
    assert "fixed-cap" in {line.code for line in world.archive.retention_desk.explain(receipt.id).lines}
    later = world.store("b")
    assert later.destroy_at > receipt.destroy_at + timedelta(days=150)


def test_a_return_to_the_former_terms_brings_the_former_ends(world: World) -> None:
    receipt = world.store("a")
    for text in (SHORTER, changed("defaults-2")):
        put_in_force(world, text)
        world.archive.retention_desk.apply()
    assert rows(world)[receipt.id].destroy_at == receipt.destroy_at


def test_the_job_goes_on_where_it_stopped_and_looks_again_for_late_commits(world: World) -> None:
    from recvault.services import retention_desk

    for number in range(5):
        world.store(f"n{number}")
    put_in_force(world, SHORTER)
    before = retention_desk.BATCH
    retention_desk.BATCH = 2
    try:
        desk = world.archive.retention_desk
        assert desk.apply(batches=1).looked_at == 2
        assert desk.apply(batches=1).looked_at == 2
        assert desk.apply().looked_at == 1
    finally:
        retention_desk.BATCH = before
    assert {row.policy_version for row in rows(world).values()} == {"shorter"}
    world.later(hours=14)
    assert not desk.apply().done
    assert desk.apply().done
    assert desk.apply().looked_at == 0


def test_nothing_is_applied_before_a_person_has_signed(world: World) -> None:
    receipt = world.store("a")
    world.archive.retention.activate(SHORTER)
    assert world.archive.retention_desk.apply().version is None
    assert rows(world)[receipt.id].policy_version == "defaults-1"
    world.archive.retention.sign(world.actor(Role.PRIVACY_HANDLER), "shorter")
    assert world.archive.retention_desk.apply().moved == 1


def test_putting_in_force_signs_audits_and_is_for_a_person_with_the_right(world: World) -> None:
    with pytest.raises(Forbidden):
        world.archive.retention.put_in_force(world.actor(Role.ADMINISTRATOR), SHORTER)
    put_in_force(world, SHORTER)
    signed = world.archive.retention.signed()
    assert signed is not None
    assert (signed.version, signed.signed_by) == ("shorter", world.actor(Role.PRIVACY_HANDLER).id)
    with world.archive.database.read() as unit:
        assert {entry.act for entry in unit.audit.about("shorter", 5)} == {Act.POLICY_ACTIVATED, Act.POLICY_SIGNED}
    with pytest.raises(ConfigurationError, match="other content"):
        put_in_force(world, SHORTER.replace("P1M", "P2M"))
    put_in_force(world, LONGER)
    with pytest.raises(ConfigurationError, match="was in force before"):
        put_in_force(world, SHORTER.replace("P1M", "P2M"))
    assert world.archive.retention.adopt(POLICY).version == "longer"  # a start changes nothing that is in force


def test_an_edited_row_is_reported_and_left(world: World) -> None:
    receipt, other = world.store("a"), world.store("b")
    with world.archive.database.begin() as unit:
        row = unit.communications.get(receipt.id)
        unit.communications.set_retention(
            receipt.id,
            destroy_at=row.destroy_at - timedelta(days=100),
            purposes=row.purposes,
            policy_version=row.policy_version,
        )
        unit.commit()
    put_in_force(world, SHORTER)
    assert world.archive.retention_desk.apply().moved == 1
    assert rows(world)[other.id].policy_version == "shorter"
    assert rows(world)[receipt.id].policy_version == "defaults-1"
    with world.archive.database.read() as unit:
        assert Act.STOPPED in {entry.act for entry in unit.audit.about(receipt.id, 5)}
    world.later(days=100)
    assert receipt.id not in world.archive.purge.run("w").destroyed


def test_another_process_that_puts_a_policy_in_force_is_noticed_at_the_commit(world: World) -> None:
    archive = world.archive
    assert archive.retention.active().version == "defaults-1"  # cached here
    other = Retention(
        database=archive.database,
        period_keys=archive.period_keys,
        signatures=SignedPolicies(ledger=archive.ledger),
        digests=FactDigests(keyring=archive.keyring),
        access=archive.access,
        audit=archive.audit,
        clock=world.clock,
        zone=archive.config.retention.zone,
    )
    other.put_in_force(world.actor(Role.PRIVACY_HANDLER), SHORTER)
    receipt = world.store("a")
    assert rows(world)[receipt.id].policy_version == "shorter"
    assert rows(world)[receipt.id].destroy_at == receipt.destroy_at
    old = rows(world)[receipt.id]
    with archive.database.read() as unit, pytest.raises(Conflict, match="new retention policy"):
        archive.retention.require_current(unit, replace(old, policy_version="defaults-1"))


def test_explaining_what_is_not_there(world: World) -> None:
    receipt = world.store("a", answered=False)
    world.later(days=15)
    world.archive.purge.run("w")
    with pytest.raises(Destroyed):
        world.archive.retention_desk.explain(receipt.id)
    with pytest.raises(NotFound):
        world.archive.retention_desk.explain("nobody")
    with pytest.raises(Forbidden):
        world.archive.retention_desk.explain(receipt.id, world.actor(Role.TRAINER))


_TERM = st.sampled_from(("P14D", "P1M", "P2M", "P6M", "P11M", "P12M"))
_EVENT = st.sampled_from(("none", "case", "objection", "mark"))


@settings(max_examples=8, deadline=None)
@given(terms=st.lists(st.tuples(_TERM, _TERM), min_size=1, max_size=3), steps=st.lists(_EVENT, max_size=6))
def test_the_trial_is_the_outcome(terms: list[tuple[str, str]], steps: list[str]) -> None:
    world = make_world()
    handler = world.actor(Role.PRIVACY_HANDLER)
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"case_ref": "T-1"},
        {"channel": Channel.EMAIL},
        {"answered": False},
        {"tags": frozenset({"order"})},
    )
    ids = [world.store(f"n{n}", b"RIFF....WAVE a call", **kind).id for n, kind in enumerate(kinds)]
    for number, (calls, training) in enumerate(terms):
        for step in steps[number::3]:
            world.later(days=5)
            if step == "case":
                world.archive.retention_events.case_closed(handler, "T-1")
            elif step == "objection":
                world.archive.retention_events.object_to_training(handler, reason="x", communication_id=ids[0])
            elif step == "mark":
                world.archive.retention.do_not_keep(handler, ids[4])
        text = changed(
            f"v{number}",
            (CALLS, CALLS.replace("P6M", calls)),
            ('purpose = "training"\nkeep = "P3M"', f'purpose = "training"\nkeep = "{training}"'),
        )
        before = {row.id: row.destroy_at for row in rows(world).values()}
        trial, told = tried(world, text)
        put_in_force(world, text)
        done = world.archive.retention_desk.apply()
        after = {row.id: row.destroy_at for row in rows(world).values()}
        assert after == before | {one.id: one.after for one in told.values()}
        assert trial.rows == len(after) == done.looked_at
        assert sum(trial.after.values()) == len(told)
        for one in rows(world):
            assert not world.archive.retention_desk.explain(one).differs
