"""Authorisations: for one holder, what they cover, until they end; and requests, which name themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recvault.domain.access import Role
from recvault.domain.approvals import ProposalKind
from recvault.domain.audit import Act
from recvault.domain.communication import SearchQuery
from recvault.domain.coverage import Coverage
from recvault.domain.errors import Forbidden, InvalidInput, NotFound
from recvault.domain.purpose import Purpose
from tests.support.archives import World, configuration, make_world, memory_parts


@pytest.fixture
def world() -> World:
    return make_world()


def acts(world: World, target: str) -> list[Act]:
    with world.archive.database.read() as unit:
        return [entry.act for entry in unit.audit.about(target, 100)]


def disclosed(world: World, covers: Coverage, *, reference: str = "POL-77") -> str:
    """The id of a disclosure that was approved."""
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    proposal = archive.authorisations.propose_disclosure(
        archive.approvals, handler, reference, covers=covers, statute="Coercive Measures Act 7:3", reason="ordered"
    )
    archive.approvals.approve(world.actor(Role.APPROVER), proposal.id)
    return proposal.id


def test_an_authorisation_is_for_its_holder_its_act_and_its_time(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    covers = Coverage(communications=frozenset({world.store("call-1").id}))
    given_id = disclosed(world, covers)
    with archive.database.read() as unit:
        given = archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, given_id)
        assert given.subject == "POL-77" and given.valid_until == world.clock.now() + timedelta(days=7)
        assert given.covers == covers
        with pytest.raises(Forbidden, match="nobody authorised"):
            archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, "POL-77")
        with pytest.raises(Forbidden, match="another act"):
            archive.authorisations.require(unit, handler, ProposalKind.BREAK_GLASS, given_id)
        with pytest.raises(Forbidden, match="another person"):
            archive.authorisations.require(unit, world.actor(Role.TEAM_LEAD), ProposalKind.DISCLOSURE, given_id)
    world.later(days=7)
    with archive.database.read() as unit, pytest.raises(Forbidden, match="has ended"):
        archive.authorisations.require(unit, handler, ProposalKind.DISCLOSURE, given_id)


def test_who_asks_for_a_disclosure_names_statute_demand_and_what_it_covers(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    covers = Coverage(communications=frozenset({world.store("call-1").id}))
    for reference, statute in (("POL-77", " "), ("POL-77", "x" * 201), ("0401234501", "statute"), ("", "statute")):
        with pytest.raises(InvalidInput):
            archive.authorisations.propose_disclosure(
                archive.approvals, handler, reference, covers=covers, statute=statute, reason="ordered"
            )
    for absent in (Coverage(communications=frozenset({"nothing"})), Coverage(customer_id="nobody")):
        with pytest.raises(NotFound):
            archive.authorisations.propose_disclosure(
                archive.approvals, handler, "POL-77", covers=absent, statute="statute", reason="ordered"
            )
    with pytest.raises(Forbidden):
        archive.authorisations.propose_disclosure(
            archive.approvals, world.actor(Role.VERIFIER), "POL-77", covers=covers, statute="statute", reason="ordered"
        )


def test_an_authority_reaches_nothing_but_what_the_authorisation_covers(world: World) -> None:
    retrieval, handler = world.archive.retrieval, world.actor(Role.PRIVACY_HANDLER)
    one, other = world.store("call-1").id, world.store("call-2").id
    given = disclosed(world, Coverage(communications=frozenset({one})))
    for reference in (None, "POL-77"):
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.open(handler, one, Purpose.AUTHORITY, case_ref=reference)
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.view(handler, one, Purpose.AUTHORITY, reference=reference)
        with pytest.raises(Forbidden, match="propose a disclosure"):
            retrieval.search(handler, SearchQuery(), Purpose.AUTHORITY, reference=reference)
    with pytest.raises(Forbidden, match="does not cover"):
        retrieval.open(handler, other, Purpose.AUTHORITY, case_ref=given)
    with pytest.raises(Forbidden, match="does not cover"):
        retrieval.view(handler, other, Purpose.AUTHORITY, reference=given)
    assert retrieval.open(handler, one, Purpose.AUTHORITY, case_ref=given).length
    assert retrieval.view(handler, one, Purpose.AUTHORITY, reference=given).communication.id == one
    found = retrieval.search(handler, SearchQuery(), Purpose.AUTHORITY, reference=given)
    assert [row.id for row in found] == [one]
    assert acts(world, one).count(Act.OPEN_REFUSED) == 4 and acts(world, other).count(Act.OPEN_REFUSED) == 2


def test_the_end_of_a_disclosure_counts_at_the_next_range(world: World) -> None:
    archive, handler = world.archive, world.actor(Role.PRIVACY_HANDLER)
    call = world.store("call-1").id
    given = disclosed(world, Coverage(communications=frozenset({call})))
    with pytest.raises(Forbidden):
        archive.authorisations.end(world.actor(Role.VERIFIER), given)
    for ended_by in ("withdrawal", "time"):
        if ended_by == "time":
            given = disclosed(world, Coverage(communications=frozenset({call})), reference="POL-78")
            world.later(days=7, minutes=-10)
        opened = archive.retrieval.open(handler, call, Purpose.AUTHORITY, case_ref=given)
        playback = archive.retrieval.playback(handler, opened.secret)
        assert b"".join(archive.retrieval.read(playback, 0, 3))
        if ended_by == "time":
            world.later(minutes=11)
        else:
            archive.authorisations.end(handler, given)
            archive.authorisations.end(handler, given)  # once more changes nothing
            assert acts(world, given).count(Act.AUTHORISATION_ENDED) == 1
        with pytest.raises(Forbidden, match="has ended"):
            archive.retrieval.playback(handler, opened.secret)


def test_a_search_for_a_request_takes_its_reference(world: World) -> None:
    retrieval, handler = world.archive.retrieval, world.actor(Role.PRIVACY_HANDLER)
    call = world.store("call-1").id
    with pytest.raises(InvalidInput, match="reference of the request"):
        retrieval.search(handler, SearchQuery(), Purpose.REQUEST)
    with pytest.raises(InvalidInput, match="reference of the request"):
        retrieval.view(handler, call, Purpose.REQUEST)
    with pytest.raises(Forbidden):
        retrieval.search(handler, SearchQuery())
    assert len(retrieval.search(handler, SearchQuery(), Purpose.REQUEST, reference="REQ-1")) == 1
    assert retrieval.view(handler, call, Purpose.REQUEST, reference="REQ-1").communication.id == call


def test_content_opens_for_a_request_only_with_its_reference() -> None:
    parts = memory_parts()
    parts.config = configuration(ACCESS__REQUEST_PATTERN="REQ-[0-9]+")
    world = make_world(parts=parts)
    handler, receipt = world.actor(Role.PRIVACY_HANDLER), world.store("call-1")
    for reference in (None, "", "CASE-1"):
        with pytest.raises(InvalidInput):
            world.archive.retrieval.open(handler, receipt.id, Purpose.REQUEST, case_ref=reference, reason="claim")
    assert world.archive.retrieval.open(handler, receipt.id, Purpose.REQUEST, case_ref="REQ-1").length
