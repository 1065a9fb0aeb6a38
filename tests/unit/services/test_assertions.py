"""Approvals as assertions: over the exact act, stored, verified again when carried out; and proposals that expire."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from recvault.domain.access import Actor, Role
from recvault.domain.approvals import Proposal, ProposalKind, ProposalState
from recvault.domain.audit import Act, Entry
from recvault.domain.decisions import AssertionBroken, AssertionRequired, AssertionVoid, act_of, challenge_of
from recvault.domain.errors import Conflict, Forbidden
from recvault.domain.holds import Hold
from recvault.domain.notices import AlarmCode, QueuedMail
from recvault.domain.passkeys import PasskeyRefused
from recvault.services import alarms
from tests.support.archives import World
from tests.support.authenticator import Authenticator, decode
from tests.support.passkeys import approve, enrolled, passkey_world, person, signed

_NUMBERS = itertools.count()


def hold_of(world: World) -> Hold:
    receipt = world.store(f"call-{next(_NUMBERS)}")
    return world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER),
        reason="a claim",
        review_on=(world.clock.now() + timedelta(days=90)).date(),
        communication_id=receipt.id,
    ).hold


def propose(world: World, who: Actor | None = None) -> tuple[Hold, Proposal]:
    hold = hold_of(world)
    who = who or world.actor(Role.PRIVACY_HANDLER)
    body = {"scope": hold.scope.value}
    return hold, world.archive.approvals.propose(who, ProposalKind.RELEASE_HOLD, hold.id, body, "the claim is settled")


def released(world: World, hold: Hold) -> bool:
    with world.archive.database.read() as unit:
        return unit.holds.get(hold.id).released_at is not None


def standing(world: World, proposal: Proposal) -> Proposal:
    with world.archive.database.read() as unit:
        return unit.proposals.get(proposal.id)


def entries(world: World, proposal: Proposal) -> list[Entry]:
    with world.archive.database.read() as unit:
        return list(reversed(unit.audit.about(proposal.id, 100)))


def alter(world: World, proposal: Proposal, **changes: str) -> None:
    """What a person with the database's password could do to the row."""
    named = ", ".join(f"{column} = :{column}" for column in changes)
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text(f"UPDATE proposals SET {named} WHERE id = :id"), {**changes, "id": proposal.id})


@pytest.fixture(scope="module")
def shared() -> World:
    return passkey_world()


@pytest.fixture(scope="module")
def key(shared: World) -> Authenticator:
    return enrolled(shared, shared.actor(Role.APPROVER))


def test_what_a_passkey_signed_is_carried_out_and_kept(shared: World, key: Authenticator) -> None:
    hold, proposal = propose(shared)
    approver = shared.actor(Role.APPROVER)
    question = shared.archive.approvals.question(approver, proposal.id, binding="s")
    assert question.act["proposal"] == proposal.id and question.act["requester"] == proposal.proposed_by
    assert decode(str(question.options["challenge"])) == challenge_of(question.act)
    done = shared.archive.approvals.approve(approver, proposal.id, answer=key.get(question.options), binding="s")
    assert (done.state, done.assertion) == (ProposalState.CARRIED_OUT, challenge_of(question.act))
    assert released(shared, hold)
    with shared.archive.database.read() as unit:
        (kept,) = unit.passkeys.assertions(proposal.id)
        (passkey,) = unit.passkeys.of_user(approver.id)
    assert (kept.user_id, kept.signed.credential_id) == (approver.id, key.credential)
    assert challenge_of(act_of(done, approver=approver.id, nonce=kept.nonce)) == kept.signed.challenge
    told = entries(shared, proposal)[-1]
    assert (told.act, told.detail["proof"], told.detail["key"]) == (Act.CARRIED_OUT, "passkey", passkey.key_digest)


def test_without_an_assertion_nothing_is_approved_and_refusing_takes_none(shared: World) -> None:
    hold, proposal = propose(shared)
    approver = shared.actor(Role.APPROVER)
    with pytest.raises(AssertionRequired, match="open the desk"):
        shared.archive.approvals.approve(approver, proposal.id)
    keyless = person(shared, "keyless", Role.APPROVER)
    with pytest.raises(Conflict, match="has none"):
        shared.archive.approvals.question(keyless, proposal.id, binding="s")
    assert shared.archive.approvals.refuse(approver, proposal.id).state is ProposalState.REFUSED
    assert not released(shared, hold)


