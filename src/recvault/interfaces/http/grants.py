"""Routes of who may what: accounts and their roles, break-glass, authorisations, the weekly access review."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field

from recvault.domain.access import Action, Grant, Role, Scope, ScopeKind
from recvault.domain.access_review import Member, Review
from recvault.domain.accounts import User
from recvault.domain.coverage import LISTED_MAXIMUM, Coverage
from recvault.domain.errors import InvalidInput
from recvault.domain.grants import VALUES_MAXIMUM, Authorisation, written
from recvault.domain.listening import Day
from recvault.domain.ports.database.grants import Confirmation
from recvault.interfaces.http.approvals import proposal_json
from recvault.interfaces.http.forms import Form, Short
from recvault.interfaces.http.identity import ActorDep, ArchiveDep, ProvedActorDep

router = APIRouter(prefix="/v1")

Value = Annotated[str, Field(min_length=1, max_length=100)]
Words = Annotated[str, Field(max_length=500)]


class RoleForm(Form):
    """One role: ``scope`` all, or teams or queues with their names in ``values``; ``from`` and ``until`` are moments."""

    role: Role
    scope: ScopeKind = ScopeKind.ALL
    values: Annotated[list[Value], Field(default_factory=list, max_length=VALUES_MAXIMUM)]
    begins: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: AwareDatetime | None = None

    def grant(self) -> Grant:
        """As the archive knows it; InvalidInput when scope and values contradict each other."""
        if (self.scope is ScopeKind.ALL) == bool(self.values):
            raise InvalidInput("'values' names the teams or queues when 'scope' is not 'all', and nothing when it is")
        scope = Scope(kind=self.scope, values=frozenset(self.values))
        return Grant(role=self.role, scope=scope, valid_from=self.begins, valid_until=self.until)


class RolesForm(Form):
    """``PUT /v1/accounts/{id}/roles``: exactly these roles. ``reason`` is for whoever approves."""

    roles: Annotated[list[RoleForm], Field(max_length=20)]
    reason: Words = ""


class BreakGlassForm(Form):
    """``POST /v1/break-glass``."""

    account: Short
    role: RoleForm
    hours: Annotated[int, Field(ge=1, le=12)]
    reason: Words


class DisclosureForm(Form):
    """``POST /v1/disclosures``: ``reference`` is the authority's own, ``statute`` the law that obliges. It covers the listed
    ``communications``, or those of ``customer_id`` that began from ``started_from`` until ``started_until``."""

    reference: Short
    statute: Annotated[str, Field(max_length=200)]
    reason: Words
    communications: Annotated[list[Short], Field(default_factory=list, max_length=LISTED_MAXIMUM)]
    customer_id: Short | None = None
    started_from: AwareDatetime | None = None
    started_until: AwareDatetime | None = None

    def covers(self) -> Coverage:
        """What it is about; InvalidInput when it names nothing, or both."""
        return Coverage(
            communications=frozenset(self.communications),
            customer_id=self.customer_id or None,
            started_from=self.started_from,
            started_until=self.started_until,
        )


class ConfirmForm(Form):
    """``POST /v1/access-review/confirm``: the week and the digest of the report that was read."""

    week: Annotated[str, Field(max_length=8)]
    digest: Annotated[str, Field(max_length=64)]


@router.get("/accounts")
def list_accounts(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """All accounts and their roles, in name order."""
    archive.access.require(actor, Action.ACCOUNT_MANAGE)
    return {"rows": [account_json(user) for user in archive.accounts.users()]}


@router.put("/accounts/{account_id}/roles")
def set_roles(account_id: Short, form: RolesForm, actor: ProvedActorDep, archive: ArchiveDep) -> Response:
    """Gives and takes roles; 202 with a proposal when some of them wait for an approval."""
    wanted = [role.grant() for role in form.roles]
    made = archive.grants.set_roles(archive.approvals, actor, account_id, wanted, reason=form.reason)
    told = {
        "account": account_json(made.user),
        "proposal": None if made.proposal is None else proposal_json(made.proposal),
    }
    return JSONResponse(told, 200 if made.proposal is None else 202)


@router.post("/break-glass", status_code=202)
def break_glass(form: BreakGlassForm, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes a role of some hours; it begins when another person approves it."""
    proposal = archive.grants.propose_break_glass(
        archive.approvals, actor, form.account, form.role.grant(), hours=form.hours, reason=form.reason
    )
    return proposal_json(proposal)


