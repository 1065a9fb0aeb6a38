"""The page of one communication: what is known of it, opening, listening or reading, do-not-keep, placing a hold.

Keeps: looking at the page is a view with its trace; content comes only after the open form, by a grant that ends. Rendering
the answer to the open form itself, instead of leading on, keeps the grant out of addresses and histories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.customer import Agent, Customer
from recvault.domain.errors import Destroyed, Forbidden, InvalidInput, RecvaultError
from recvault.domain.holds import Hold, HoldKind
from recvault.domain.purpose import Purpose
from recvault.intake.media import is_playable_inline
from recvault.interfaces.http.problems import status_of
from recvault.interfaces.web.approvals import proposed_releases
from recvault.interfaces.web.details import field_lines
from recvault.interfaces.web.errors import sentence
from recvault.interfaces.web.fields import Fields, FieldsDep, Filters, parse_day, purpose_of
from recvault.interfaces.web.pages import WITH_REFERENCE, Page, PageDep, PageRoute, see_other
from recvault.interfaces.web.reading import TEXT_BYTES, Text, is_text, read_text
from recvault.services.retrieve import Opened, View

HOLD_REVIEW = timedelta(days=180)
"""When a hold is looked at again, unless the form says otherwise."""

router = APIRouter(route_class=PageRoute, prefix="/communications")


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What the open form gave: a grant, and how it is shown (``player``, ``text`` or ``download``)."""

    opened: Opened
    kind: str
    text: Text | None = None


@router.get("/{communication_id}")
def show(communication_id: str, page: PageDep, purpose: str = "") -> Response:
    """The page from a link."""
    return _page(page, communication_id, {"purpose": purpose})


