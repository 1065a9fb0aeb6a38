"""Holds in force, and what waits for a second person.

Keeps: nothing is decided by a link; each decision is a form of its own. Names of customers are told only to whom the
register is open; a proposal shows ids, its reason, and who proposed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.errors import NotFound
from recvault.domain.holds import Hold
from recvault.domain.ids import is_uuid7
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, see_other

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
        may_release=page.may(Action.HOLD_RELEASE),
        may_view=bool(page.purposes(Action.VIEW)),
    )


@router.post("/holds/{hold_id}/release")
def propose_release(hold_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Proposes to release a hold; a second person decides."""
    page.archive.holds.propose_release(
        page.archive.approvals, page.actor, hold_id, reason=fields.get("release_reason", "")
    )
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
        me=page.actor.id,
        may_decide=page.may(Action.APPROVAL_DECIDE),
        small=page.archive.approvals.rules.mode.value == "small",
        delay_hours=int(page.archive.approvals.rules.delay.total_seconds() // 3600),
    )


@router.post("/approvals/{proposal_id}/{decision}")
def decide(proposal_id: str, decision: str, page: PageDep, fields: FieldsDep) -> Response:
    """Approves, refuses or withdraws."""
    acts = {
        "approve": page.archive.approvals.approve,
        "refuse": page.archive.approvals.refuse,
        "withdraw": page.archive.approvals.withdraw,
    }
    if decision not in acts:
        raise NotFound("there is no such page")
    acts[decision](page.actor, proposal_id)
    return see_other("/approvals")


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
