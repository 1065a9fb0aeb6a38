"""Routes of what takes a second person, and of what stops automatic destruction."""

from __future__ import annotations

import base64
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from recvault.domain.approvals import Proposal
from recvault.domain.brakes import Forecast, Suspension
from recvault.domain.decisions import Assertion, act_of, challenge_of
from recvault.domain.holds import HoldCount
from recvault.interfaces.http.forms import Form, Short, hold_json
from recvault.interfaces.http.identity import ActorDep, ArchiveDep, ProvedActorDep, SignedInDep

router = APIRouter(prefix="/v1")

Words = Annotated[str, Field(max_length=500)]


class ReleaseHoldForm(Form):
    """``POST /v1/holds/{id}/release``; ``told_on`` for a restriction: the day on which the customer was told."""

    reason: Words
    told_on: date | None = None


class CloseRequestForm(Form):
    """``POST /v1/holds/{id}/close``."""

    reason: Words


class SuspendForm(Form):
    """``POST /v1/destruction/suspend``."""

    reason: Words
    days: Annotated[int, Field(ge=1, le=7)] = 7


class ExtendForm(Form):
    """``POST /v1/destruction/extend``."""

    reason: Words
    until: AwareDatetime


class DecideForm(Form):
    """``POST /v1/approvals/{id}/decide``. ``assertion``: what the browser's ``toJSON()`` gives for the credential that
    signed the challenge (Web Authentication, Level 3, 5.1.7), for ``approve`` where approvals.proof is "passkey"."""

    decision: Literal["approve", "refuse"]
    assertion: dict[str, Any] | None = None