@router.post("/{communication_id}")
def show_from_results(communication_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """The page from a list of results, which it can lead back to."""
    return _page(page, communication_id, fields)


@router.post("/{communication_id}/open")
def open_(communication_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Opens the content for the purpose, with its reason."""
    purpose = purpose_of(fields.get("purpose"), page.purposes(Action.OPEN))
    named = fields.get("reference" if purpose in WITH_REFERENCE else "case_ref")
    case_ref, reason = named or None, fields.get("reason") or None
    rules = page.archive.config.access
    try:
        if purpose is Purpose.VERIFICATION and not case_ref and reason not in rules.reasons:
            raise InvalidInput("choose a reason or give a case reference")
        opened = page.archive.retrieval.open(page.actor, communication_id, purpose, case_ref=case_ref, reason=reason)
    except InvalidInput as error:
        return _page(page, communication_id, fields, fault=error)
    return _page(page, communication_id, fields, content=_content(page, opened))


@router.post("/{communication_id}/do-not-keep")
def do_not_keep(communication_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """The customer asked not to be recorded."""
    page.archive.retention.do_not_keep(page.actor, communication_id)
    return _again(communication_id, fields)


@router.post("/{communication_id}/keep-after-all")
def keep_after_all(communication_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Undoes the mark."""
    page.archive.retention.keep_after_all(page.actor, communication_id)
    return _again(communication_id, fields)


@router.post("/{communication_id}/hold")
def place_hold(communication_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Holds the communication, or everything of its customer."""
    whole = fields.get("scope") == "customer"
    try:
        answer = page.archive.holds.place(
            page.actor,
            reason=fields.get("reason", ""),
            review_on=parse_day(fields.get("review_on", "")),
            authority=fields.get("authority") or None,
            communication_id=None if whole else communication_id,
            customer_id=fields.get("customer_id", "") if whole else None,
            kind=_kind(fields),
        )
    except InvalidInput as error:
        return _page(page, communication_id, fields, fault=error)
    if answer.already_destroyed:
        raise Destroyed("this communication has been destroyed")
    return _again(communication_id, fields)


def _kind(fields: Fields) -> HoldKind:
    try:
        return HoldKind(fields.get("kind") or HoldKind.HOLD)
    except ValueError:
        raise InvalidInput("choose a hold, a restriction or an open request") from None


def _again(communication_id: str, fields: Fields) -> Response:
    purpose = fields.get("purpose", "")
    known = {member.value for member in Purpose}
    return see_other(f"/communications/{communication_id}" + (f"?purpose={purpose}" if purpose in known else ""))


def _page(
    page: Page,
    communication_id: str,
    fields: Fields,
    *,
    content: Content | None = None,
    fault: RecvaultError | None = None,
) -> Response:
    purposes = page.purposes(Action.VIEW)
    if not purposes:
        raise Forbidden("none of your roles looks at communications")
    purpose = purpose_of(fields.get("purpose"), purposes)
    reference = fields.get("reference", "") if purpose in WITH_REFERENCE else ""
    if purpose in WITH_REFERENCE and not reference:
        return _ask_reference(page, communication_id, fields, purpose, purposes)
    try:
        view = page.archive.retrieval.view(page.actor, communication_id, purpose, reference=reference or None)
    except Destroyed:
        if page.may(Action.CERTIFICATE_READ):
            return see_other(f"/destructions/{communication_id}")
        raise
    return page.render(
        "communication.html",
        200 if fault is None else status_of(fault),
        view=view,
        row=view.communication,
        purpose=purpose,
        purposes=purposes,
        reference=reference,
        content=content,
        text_bytes=TEXT_BYTES,
        fault=None if fault is None else sentence(fault, page.wording),
        form=fields,
        back=Filters.read_text(fields.get("back", "")),
        **_surroundings(page, view, purpose),
    )


def _ask_reference(
    page: Page, communication_id: str, fields: Fields, purpose: Purpose, purposes: tuple[Purpose, ...]
) -> Response:
    """The reference, which no address carries, before anything of the communication is shown."""
    return page.render(
        "reference.html",
        422,
        communication_id=communication_id,
        purpose=purpose,
        purposes=purposes,
        may_disclose=page.may(Action.DISCLOSE),
        back=Filters.read_text(fields.get("back", "")),
    )


def _surroundings(page: Page, view: View, purpose: Purpose) -> Mapping[str, object]:
    """Names, holds and what may be done, for the template."""
    row = view.communication
    customer, agent = _parties(page, view)
    holds = _holds(page, view)
    restricted = any(hold.kind is HoldKind.RESTRICTION for hold in holds)
    rules = page.archive.config.access
    return {
        "customer": customer,
        "agent": agent,
        "details": field_lines(view.fields),
        "holds": holds if page.may(Action.HOLD_LIST) else [],
        "proposed": proposed_releases(page) if view.hold_ids else {},
        "reasons": () if rules.case_reference != "optional" else rules.reasons,
        "case_required": rules.case_reference != "optional",
        "restricted": restricted,
        "may_open": not restricted and page.may(Action.OPEN, row, purpose),
        "may_mark": page.may(Action.DO_NOT_KEEP, row),
        "may_hold": page.may(Action.HOLD_PLACE),
        "review_on": page.wording.iso_day(page.now + HOLD_REVIEW),
    }


def _parties(page: Page, view: View) -> tuple[Customer | None, Agent | None]:
    row = view.communication
    customer = None
    if row.customer_id and not view.masked:
        customer = page.archive.customers.named([row.customer_id]).get(row.customer_id)
    agent = None
    if row.agent_id and page.may(Action.DIRECTORY_READ):
        agent = next((one for one in page.archive.customers.agents(page.actor) if one.id == row.agent_id), None)
    return customer, agent


def _holds(page: Page, view: View) -> list[Hold]:
    """The holds on it."""
    if not view.hold_ids:
        return []
    with page.archive.database.read() as unit:
        return [unit.holds.get(hold_id) for hold_id in view.hold_ids]


def _content(page: Page, opened: Opened) -> Content:
    if is_playable_inline(opened.media_type):
        return Content(opened=opened, kind="player")
    if is_text(opened.media_type):
        return Content(opened=opened, kind="text", text=read_text(page.archive.retrieval, page.actor, opened.secret))
    return Content(opened=opened, kind="download")
