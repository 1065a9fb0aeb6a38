"""Holds of every scope over a whole archive: what they cover, who may place and release them, what the ledger brings back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from recvault.domain.access import Actor, Grant, Role, Scope, ScopeKind
from recvault.domain.approvals import ProposalKind, ProposalState
from recvault.domain.communication import Channel, SearchQuery
from recvault.domain.errors import Conflict, DatabaseUnavailable, Forbidden, InvalidInput, NotFound
from recvault.domain.holds import Hold, HoldAnswer, HoldKind, HoldScope, snapshot_digest
from recvault.domain.ledger import LedgerKind
from recvault.domain.purpose import Purpose
from recvault.services import holds as hold_service
from recvault.services.following import Followed, apply
from tests.support.archives import World, make_world, scoped

NORTH = Scope(kind=ScopeKind.QUEUES, values=frozenset({"north"}))


@pytest.fixture
def world() -> World:
    return make_world()


def handler(world: World) -> Actor:
    return world.actor(Role.PRIVACY_HANDLER)


def place(world: World, actor: Actor | None = None, **scope: object) -> HoldAnswer:
    review = (world.clock.now() + timedelta(days=90)).date()
    return world.archive.holds.place(actor or handler(world), reason="a claim", review_on=review, **scope)  # type: ignore[arg-type]


def calls(world: World, *queues: str | None) -> list[str]:
    return [world.store(f"call-{number}-{queue}", queue=queue).id for number, queue in enumerate(queues)]


def entries(world: World) -> list[tuple[LedgerKind, dict[str, object]]]:
    return [(entry.kind, dict(entry.body)) for entry in world.archive.ledger._entries(1)]


# --- what a search found


def test_a_hold_on_a_search_covers_what_it_found_and_nothing_later(world: World) -> None:
    north = calls(world, "north", "north")
    south = calls(world, "south")
    answer = place(world, found_by=SearchQuery(queue="north"))
    later = world.store("call-later", queue="north").id
    assert (answer.covered, answer.hold.scope) == (2, HoldScope.SNAPSHOT)
    assert answer.hold.snapshot == snapshot_digest(north)
    with world.archive.database.read() as unit:
        assert set(unit.holds.covering([*north, *south, later])) == set(north)
    world.later(days=400)
    assert set(world.archive.purge.run("a").destroyed) == {*south, later}
    world.release(answer.hold)
    assert set(world.archive.purge.run("a").destroyed) == set(north)


def test_the_ledger_has_what_was_found_in_portions_before_the_hold(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_service, "PORTION", 2)
    ids = calls(world, *["north"] * 5)
    answer = place(world, found_by=SearchQuery(queue="north"))
    found = [(kind, body) for kind, body in entries(world) if kind in (LedgerKind.HOLD_ITEMS, LedgerKind.HOLD_PLACED)]
    assert [kind for kind, _ in found] == [LedgerKind.HOLD_ITEMS] * 3 + [LedgerKind.HOLD_PLACED]
    told = [one for _, body in found[:3] for one in body["items"]]  # type: ignore[attr-defined]
    assert told == sorted(ids)
    assert found[3][1]["snapshot"] == answer.hold.snapshot == snapshot_digest(told)
    assert "claim" not in str(found)


def test_a_search_that_finds_too_much_or_nothing_holds_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_service, "SNAPSHOT_LIMIT", 2)
    calls(world, *["north"] * 3)
    with pytest.raises(InvalidInput, match="more than 2"):
        place(world, found_by=SearchQuery(queue="north"))
    with pytest.raises(NotFound, match="nothing to hold"):
        place(world, found_by=SearchQuery(channel=Channel.SMS))
    assert world.archive.holds.list(handler(world)) == []


def test_a_database_that_was_put_back_has_the_search_hold_again_from_the_ledger(world: World) -> None:
    ids = calls(world, "north", "north")
    answer = place(world, found_by=SearchQuery(queue="north"))
    found = list(world.archive.ledger._entries(1))
    other = make_world()
    from recvault.services.following import Followed, apply

    with other.archive.database.begin() as unit:
        told = Followed()
        for entry in found:
            if entry.kind in (LedgerKind.HOLD_ITEMS, LedgerKind.HOLD_PLACED):
                apply(unit, entry, other.archive.keyring, told)
                apply(unit, entry, other.archive.keyring, told)
        unit.commit()
    with other.archive.database.read() as unit:
        again = unit.holds.get(answer.hold.id)
        covered = unit.holds.covering(ids)
    assert again == replace(answer.hold, reason=again.reason)
    assert covered == dict.fromkeys(ids, (answer.hold.id,))


def test_exactly_one_scope_is_named(world: World) -> None:
    (call,) = calls(world, "north")
    with pytest.raises(InvalidInput):
        place(world)
    with pytest.raises(InvalidInput):
        place(world, communication_id=call, found_by=SearchQuery(queue="north"))


# --- many holds, owner, review


def test_many_holds_on_one_call_are_released_one_by_one(world: World) -> None:
    (call,) = calls(world, "north")
    customer = world.archive.customers.search(handler(world), "1001")[0]
    held = [
        place(world, communication_id=call).hold,
        place(world, communication_id=call).hold,
        place(world, customer_id=customer.id).hold,
        place(world, found_by=SearchQuery(queue="north")).hold,
    ]
    world.later(days=400)
    for hold in held:
        assert world.archive.purge.run("a").destroyed == []
        world.release(hold)
    assert world.archive.purge.run("a").destroyed == [call]


def test_a_review_date_reminds_and_ends_nothing(world: World) -> None:
    (call,) = calls(world, "north")
    approver = world.actor(Role.APPROVER)
    hold = place(world, communication_id=call, owner=approver.id).hold
    assert hold.responsible == approver.id
    assert world.archive.holds.to_review() == []
    world.later(days=400)
    assert world.archive.holds.to_review() == [hold]
    assert world.archive.purge.run("a").destroyed == []
    with pytest.raises(NotFound):
        place(world, communication_id=call, owner="nobody")


# --- scope of the role


def test_a_role_limited_to_queues_holds_inside_them_only(world: World) -> None:
    north, south = calls(world, "north", "south")
    limited = scoped(handler(world), Role.PRIVACY_HANDLER, NORTH)
    customer = world.archive.customers.search(handler(world), "1001")[0]
    assert place(world, limited, communication_id=north).covered == 1
    for scope in ({"communication_id": south}, {"customer_id": customer.id}):
        with pytest.raises(Forbidden, match="out-of-scope"):
            place(world, limited, **scope)
    found = place(world, limited, found_by=SearchQuery())
    assert found.covered == 1
    elsewhere = place(world, communication_id=south).hold
    assert [hold.communication_id for hold, _ in world.archive.holds.list(limited)] == [north]
    with pytest.raises(Forbidden, match="out-of-scope"):
        world.archive.holds.propose_release(world.archive.approvals, limited, elsewhere.id, reason="r")
    # A wider role of another kind lends its reach to no hold.
    both = replace(limited, grants=(*limited.grants, Grant(role=Role.VERIFIER)))
    assert place(world, both, found_by=SearchQuery()).covered == 1


def test_an_approver_limited_to_a_team_decides_nothing(world: World) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call).hold
    proposal = world.archive.holds.propose_release(world.archive.approvals, handler(world), hold.id, reason="r")
    world.archive.accounts.set_grants("approver", (Grant(role=Role.APPROVER, scope=NORTH),), by="test")
    with pytest.raises(Forbidden, match="limited"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)


# --- report


def test_the_report_counts_what_each_hold_covers_and_keeps_back(world: World) -> None:
    first = calls(world, "north", "north", "south")
    customer = world.archive.customers.search(handler(world), "1001")[0]
    one = place(world, communication_id=first[0]).hold
    found = place(world, found_by=SearchQuery(queue="north")).hold
    world.later(days=300)
    world.store("call-new", queue="north")
    whole = place(world, customer_id=customer.id).hold
    lines = world.archive.holds.report(world.actor(Role.AUDITOR))
    assert [(line.hold, line.covered, line.kept_back) for line in lines] == [(one, 1, 1), (found, 2, 2), (whole, 4, 3)]
    with pytest.raises(Forbidden):
        world.archive.holds.report(world.actor(Role.VERIFIER))


# --- restrictions and open requests


@pytest.mark.parametrize("kind", [HoldKind.RESTRICTION, HoldKind.REQUEST])
def test_they_freeze_as_holds_do_until_they_end(world: World, kind: HoldKind) -> None:
    (call,) = calls(world, "north")
    frozen = place(world, communication_id=call, kind=kind, authority="R-7").hold
    world.later(days=400)
    assert world.archive.purge.run("a").destroyed == []
    assert [line.kept_back for line in world.archive.holds.report(handler(world))] == [1]
    if kind is HoldKind.REQUEST:
        closed = world.archive.holds.close_request(handler(world), frozen.id, reason="answered")
        assert closed.released_at == world.clock.now()
    else:
        lift(world, frozen)
    assert world.archive.purge.run("a").destroyed == [call]
    assert [kind for kind, _ in entries(world)].count(LedgerKind.HOLD_RELEASED) == 1


def lift(world: World, hold: Hold) -> None:
    told_on = world.clock.now().date()
    proposal = world.archive.holds.propose_release(
        world.archive.approvals, handler(world), hold.id, reason="settled", told_on=told_on
    )
    assert proposal.body["told_on"] == told_on.isoformat()
    world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)


def test_what_is_restricted_is_opened_by_nobody_from_that_moment_on(world: World) -> None:
    (call,) = calls(world, "north")
    verifier, trainer = world.actor(Role.VERIFIER), world.actor(Role.TRAINER)
    retrieval = world.archive.retrieval
    opened = retrieval.open(verifier, call, Purpose.VERIFICATION, case_ref="CASE-1")
    assert retrieval.playback(verifier, opened.secret).stream.plaintext_length
    hold = place(world, communication_id=call, kind=HoldKind.RESTRICTION).hold
    for act in (
        lambda: retrieval.playback(verifier, opened.secret),
        lambda: retrieval.open(verifier, call, Purpose.VERIFICATION, case_ref="CASE-1"),
        lambda: retrieval.open(handler(world), call, Purpose.REQUEST, case_ref="REQ-1"),
        lambda: world.archive.training.release(
            trainer, call, to="trainee", until=world.clock.now() + timedelta(days=1)
        ),
    ):
        with pytest.raises(Forbidden, match="restricted"):
            act()
    assert retrieval.view(verifier, call, Purpose.VERIFICATION).hold_ids == (hold.id,), "what is known of it is shown"
    lift(world, hold)
    assert retrieval.playback(verifier, opened.secret).stream.plaintext_length


@pytest.mark.parametrize("kind", [HoldKind.HOLD, HoldKind.REQUEST])
def test_other_kinds_let_it_be_opened(world: World, kind: HoldKind) -> None:
    (call,) = calls(world, "north")
    place(world, communication_id=call, kind=kind, authority="R-7")
    verifier = world.actor(Role.VERIFIER)
    assert (
        world.archive.retrieval.open(verifier, call, Purpose.VERIFICATION, case_ref="CASE-1").communication_id == call
    )


def test_a_restriction_covers_what_its_customer_or_search_covers(world: World) -> None:
    north = calls(world, "north", "south")
    customer = world.archive.customers.id_of_number(handler(world), "4711")
    place(world, found_by=SearchQuery(queue="south"), kind=HoldKind.RESTRICTION)
    with world.archive.database.read() as unit:
        assert unit.holds.restricted(north) == {north[1]}
    if customer is not None:
        place(world, customer_id=customer, kind=HoldKind.RESTRICTION)
        with world.archive.database.read() as unit:
            theirs = {row.id for row in unit.communications.find(north) if row.customer_id == customer}
            assert unit.holds.restricted(north) == {north[1]} | theirs


def test_a_restriction_is_lifted_only_after_the_customer_was_told(world: World) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call, kind=HoldKind.RESTRICTION).hold
    propose = partial(
        world.archive.holds.propose_release, world.archive.approvals, handler(world), hold.id, reason="settled"
    )
    for told_on in (None, world.clock.now().date() + timedelta(days=2)):
        with pytest.raises(InvalidInput, match="told before"):
            propose(told_on=told_on)
    with pytest.raises(Conflict, match="no open request"):
        world.archive.holds.close_request(handler(world), hold.id, reason="answered")


def test_an_open_request_has_a_reference_and_is_closed_once_by_who_handles_it(world: World) -> None:
    (call,) = calls(world, "north")
    with pytest.raises(InvalidInput, match="reference"):
        place(world, communication_id=call, kind=HoldKind.REQUEST)
    hold = place(world, communication_id=call, kind=HoldKind.REQUEST, authority="R-7").hold
    holds = world.archive.holds
    with pytest.raises(Conflict, match="close it"):
        holds.propose_release(world.archive.approvals, handler(world), hold.id, reason="settled")
    with pytest.raises(Forbidden):
        holds.close_request(world.actor(Role.TRAINER), hold.id, reason="answered")
    with pytest.raises(InvalidInput, match="reason"):
        holds.close_request(handler(world), hold.id, reason=" ")
    holds.close_request(handler(world), hold.id, reason="answered")
    with pytest.raises(Conflict, match="closed already"):
        holds.close_request(handler(world), hold.id, reason="answered")


@pytest.mark.parametrize("kind", HoldKind)
def test_a_database_that_was_put_back_has_its_kind_again_from_the_ledger(world: World, kind: HoldKind) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call, kind=kind, authority="R-7").hold
    placed = [body for entry, body in entries(world) if entry is LedgerKind.HOLD_PLACED]
    assert placed[-1]["kind"] == kind.value and "authority" not in placed[-1]
    empty = make_world()
    entry = next(one for one in world.archive.ledger._entries(1) if one.kind is LedgerKind.HOLD_PLACED)
    with empty.archive.database.begin() as unit:
        apply(unit, entry, empty.archive.keyring, Followed())
        assert unit.holds.get(hold.id).kind is kind
        older = replace(entry, body={name: value for name, value in entry.body.items() if name != "kind"} | {"id": "x"})
        apply(unit, older, empty.archive.keyring, Followed())
        assert unit.holds.get("x").kind is HoldKind.HOLD, "entries of earlier programs are holds"


# --- release: the ledger after the database


class LosingCommits:
    """A database whose commits are lost, or done and not confirmed, from a moment on."""

    def __init__(self, inner: object, *, done: bool) -> None:
        self._inner = inner
        self._done = done
        self.losing = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def begin(self) -> object:
        from contextlib import contextmanager

        @contextmanager
        def unit():  # type: ignore[no-untyped-def]
            with self._inner.begin() as real:  # type: ignore[attr-defined]
                yield Losing(real, self) if self.losing else real

        return unit()


class Losing:
    """A unit whose commit is not confirmed."""

    def __init__(self, real: object, by: LosingCommits) -> None:
        self._real = real
        self._by = by

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def commit(self) -> None:
        if self._by._done:
            self._real.commit()  # type: ignore[attr-defined]
        raise DatabaseUnavailable("lost")


def approvals_on(world: World, database: LosingCommits) -> object:
    approvals = world.archive.approvals
    approvals._database = database  # type: ignore[assignment]
    return approvals


@pytest.mark.parametrize("done", [False, True])
def test_a_release_whose_commit_is_unknown_is_looked_up_and_fails_towards_holding(world: World, done: bool) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call).hold
    proposal = world.archive.holds.propose_release(world.archive.approvals, handler(world), hold.id, reason="r")
    database = LosingCommits(world.archive.database, done=done)
    approvals_on(world, database)
    database.losing = True
    if done:
        assert (
            world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id).state is ProposalState.CARRIED_OUT
        )
    else:
        with pytest.raises(DatabaseUnavailable, match="does not stand"):
            world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    database.losing = False
    told = [kind for kind, _ in entries(world) if kind is LedgerKind.HOLD_RELEASED]
    assert len(told) == done
    world.archive.ledger.replay()
    with world.archive.database.read() as unit:
        assert (unit.holds.get(hold.id).released_at is not None) is done


def test_a_release_that_the_ledger_was_not_told_of_is_told_later(world: World) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call).hold
    with world.archive.database.begin() as unit:
        unit.holds.release(hold.id, by="somebody", at=world.clock.now())
        unit.commit()
    assert world.archive.holds.note_releases() == 1
    assert world.archive.holds.note_releases() == 0
    assert entries(world)[-1] == (LedgerKind.HOLD_RELEASED, {"id": hold.id, "by": "somebody"})


def test_a_hold_is_not_released_twice(world: World) -> None:
    (call,) = calls(world, "north")
    hold = place(world, communication_id=call).hold
    world.release(hold)
    with pytest.raises(Conflict, match="released already"):
        world.archive.holds.propose_release(world.archive.approvals, handler(world), hold.id, reason="r")
    proposal = world.archive.approvals.propose(handler(world), ProposalKind.RELEASE_HOLD, hold.id, {}, "again")
    with pytest.raises(Conflict, match="released already"):
        world.archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)


def test_a_hold_names_exactly_one_thing() -> None:
    base = {"id": "h", "reason": "r", "authority": None, "placed_by": "p"}
    world = make_world()
    now = world.clock.now()
    for scope in ((None, None, None), ("a", "b", None), ("a", None, "c")):
        with pytest.raises(ValueError, match="one communication"):
            Hold(
                **base,  # type: ignore[arg-type]
                placed_at=now,
                review_on=now.date(),
                communication_id=scope[0],
                customer_id=scope[1],
                snapshot=scope[2],
            )
