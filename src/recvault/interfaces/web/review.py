"""The weekly access review: who reaches the team, what they opened and why, and the lead's confirmation.

Keeps: reading it leaves a trace; what is confirmed is the report that the page showed, by its digest.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.interfaces.web.approvals import people
from recvault.interfaces.web.fields import FieldsDep
from recvault.interfaces.web.pages import PageDep, PageRoute, see_other

router = APIRouter(route_class=PageRoute)


@router.get("/review")
def show(page: PageDep, week: str = "") -> Response:
    """The report of the last week that is over, or of the one named."""
    report, confirmed = page.archive.access_review.report(page.actor, week or None)
    involved = {one.reviewer for one in confirmed} | {one.approved_by for one in report.break_glass}
    return page.render(
        "review.html",
        report=report,
        confirmed=confirmed,
        people=people(page, involved | {one.holder for one in report.break_glass}),
        mine=any(one.reviewer == page.actor.id for one in confirmed),
        may_confirm=page.may(Action.ACCESS_CONFIRM),
    )


@router.post("/review")
def confirm(page: PageDep, fields: FieldsDep) -> Response:
    """The lead has seen it."""
    page.archive.access_review.confirm(page.actor, fields.get("week", ""), fields.get("digest", ""))
    return see_other("/review")