@router.get("/approvals")
def list_proposals(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """What waits for a decision or a delay, oldest first, and what was decided lately, newest first."""
    found = archive.approvals.list(actor)
    return {
        "mode": archive.approvals.rules.mode.value,
        "standing": [proposal_json(one) for one in found.standing],
        "decided": [proposal_json(one) for one in found.decided],
    }


@router.post("/approvals/{proposal_id}/approve")
def approve(proposal_id: Short, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Approves where the account is enough (approvals.proof): carried out now, or after a delay."""
    return proposal_json(archive.approvals.approve(actor, proposal_id))


@router.get("/approvals/{proposal_id}")
def show(proposal_id: Short, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """One proposal."""
    return proposal_json(archive.approvals.get(actor, proposal_id))


@router.get("/approvals/{proposal_id}/assertions")
def assertions(proposal_id: Short, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """What approvers' passkeys signed, for whoever verifies it elsewhere (docs/adr/0014): the act, the public key (COSE) and
    the assertion, in base64url."""
    proposal, kept = archive.approvals.evidence(actor, proposal_id)
    return {"rows": [assertion_json(proposal, one) for one in kept]}


@router.post("/approvals/{proposal_id}/challenge")
def challenge(proposal_id: Short, who: SignedInDep, archive: ArchiveDep) -> dict[str, Any]:
    """What the approver's passkey is to sign: the act, and options for ``navigator.credentials.get()``. The answer counts
    once, in this session, for five minutes."""
    question = archive.approvals.question(who.actor, proposal_id, binding=who.session.id)
    return {"act": dict(question.act), "publicKey": dict(question.options)}


@router.post("/approvals/{proposal_id}/decide")
def decide(proposal_id: Short, form: DecideForm, who: SignedInDep, archive: ArchiveDep) -> dict[str, Any]:
    """Approves with an assertion, or refuses."""
    approvals = archive.approvals
    if form.decision == "refuse":
        return proposal_json(approvals.refuse(who.actor, proposal_id))
    decided = approvals.approve(who.actor, proposal_id, answer=form.assertion, binding=who.session.id)
    return proposal_json(decided)


@router.post("/approvals/{proposal_id}/refuse")
def refuse(proposal_id: Short, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Refuses."""
    return proposal_json(archive.approvals.refuse(actor, proposal_id))


@router.post("/approvals/{proposal_id}/withdraw")
def withdraw(proposal_id: Short, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Takes an own proposal back."""
    return proposal_json(archive.approvals.withdraw(actor, proposal_id))


@router.get("/holds/report")
def hold_report(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """What each active hold covers, and how much of it would be due without holds."""
    return {"rows": [count_json(line) for line in archive.holds.report(actor)]}


@router.post("/holds/{hold_id}/release", status_code=202)
def release_hold(hold_id: Short, form: ReleaseHoldForm, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes the release; a second person decides."""
    proposal = archive.holds.propose_release(
        archive.approvals, actor, hold_id, reason=form.reason, told_on=form.told_on
    )
    return proposal_json(proposal)


@router.post("/holds/{hold_id}/close")
def close_request(hold_id: Short, form: CloseRequestForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Closes an open request of a customer; what nothing else freezes is due again."""
    return hold_json(archive.holds.close_request(actor, hold_id, reason=form.reason))


# --- destruction


@router.get("/destruction")
def destruction_state(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Whether anything stops automatic destruction, and what the newest forecast says. Open to every person: whoever looks
    should see that destruction stands still."""
    report = archive.purge.forecast()
    suspension = archive.suspensions.standing()
    forecast = archive.forecast.newest()
    return {
        "due": report.due,
        "stopped_because": report.stopped_because,
        "suspension": None if suspension is None else suspension_json(suspension),
        "forecast": None if forecast is None else forecast_json(forecast),
    }


@router.post("/destruction/suspend", status_code=201)
def suspend(form: SuspendForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Stops automatic destruction for some days; one person may."""
    return suspension_json(archive.suspensions.suspend(actor, reason=form.reason, days=form.days))


@router.post("/destruction/unsuspend")
def unsuspend(actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Destruction goes on."""
    return suspension_json(archive.suspensions.end(actor))


@router.post("/destruction/extend", status_code=202)
def extend(form: ExtendForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes that the suspension lasts longer; a second person decides."""
    return proposal_json(
        archive.suspensions.propose_extension(archive.approvals, actor, until=form.until, reason=form.reason)
    )


@router.post("/destruction/confirm", status_code=201)
def confirm(actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A person has looked: what is due now is due indeed."""
    return forecast_json(archive.forecast.confirm(actor))


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """A proposal."""
    return {
        "id": proposal.id,
        "kind": proposal.kind.value,
        "subject": proposal.subject,
        "body": dict(proposal.body),
        "reason": proposal.reason,
        "proposed_by": proposal.proposed_by,
        "proposed_at": proposal.proposed_at.isoformat(),
        "state": proposal.state.value,
        "decided_by": proposal.decided_by,
        "decided_at": None if proposal.decided_at is None else proposal.decided_at.isoformat(),
        "not_before": None if proposal.not_before is None else proposal.not_before.isoformat(),
        "by_one_person": proposal.by_one_person,
        "expires_at": None if proposal.expires_at is None else proposal.expires_at.isoformat(),
        "proof": None if proposal.decided_at is None else ("account" if proposal.assertion is None else "passkey"),
    }


def assertion_json(proposal: Proposal, assertion: Assertion) -> dict[str, Any]:
    """An assertion, with the act as the proposal's row says it now: its SHA-256 is the challenge unless it was altered."""
    act = act_of(proposal, approver=assertion.user_id, nonce=assertion.nonce)
    signed = assertion.signed
    return {
        "at": assertion.at.isoformat(),
        "act": dict(act),
        "challenge": _base64url(signed.challenge),
        "covers_the_proposal": challenge_of(act) == signed.challenge,
        "credential_id": _base64url(signed.credential_id),
        "public_key": _base64url(assertion.public_key),
        "authenticator_data": _base64url(signed.authenticator_data),
        "client_data": _base64url(signed.client_data),
        "signature": _base64url(signed.signature),
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def suspension_json(suspension: Suspension) -> dict[str, Any]:
    """A suspension."""
    return {
        "id": suspension.id,
        "reason": suspension.reason,
        "placed_by": suspension.placed_by,
        "placed_at": suspension.placed_at.isoformat(),
        "until": suspension.until.isoformat(),
    }


def forecast_json(forecast: Forecast) -> dict[str, Any]:
    """A forecast: ``due`` at the moment it was made, then how many end in each day ahead."""
    return {
        "number": forecast.number,
        "made_at": forecast.made_at.isoformat(),
        "due": forecast.counts[0],
        "days": [
            {"until": edge.isoformat(), "ends": count}
            for edge, count in zip(forecast.edges[1:], forecast.counts[1:], strict=True)
        ],
        "confirmed_by": forecast.confirmed_by,
    }


def count_json(line: HoldCount) -> dict[str, Any]:
    """A line of the hold report."""
    return {**hold_json(line.hold), "covered": line.covered, "kept_back": line.kept_back}
