"""Who holds which role: giving one, taking one away, and roles of some hours (break-glass).

Keeps: giving takes a recent proof; taking away takes none and is at once; nobody's role is read from a form that could be
older than the account: what is taken is named by role and scope, what is given is added to what the account has then. Left to
others: what waits for whom (``services.grants``), deciding (``web.approvals``).
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from fastapi import APIRouter, Response

from recvault.domain.access import Action, Grant, Role, Scope, ScopeKind
from recvault.domain.approvals import Proposal, ProposalKind
from recvault.domain.errors import Conflict, InvalidInput
from recvault.interfaces.web import words
from recvault.interfaces.web.approvals import people
from recvault.interfaces.web.errors import explained
from recvault.interfaces.web.fields import Fields, FieldsDep, parse_day
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, ProvedDep, see_other

router = APIRouter(route_class=PageRoute)


@router.get("/roles")
def show(page: PageDep) -> Response:
    """Every account that is open, its roles, and what waits."""
    return _roles(page)


@router.post("/roles")
def give(page: ProvedDep, fields: FieldsDep) -> Response:
    """One role more: at once, or proposed where it takes an approval."""
    account = fields.get("account", "")
    try:
        wanted = _grant(page, fields)
        user = next((one for one in page.archive.accounts.users() if one.id == account), None)
        if user is None:
            raise InvalidInput("choose a person")
        page.archive.grants.set_roles(
            page.archive.approvals, page.actor, user.id, (*user.grants, wanted), reason=fields.get("reason", "")
        )
    except (InvalidInput, Conflict) as error:
        return _roles(page, fields, fault=explained(error, page.wording)[1], status=422)
    return see_other("/roles")


@router.post("/roles/{account_id}/take")
def take(account_id: str, page: PageDep, fields: FieldsDep) -> Response:
    """Takes a role away, at once."""
    page.archive.access.require(page.actor, Action.ROLE_GRANT)
    with page.archive.database.read() as unit:
        user = unit.accounts.user(account_id)
    kept = [one for one in user.grants if named(one) != fields.get("grant")]
    page.archive.grants.set_roles(page.archive.approvals, page.actor, user.id, kept, reason="")
    return see_other("/roles")


@router.get("/break-glass")
def show_break_glass(page: PageDep) -> Response:
    """What is open, what waits, and the form."""
    return _break_glass(page)


@router.post("/break-glass")
def begin(page: ProvedDep, fields: FieldsDep) -> Response:
    """Proposes a role of some hours."""
    try:
        hours = fields.get("hours", "")
        page.archive.grants.propose_break_glass(
            page.archive.approvals,
            page.actor,
            _account(page, fields),
            _grant(page, fields),
            hours=int(hours) if re.fullmatch("[0-9]{1,2}", hours) else 0,
            reason=fields.get("reason", ""),
        )
    except (InvalidInput, Conflict) as error:
        return _break_glass(page, fields, fault=explained(error, page.wording)[1], status=422)
    return see_other("/break-glass")


@router.post("/break-glass/{authorisation_id}/end")
def end(authorisation_id: str, page: PageDep) -> Response:
    """Ends it before its hours are over."""
    page.archive.grants.end_break_glass(page.actor, authorisation_id)
    return see_other("/break-glass")


def named(grant: Grant) -> str:
    """A grant as a button names it."""
    ends = "" if grant.valid_until is None else grant.valid_until.isoformat()
    return "|".join((grant.role.value, grant.scope.kind.value, *sorted(grant.scope.values), ends))


def _account(page: Page, fields: Fields) -> str:
    account = fields.get("account", "")
    if all(one.id != account for one in page.archive.accounts.users()):
        raise InvalidInput("choose a person")
    return account


def _grant(page: Page, fields: Fields) -> Grant:
    """The role of the form; days run to midnight of the archive's zone."""
    try:
        role, kind = Role(fields.get("role", "")), ScopeKind(fields.get("scope") or ScopeKind.ALL)
    except ValueError:
        raise InvalidInput("choose a role") from None
    values = frozenset(one.strip() for one in fields.get("values", "").split(",")) - {""}
    if (kind is ScopeKind.ALL) == bool(values):
        raise InvalidInput("name the teams or queues, or choose everything and name none")
    until = fields.get("until", "")
    ends = datetime.combine(parse_day(until) + timedelta(days=1), time(), page.wording.zone) if until else None
    return Grant(role=role, scope=Scope(kind=kind, values=values), valid_until=ends)


def _standing(page: Page, kind: ProposalKind) -> list[Proposal]:
    with page.archive.database.read() as unit:
        return [one for one in unit.proposals.standing() if one.kind is kind and not one.is_over(page.now)]


def _shown(page: Page, waiting: list[Proposal], fields: Fields | None, fault: str | None) -> dict[str, object]:
    return {
        "accounts": [one for one in page.archive.accounts.users() if one.disabled_at is None],
        "waiting": waiting,
        "people": people(page, {one.subject for one in waiting} | {one.proposed_by for one in waiting}),
        "roles": list(words.ROLES),
        "form": fields or {},
        "fault": fault,
    }


def _roles(page: Page, fields: Fields | None = None, *, fault: str | None = None, status: int = 200) -> Response:
    page.archive.access.require(page.actor, Action.ROLE_GRANT)
    waiting = _standing(page, ProposalKind.GRANT_ROLES)
    return page.render("roles.html", status, named=named, **_shown(page, waiting, fields, fault))


def _break_glass(page: Page, fields: Fields | None = None, *, fault: str | None = None, status: int = 200) -> Response:
    opened = page.archive.grants.break_glass(page.actor)
    shown = _shown(page, _standing(page, ProposalKind.BREAK_GLASS), fields, fault)
    names = people(page, {one.holder for one in opened} | {one.approved_by for one in opened})
    return page.render("break_glass.html", status, opened=opened, names=names, **shown)