def test_a_challenge_of_another_act_or_session_is_refused(shared: World, key: Authenticator) -> None:
    approvals, approver = shared.archive.approvals, shared.actor(Role.APPROVER)
    (_, first), (hold, second) = propose(shared), propose(shared)
    answer = key.get(approvals.question(approver, first.id, binding="s").options)
    with pytest.raises(PasskeyRefused, match="another act"):
        approvals.approve(approver, second.id, answer=answer, binding="s")
    with pytest.raises(PasskeyRefused, match="used already"):  # taken by the attempt before
        approvals.approve(approver, first.id, answer=answer, binding="s")
    answer = key.get(approvals.question(approver, second.id, binding="s").options)
    with pytest.raises(PasskeyRefused, match="another session"):
        approvals.approve(approver, second.id, answer=answer, binding="t")
    with pytest.raises(PasskeyRefused) as refused:  # what signs people in signs no act
        options = shared.archive.passkeys.begin_sign_in("s")
        approvals.approve(approver, second.id, answer=key.get(options), binding="s")
    assert refused.value.reason == "binding"
    approvals.refuse(approver, first.id)
    approvals.refuse(approver, second.id)
    assert not released(shared, hold)


def test_an_act_altered_after_it_was_shown_is_refused(shared: World, key: Authenticator) -> None:
    approvals, approver = shared.archive.approvals, shared.actor(Role.APPROVER)
    hold, proposal = propose(shared)
    question = approvals.question(approver, proposal.id, binding="s")
    alter(shared, proposal, body='{"scope":"customer"}')
    with pytest.raises(PasskeyRefused, match="another act"):
        approvals.approve(approver, proposal.id, answer=key.get(question.options), binding="s")
    assert not released(shared, hold) and standing(shared, proposal).state is ProposalState.OPEN


def test_a_passkey_of_another_person_approves_nothing(shared: World, key: Authenticator) -> None:
    approvals = shared.archive.approvals
    other = person(shared, "other-approver", Role.APPROVER)
    theirs = enrolled(shared, other)
    hold, proposal = propose(shared)
    options = approvals.question(shared.actor(Role.APPROVER), proposal.id, binding="s").options
    with pytest.raises(PasskeyRefused, match="another account"):
        approvals.approve(shared.actor(Role.APPROVER), proposal.id, answer=theirs.get(options), binding="s")
    options = approvals.question(shared.actor(Role.APPROVER), proposal.id, binding="s").options
    with pytest.raises(PasskeyRefused, match="another act"):  # the challenge names who approves
        approvals.approve(other, proposal.id, answer=key.get(options), binding="s")
    assert not released(shared, hold)


def test_the_same_person_with_two_accounts_is_one(shared: World) -> None:
    proposer = person(shared, "twice-a", Role.PRIVACY_HANDLER)
    second = person(shared, "twice-b", Role.APPROVER)
    enrolled(shared, second)
    with shared.archive.database.begin() as unit:
        unit.accounts.put_user(replace(unit.accounts.user(second.id), person=proposer.id))
        unit.accounts.put_user(replace(unit.accounts.user(proposer.id), person=proposer.id))
        unit.commit()
    _, proposal = propose(shared, proposer)
    with pytest.raises(Forbidden, match="another account of yours"):
        shared.archive.approvals.question(second, proposal.id, binding="s")


# --- verified again when the delay is over (mode small)


def waiting_one() -> tuple[World, Actor, Authenticator, Hold, Proposal]:
    """A single person's approval that waits."""
    world = passkey_world(APPROVALS__MODE="small")
    one = person(world, "one", Role.PRIVACY_HANDLER, Role.APPROVER)
    device = enrolled(world, one)
    hold, proposal = propose(world, one)
    waiting = approve(world, one, proposal, device)
    assert (waiting.state, waiting.by_one_person) == (ProposalState.WAITING, True)
    return world, one, device, hold, proposal


def test_one_person_approves_by_passkey_and_it_is_carried_out_after_three_days() -> None:
    world, _, _, hold, proposal = waiting_one()
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == [proposal.id]
    assert released(world, hold)
    told = entries(world, proposal)
    assert [entry.act for entry in told] == [Act.PROPOSED, Act.DECIDED_ALONE, Act.CARRIED_OUT]
    assert all(entry.detail["by_one_person"] and entry.detail["proof"] == "passkey" for entry in told[1:])


