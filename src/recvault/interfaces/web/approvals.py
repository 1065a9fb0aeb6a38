"""Holds in force, and what waits for a second person.

Keeps: nothing is decided by a link: each decision is a form of its own, and an approval is what the approver's passkey
signed over the act that the page shows. Names of customers are told only to whom the
register is open; a proposal shows ids, its reason, and who proposed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.approvals import NEVER_ALONE, Mode, Proposal, ProposalKind, ProposalState
from recvault.domain.decisions import Proof
from recvault.domain.errors import NotAuthenticated, NotFound
from recvault.domain.holds import Hold
from recvault.domain.ids import is_uuid7
from recvault.interfaces.web.fields import Fields, FieldsDep, parse_day
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, ProvedDep, see_other
from recvault.interfaces.web.passkeys import answer_of, elsewhere
from recvault.services.assertions import Question

router = APIRouter(route_class=PageRoute)

DECIDED_SHOWN = 15
"""Decisions that the page shows below what waits."""


@router.get("/holds")
def list_holds(page: PageDep) -> Response:
    """Every hold in force inside the person's scope."""
    lines = page.archive.holds.report(page.actor)
    names = {}
    if page.may(Action.REGISTER_READ):
        names = page.archive.customers.named(line.hold.customer_id for line in lines if line.hold.customer_id)
    return page.render(
        "holds.html",
        lines=lines,
        names=names,
        people=people(page, (line.hold.responsible for line in lines)),
        proposed=proposed_releases(page),
        may_release=page.may(Action.HOLD_RELEASE) or page.may(Action.HOLD_PLACE),
        may_view=bool(page.purposes(Action.VIEW)),
    )


@router.post("/holds/{hold_id}/release")
def propose_release(hold_id: str, page: ProvedDep, fields: FieldsDep) -> Response:
    """Proposes to release a hold; a second person decides."""
    told_on = fields.get("told_on")
    page.archive.holds.propose_release(
        page.archive.approvals,
        page.actor,
        hold_id,
        reason=fields.get("release_reason", ""),
        told_on=parse_day(told_on) if told_on else None,
    )
    return _back(fields)


@router.post("/holds/{hold_id}/close")
def close_request(hold_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Closes an open request of a customer."""
    page.archive.holds.close_request(page.actor, hold_id, reason=fields.get("release_reason", ""))
    return _back(fields)


def _back(fields: Fields) -> Response:
    back = fields.get("communication_id", "")
    return see_other(f"/communications/{back}" if is_uuid7(back) else "/holds")


@router.get("/approvals")
def list_approvals(page: PageDep) -> Response:
    """What waits, oldest first, and the latest decisions."""
    found = page.archive.approvals.list(page.actor)
    decided = found.decided[:DECIDED_SHOWN]
    shown = (*found.standing, *decided)
    involved = (who for one in shown for who in (one.proposed_by, one.decided_by) if who)
    return page.render(
        "approvals.html",
        standing=found.standing,
        decided=decided,
        people=people(page, involved),
        held=_holds_of(page, shown),
        untils={one.id: datetime.fromisoformat(str(one.body["until"])) for one in shown if "until" in one.body},
        acts={one.id: _acts(page, one) for one in found.standing},
        small=page.archive.approvals.rules.mode.value == "small",
        delay_hours=int(page.archive.approvals.rules.delay.total_seconds() // 3600),
    )


@router.get("/approvals/{proposal_id}")
def show(proposal_id: str, page: PageDep) -> Response:
    """One proposal: where a mailed link leads."""
    return _one(page, proposal_id, None)


@router.post("/approvals/{proposal_id}/approve")
def approve(proposal_id: str, page: PageDep) -> Response:
    """Asks for the approver's passkey over this act, or approves where the account is enough."""
    approvals = page.archive.approvals
    if approvals.rules.proof is Proof.ACCOUNT:
        page.archive.sessions.require_proof(page.actor)
        approvals.approve(page.actor, proposal_id)
        return see_other("/approvals")
    return _one(page, proposal_id, approvals.question(page.actor, proposal_id, binding=_session_of(page)))


@router.post("/approvals/{proposal_id}/answer")
def answer(proposal_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Approves with what the passkey signed."""
    page.archive.approvals.approve(page.actor, proposal_id, answer=answer_of(fields), binding=_session_of(page))
    return see_other("/approvals")


@router.post("/approvals/{proposal_id}/{decision}")
def decide(proposal_id: str, decision: str, page: PageDep) -> Response:
    """Refuses or withdraws."""
    acts = {"refuse": page.archive.approvals.refuse, "withdraw": page.archive.approvals.withdraw}
    if decision not in acts:
        raise NotFound("there is no such page")
    acts[decision](page.actor, proposal_id)
    return see_other("/approvals")


def _one(page: Page, proposal_id: str, question: Question | None) -> Response:
    approvals = page.archive.approvals
    found = approvals.get(page.actor, proposal_id)
    return page.render(
        "approval.html",
        one=found,
        people=people(page, (who for who in (found.proposed_by, found.decided_by) if who)),
        held=_holds_of(page, [found]),
        body=_in_detail(found),
        until=datetime.fromisoformat(str(found.body["until"])) if "until" in found.body else None,
        over=found.is_over(page.now),
        acts=_acts(page, found),
        options=None if question is None else json.dumps(question.options),
        elsewhere=None if question is None else elsewhere(page, f"/approvals/{proposal_id}"),
        small=approvals.rules.mode is Mode.SMALL,
        delay_hours=int(approvals.rules.delay.total_seconds() // 3600),
    )


def _in_detail(one: Proposal) -> list[tuple[str, str]]:
    """What is to be done, as it stands in the proposal: an approver signs it, so an approver sees it."""
    told = ((name, value) for name, value in sorted(one.body.items()) if name != "until")
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))
        for name, value in told
    ]


def _acts(page: Page, one: Proposal) -> frozenset[str]:
    """What is worth offering to this person; the service decides again."""
    if not one.standing or one.is_over(page.now):
        return frozenset()
    own, waits = one.proposed_by == page.actor.id, one.state is ProposalState.WAITING
    alone = page.archive.approvals.rules.mode is Mode.SMALL and one.kind not in NEVER_ALONE and not waits
    may = page.may(Action.APPROVAL_DECIDE)
    acts = {
        "approve": may and (alone if own else not waits or one.by_one_person),
        "refuse": may and not own,
        "withdraw": own,
    }
    return frozenset(name for name, offered in acts.items() if offered)


def _session_of(page: Page) -> str:
    if page.signed_in is None:
        raise NotAuthenticated("sign in")
    return page.signed_in.session.id


def proposed_releases(page: Page) -> Mapping[str, Proposal]:
    """Releases that wait for a decision or a delay, by the hold's id."""
    standing = (*page.archive.approvals.open(), *page.archive.approvals.waiting())
    return {one.subject: one for one in standing if one.kind is ProposalKind.RELEASE_HOLD}


def _holds_of(page: Page, proposals: Iterable[Proposal]) -> Mapping[str, Hold]:
    """The holds whose release is proposed, by id, for whom holds are open."""
    if not page.may(Action.HOLD_LIST):
        return {}
    with page.archive.database.read() as unit:
        ids = {one.subject for one in proposals if one.kind is ProposalKind.RELEASE_HOLD}
        return {hold_id: unit.holds.get(hold_id) for hold_id in ids}


def people(page: Page, ids: Iterable[str]) -> Mapping[str, str]:
    """Names of persons of the house by account id; an account that is gone has none."""
    wanted = set(ids)
    return {user.id: user.display_name for user in page.archive.accounts.users() if user.id in wanted}
