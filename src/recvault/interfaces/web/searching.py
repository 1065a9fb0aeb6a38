"""The search form and its results.

Keeps: what is searched for stays in the form's body; the next page starts after the last row seen (keyset), so that rows
destroyed meanwhile shift nothing; a trainer neither sees customers nor finds by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fastapi import APIRouter, Response

from recvault.domain.access import Action, visible_sets
from recvault.domain.communication import Communication, Party, PartyKind
from recvault.domain.customer import Agent, Customer
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.domain.purpose import Purpose
from recvault.intake.identifiers import parse_address, parse_business_id, parse_number
from recvault.interfaces.http.forms import make_cursor
from recvault.interfaces.web.errors import sentence
from recvault.interfaces.web.fields import PAGE_ROWS, FieldsDep, Filters, purpose_of
from recvault.interfaces.web.pages import WITH_REFERENCE, Page, PageDep, PageRoute, see_other

CHOICES = 20
"""Customers to choose from when a name fits several."""

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the customer box found: one customer, or contact points, or several customers to choose from."""

    customer: Customer | None = None
    points: tuple[str, ...] | None = None
    choices: tuple[Customer, ...] = ()
    more: bool = False

    @property
    def nobody(self) -> bool:
        """Whether nothing was found."""
        return self.customer is None and not self.points and not self.choices


@router.get("/")
def home(page: PageDep) -> Response:
    """The form; or, for whom searching is not, the first page that is."""
    if visible_sets(page.actor, None, page.now):
        return _form(page, Filters())
    if page.may(Action.CERTIFICATE_READ):
        return see_other("/destructions")
    return page.render("nothing.html", roles=sorted(page.actor.roles(page.now)))


@router.get("/search")
def search_page() -> Response:
    """Reloading after the browser forgot the form begins anew."""
    return see_other("/")


@router.post("/search")
def search(page: PageDep, fields: FieldsDep) -> Response:
    """One page of results, or customers to choose from."""
    if not page.purposes(Action.SEARCH):
        raise Forbidden("none of your roles searches")
    filters = Filters.read(fields)
    try:
        return _results(page, filters)
    except InvalidInput as error:
        return _form(page, filters, fault=sentence(error, page.wording), status=422)


def _form(page: Page, filters: Filters, *, fault: str | None = None, status: int = 200) -> Response:
    purposes = page.purposes(Action.SEARCH)
    chosen = next((purpose for purpose in purposes if purpose.value == filters.purpose), purposes[0])
    return page.render("search.html", status, **_shown(page, filters, chosen) | {"fault": fault})


def _results(page: Page, filters: Filters) -> Response:
    purpose = purpose_of(filters.purpose, page.purposes(Action.SEARCH))
    found = _who(page, filters, purpose)
    if found is not None and found.choices:
        return page.render("search.html", **_shown(page, filters, purpose) | {"found": found})
    if found is not None and found.nobody:
        return page.render("search.html", **_shown(page, filters, purpose) | {"found": found, "rows": []})
    customer = None if found is None else found.customer
    if customer is not None:
        filters = replace(filters, customer_id=customer.id, customer="")
    query = filters.query(
        zone=page.wording.zone,
        customer_id=None if customer is None else customer.id,
        points=None if found is None else found.points,
    )
    reference = filters.reference if purpose in WITH_REFERENCE else None
    rows = page.archive.retrieval.search(page.actor, query, purpose, reference=reference)
    result = {
        "customer": customer,
        "rows": rows,
        "names": _names(page, rows, purpose),
        "cursor": make_cursor(rows[-1]) if len(rows) == PAGE_ROWS else None,
        "first": not filters.cursor,
    }
    return page.render("search.html", **_shown(page, filters, purpose) | result)


def _shown(page: Page, filters: Filters, purpose: Purpose) -> dict[str, object]:
    """What the template needs in every case; a search that went further puts its own in place."""
    agents = agents_of(page)
    return {
        "filters": filters,
        "purpose": purpose,
        "purposes": page.purposes(Action.SEARCH),
        "with_reference": any(one in WITH_REFERENCE for one in page.purposes(Action.SEARCH)),
        "masked": page.masks(purpose),
        "agents": agents,
        "agent_names": {agent.id: agent.name for agent in agents},
        "names": {},
        "customer": None,
        "found": None,
        "fault": None,
        "rows": None,
        "cursor": None,
        "first": True,
    }


def agents_of(page: Page) -> list[Agent]:
    """The agents' directory, for whom it is open."""
    return page.archive.customers.agents(page.actor) if page.may(Action.DIRECTORY_READ) else []


def _names(page: Page, rows: Iterable[Communication], purpose: Purpose) -> dict[str, Customer]:
    if page.masks(purpose):
        return {}
    return page.archive.customers.named(row.customer_id for row in rows if row.customer_id)


def _who(page: Page, filters: Filters, purpose: Purpose) -> Found | None:
    """Whom the form names: the customer chosen before, or what the box holds; None when nobody."""
    if not filters.customer and not filters.customer_id:
        return None
    if page.masks(purpose):
        raise InvalidInput("customers are hidden from trainers; search by time, agent or queue")
    if filters.customer:
        return _look_up(page, filters.customer)
    return Found(customer=page.archive.customers.named([filters.customer_id]).get(filters.customer_id))


def _look_up(page: Page, text: str) -> Found:
    """A customer number, Y-tunnus, name, e-mail address or telephone number, tried in this order."""
    customers, actor = page.archive.customers, page.actor
    address = parse_address(text)
    if address is not None:
        return _points(page, Party(kind=PartyKind.MAILTO, value=address))
    rows = customers.search(actor, parse_business_id(text) or text, CHOICES + 1)
    exact = [row for row in rows if row.number == text]
    if len(exact) == 1 or len(rows) == 1:
        return Found(customer=(exact or rows)[0])
    if rows:
        return Found(choices=tuple(rows[:CHOICES]), more=len(rows) > CHOICES)
    number = parse_number(text, page.archive.config.telephony.region)
    return Found() if number is None else _points(page, Party(kind=PartyKind.TEL, value=number))


def _points(page: Page, party: Party) -> Found:
    return Found(points=tuple(point.id for point in page.archive.customers.points_of(page.actor, party)))