def test_what_was_altered_after_the_approval_is_not_carried_out() -> None:
    world, one, device, hold, proposal = waiting_one()
    changes = (
        {"body": '{"scope":"customer"}'},
        {"reason": "another reason"},
        {"subject": "another hold"},
        {"kind": "end-purpose"},
        {"expires_at": "4000000000000000"},
    )
    waiting = [(hold, proposal), *(propose(world, one) for _ in changes[1:])]
    for (_, other), change in zip(waiting, changes, strict=True):
        if other.id != proposal.id:
            approve(world, one, other, device)
        alter(world, other, **change)
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == []
    for held, other in waiting:
        ended = standing(world, other)
        assert (ended.state, ended.decided_by) == (ProposalState.REFUSED, "system:approvals")
        assert entries(world, other)[-1].act is Act.ASSERTION_BROKEN and not released(world, held)
    for days, told in ((0, len(changes)), (8, None)):
        world.later(days=days)
        with world.archive.database.read() as unit:
            seen = alarms.of_rows(unit, world.clock.now(), suspended=False, backups=False)
        assert seen.get(AlarmCode.APPROVAL_BROKEN) == told


def test_an_approval_whose_passkey_went_is_decided_anew() -> None:
    world, one, _device, hold, proposal = waiting_one()
    (kept,) = world.archive.passkeys.of(one.id)
    world.archive.passkeys.remove(signed(world, one), kept.id)
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == []
    opened = standing(world, proposal)
    assert (opened.state, opened.assertion) == (ProposalState.OPEN, None)
    told = entries(world, proposal)[-1]
    assert (told.act, told.detail["code"]) == (Act.REOPENED, AssertionVoid.code)
    assert not released(world, hold)
    approver = world.actor(Role.APPROVER)
    done = approve(world, approver, proposal, enrolled(world, approver))
    assert done.state is ProposalState.CARRIED_OUT and released(world, hold)
    with world.archive.database.read() as unit:
        assert len(unit.passkeys.assertions(proposal.id)) == 2


def test_a_key_put_in_the_place_of_the_approvers_counts_for_nothing() -> None:
    world, _one, device, hold, proposal = waiting_one()
    stranger = Authenticator(credential=device.credential)
    numbers = stranger.create({"user": {"id": ""}, "challenge": ""})  # only for its public key
    assert numbers
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE passkeys SET public_key = X'00'"))
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == []
    assert standing(world, proposal).state is ProposalState.OPEN and not released(world, hold)


def test_a_passkey_that_the_archive_did_not_register_carries_nothing_out() -> None:
    world, _, _, hold, proposal = waiting_one()
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE passkeys SET digest = X'00'"))
    with world.archive.database.read() as unit, pytest.raises(AssertionBroken, match="not as it was registered"):
        world.archive.approvals._assertions.require(unit, unit.proposals.get(proposal.id))
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == [] and not released(world, hold)


def test_a_forged_assertion_is_found() -> None:
    world, _, _, hold, proposal = waiting_one()
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE approval_assertions SET signature = X'3006020101020101'"))
    with world.archive.database.read() as unit, pytest.raises(AssertionBroken, match="does not verify"):
        world.archive.approvals._assertions.require(unit, unit.proposals.get(proposal.id))
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == [] and not released(world, hold)


def test_a_decision_of_before_passkeys_were_asked_for_is_decided_anew() -> None:
    world, _, _, hold, proposal = waiting_one()
    with world.archive.database.schema_work() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE proposals SET assertion = NULL"))
    world.later(hours=72)
    assert world.archive.approvals.carry_out_due() == []
    assert standing(world, proposal).state is ProposalState.OPEN and not released(world, hold)


# --- expiry