@router.post("/disclosures", status_code=202)
def disclose(form: DisclosureForm, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes a disclosure to an authority; approved, the proposal's id opens what it covers during 7 days."""
    proposal = archive.authorisations.propose_disclosure(
        archive.approvals, actor, form.reference, covers=form.covers(), statute=form.statute, reason=form.reason
    )
    return proposal_json(proposal)


@router.get("/disclosures")
def disclosures(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Disclosures that were approved within 60 days, newest first."""
    return {"rows": [authorisation_json(one) for one in archive.authorisations.disclosures(actor)]}


@router.post("/disclosures/{authorisation_id}/end", status_code=204)
def end_disclosure(authorisation_id: Short, actor: ActorDep, archive: ArchiveDep) -> Response:
    """Ends a disclosure before its time; what is played under it stops at the next range."""
    archive.authorisations.end(actor, authorisation_id)
    return Response(status_code=204)


@router.get("/access-review")
def review(
    actor: ActorDep, archive: ArchiveDep, week: Annotated[str | None, Field(max_length=8)] = None
) -> dict[str, Any]:
    """Who reaches the team and what they looked at, in the last week that is over or the one named (2026-W47)."""
    report, confirmed = archive.access_review.report(actor, week)
    return review_json(report, confirmed)


@router.post("/access-review/confirm")
def confirm(form: ConfirmForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A team lead has seen the report."""
    return confirmation_json(archive.access_review.confirm(actor, form.week, form.digest))


def account_json(user: User) -> dict[str, Any]:
    """An account and its roles."""
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "person": user.who,
        "agent_id": user.agent_id,
        "agent_until": None if user.agent_until is None else user.agent_until.isoformat(),
        "disabled_at": None if user.disabled_at is None else user.disabled_at.isoformat(),
        "roles": [written(grant) for grant in user.grants],
    }


def review_json(report: Review, confirmed: tuple[Confirmation, ...]) -> dict[str, Any]:
    """An access review."""
    return {
        "week": report.week,
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "teams": None if report.teams is None else sorted(report.teams),
        "digest": report.digest,
        "unusual": report.unusual,
        "accounts": [_member_json(member) for member in report.members],
        "break_glass": [_break_glass_json(one) for one in report.break_glass],
        "confirmed": [confirmation_json(one) for one in confirmed],
    }


def confirmation_json(one: Confirmation) -> dict[str, Any]:
    """A confirmed review."""
    return {
        "week": one.week,
        "reviewer": one.reviewer,
        "digest": one.digest,
        "unusual": one.unusual,
        "confirmed_at": one.confirmed_at.isoformat(),
    }


def _member_json(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "name": member.name,
        "display_name": member.display_name,
        "roles": [written(grant) for grant in member.grants],
        "opened": member.opened(),
        "looks": member.looks(),
        "unusual": [_day_json(day) for day in member.unusual],
        "last_used_at": None if member.last_used_at is None else member.last_used_at.isoformat(),
        "unused": member.unused,
    }


def _day_json(day: Day) -> dict[str, Any]:
    return {
        "day": day.day.date().isoformat(),
        "opened": day.opened,
        "customers": day.customers,
        "usual": day.usual,
    }


def authorisation_json(one: Authorisation) -> dict[str, Any]:
    """A disclosure that was approved: ``id`` is the reference to search, view and open under it."""
    return {
        "id": one.id,
        "reference": one.subject,
        "account": one.holder,
        "approved_by": one.approved_by,
        "from": one.issued_at.isoformat(),
        "until": one.valid_until.isoformat(),
        "ended_at": None if one.ended_at is None else one.ended_at.isoformat(),
        "covers": None if one.covers is None else one.covers.written(),
    }


def _break_glass_json(one: Authorisation) -> dict[str, Any]:
    return {
        "proposal": one.id,
        "account": one.holder,
        "role": one.subject,
        "approved_by": one.approved_by,
        "from": one.issued_at.isoformat(),
        "until": one.valid_until.isoformat(),
    }
