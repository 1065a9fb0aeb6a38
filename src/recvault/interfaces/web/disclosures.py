"""Disclosures to authorities: asking for one, those that wait, those in force, ending one.

Keeps: asking takes a recent proof; what is listed are ids, references and times, and names of customers only for whom the
register is open. Left to others: deciding (``web.approvals``), searching and opening under one (``web.searching``).
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.approvals import ProposalKind
from recvault.domain.coverage import Coverage, read_coverage
from recvault.domain.errors import InvalidInput, NotFound
from recvault.interfaces.web.approvals import people
from recvault.interfaces.web.errors import explained
from recvault.interfaces.web.fields import Fields, FieldsDep, parse_day
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, ProvedDep, see_other

router = APIRouter(route_class=PageRoute)


@router.get("/disclosures")
def show(page: PageDep) -> Response:
    """The lists, and the form."""
    return _page(page)


@router.post("/disclosures")
def ask(page: ProvedDep, fields: FieldsDep) -> Response:
    """Asks for a disclosure; another person decides."""
    try:
        page.archive.authorisations.propose_disclosure(
            page.archive.approvals,
            page.actor,
            fields.get("reference", ""),
            covers=_covers(page, fields),
            statute=fields.get("statute", ""),
            reason=fields.get("reason", ""),
        )
    except (InvalidInput, NotFound) as error:
        return _page(page, fields, fault=explained(error, page.wording)[1], status=422)
    return see_other("/disclosures")


@router.post("/disclosures/{authorisation_id}/end")
def end(authorisation_id: str, page: PageDep) -> Response:
    """Ends one before its time."""
    page.archive.authorisations.end(page.actor, authorisation_id)
    return see_other("/disclosures")


def _page(page: Page, fields: Fields | None = None, *, fault: str | None = None, status: int = 200) -> Response:
    given = page.archive.authorisations.disclosures(page.actor)
    waiting = [one for one in page.archive.approvals.open() if one.kind is ProposalKind.DISCLOSURE]
    covered = {one.id: one.covers for one in given} | {one.id: read_coverage(one.body["covers"]) for one in waiting}
    customers = (one.customer_id for one in covered.values() if one is not None and one.customer_id)
    involved = {one.holder for one in given} | {one.approved_by for one in given} | {one.proposed_by for one in waiting}
    return page.render(
        "disclosures.html",
        status,
        given=given,
        waiting=waiting,
        covered=covered,
        names=page.archive.customers.named(customers) if page.may(Action.REGISTER_READ) else {},
        people=people(page, involved),
        form=fields or {},
        fault=fault,
    )


def _covers(page: Page, fields: Fields) -> Coverage:
    """What the form names; days run from midnight to midnight of the archive's zone."""
    number = fields.get("customer", "")
    customer = page.archive.customers.id_of_number(page.actor, number) if number else None
    if number and customer is None:
        raise NotFound("there is no customer of this number; search for the customer first")
    return Coverage(
        communications=frozenset(re.split(r"[\s,;]+", fields["communications"])) - {""}
        if fields.get("communications")
        else frozenset(),
        customer_id=customer,
        started_from=_midnight(page, fields.get("day_from", ""), 0),
        started_until=_midnight(page, fields.get("day_until", ""), 1),
    )


def _midnight(page: Page, day: str, later: int) -> datetime | None:
    if not day:
        return None
    return datetime.combine(parse_day(day) + timedelta(days=later), time(), page.wording.zone)