def test_what_nobody_decides_expires_and_can_be_proposed_again() -> None:
    world = passkey_world()
    approver = world.actor(Role.APPROVER)
    key = enrolled(world, approver)
    hold, proposal = propose(world)
    assert proposal.expires_at == world.clock.now() + timedelta(days=14)
    question = world.archive.approvals.question(approver, proposal.id, binding="s")
    world.later(days=14)
    assert world.archive.purge is not None
    for act in (
        lambda: world.archive.approvals.question(approver, proposal.id, binding="s"),
        lambda: approve(world, approver, proposal, key),
    ):
        with pytest.raises(Conflict, match="expired"):
            act()
    with pytest.raises(PasskeyRefused, match="too late"):
        world.archive.approvals.approve(approver, proposal.id, answer=key.get(question.options), binding="s")
    assert world.archive.approvals.expire_due() == [proposal.id] and world.archive.approvals.expire_due() == []
    assert standing(world, proposal).state is ProposalState.EXPIRED
    assert entries(world, proposal)[-1].act is Act.PROPOSAL_EXPIRED
    body = {"scope": hold.scope.value}
    handler = world.actor(Role.PRIVACY_HANDLER)
    again = world.archive.approvals.propose(handler, ProposalKind.RELEASE_HOLD, hold.id, body, "again")
    world.later(days=15)  # no worker ran: proposing ends what is over
    third = world.archive.approvals.propose(handler, ProposalKind.RELEASE_HOLD, hold.id, body, "and again")
    assert standing(world, again).state is ProposalState.EXPIRED
    assert approve(world, approver, third, key).state is ProposalState.CARRIED_OUT


def test_a_decision_in_time_is_carried_out_though_its_delay_ends_later() -> None:
    world = passkey_world(APPROVALS__MODE="small", APPROVALS__EXPIRE_AFTER_DAYS="1")
    one = person(world, "one", Role.PRIVACY_HANDLER, Role.APPROVER)
    device = enrolled(world, one)
    hold, proposal = propose(world, one)
    approve(world, one, proposal, device)
    world.later(hours=30)
    assert world.archive.approvals.expire_due() == []
    approver = world.actor(Role.APPROVER)
    with pytest.raises(Conflict, match="expired"):
        approve(world, approver, proposal, enrolled(world, approver))
    world.later(hours=42)
    assert world.archive.approvals.carry_out_due() == [proposal.id] and released(world, hold)


# --- what never falls back to one


def test_a_disclosure_takes_two_also_where_there_is_one() -> None:
    world = passkey_world(APPROVALS__MODE="small")
    one = person(world, "one", Role.PRIVACY_HANDLER, Role.APPROVER)
    enrolled(world, one)
    receipt = world.store("call")
    proposal = Proposal(
        id=receipt.id,
        kind=ProposalKind.DISCLOSURE,
        subject="matter",
        body={},
        reason="an order",
        proposed_by=one.id,
        proposed_at=world.clock.now(),
    )
    with world.archive.database.begin() as unit:
        unit.proposals.add(proposal)
        unit.commit()
    with pytest.raises(Forbidden, match="another approver"):
        world.archive.approvals.question(one, proposal.id, binding="s")
    with pytest.raises(Forbidden, match="another approver"):
        approve(world, one, proposal, Authenticator())


# --- mails


def waiting_mails(world: World) -> list[QueuedMail]:
    now = world.clock.now()
    with world.archive.database.begin() as unit:
        found = unit.notices.claim(now=now, until=now + timedelta(hours=1), by="test", limit=9)
        unit.commit()
    return found


def test_approvers_are_mailed_a_link_and_the_controller_a_lone_decision() -> None:
    world = passkey_world(
        APPROVALS__MODE="small",
        APPROVALS__APPROVERS_TO="outside@company.example",
        MAIL__HOST="127.0.0.1",
        MAIL__SECURITY="none",
        MAIL__SENDER="archive@company.example",
        MAIL__ALARMS_TO="controller@company.example",
        MAIL__LANGUAGE="en",
        MAIL__PUBLIC_URL="https://archive.company.example",
    )
    one = person(world, "one", Role.PRIVACY_HANDLER, Role.APPROVER)
    _, proposal = propose(world, one)
    (mail,) = waiting_mails(world)
    assert mail.recipient == "outside@company.example"
    assert f"https://archive.company.example/approvals/{proposal.id}\n" in mail.body
    assert "settled" not in mail.subject + mail.body
    approve(world, one, proposal, enrolled(world, one))
    (mail,) = waiting_mails(world)
    assert mail.recipient == "controller@company.example" and "alone" in mail.subject and proposal.id in mail.body


def test_without_a_mail_server_nobody_is_mailed() -> None:
    world = passkey_world(APPROVALS__APPROVERS_TO="outside@company.example")
    propose(world)
    assert waiting_mails(world) == []
