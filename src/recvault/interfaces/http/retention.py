"""Routes of retention: events of other systems, early ends, statutory overrides, and why an end is what it is.

Proposals are answered with their id and wait for another person; nothing here decides.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from recvault.bootstrap import Archive
from recvault.domain.access import Actor
from recvault.domain.approvals import Proposal
from recvault.domain.errors import InvalidInput, NotFound
from recvault.interfaces.http.identity import ActorDep, ArchiveDep, ProvedActorDep
from recvault.interfaces.http.retention_forms import (
    CaseClosedForm,
    EndingForm,
    ObjectionForm,
    OverrideForm,
    ReasonForm,
    RelationshipForm,
    ending_json,
    event_json,
    explanation_json,
    override_json,
    statute_json,
)

router = APIRouter(prefix="/v1")


@router.get("/communications/{communication_id}/retention")
def explain(communication_id: str, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Which rule gave which end, and why."""
    return explanation_json(archive.retention_desk.explain(communication_id, actor))


@router.post("/events/case-closed")
def case_closed(form: CaseClosedForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A case was closed."""
    return event_json(archive.retention_events.case_closed(actor, form.case_ref, form.at))


@router.post("/events/relationship-end")
def relationship_end(form: RelationshipForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A relationship ends with a day."""
    customer_id = _required(_customer(archive, actor, form.customer_id, form.customer_number))
    return event_json(archive.retention_events.relationship_ended(actor, customer_id, form.on))


@router.post("/events/relationship-resumed")
def relationship_resumed(form: RelationshipForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A customer came back on a day."""
    customer_id = _required(_customer(archive, actor, form.customer_id, form.customer_number))
    return event_json(archive.retention_events.relationship_resumed(actor, customer_id, form.on))


@router.post("/events/training-objection")
def training_objection(form: ObjectionForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A customer, or the person in one communication, objects to training."""
    report = archive.retention_events.object_to_training(
        actor,
        reason=form.reason,
        customer_id=_customer(archive, actor, form.customer_id, form.customer_number),
        communication_id=form.communication_id,
    )
    return event_json(report)


@router.post("/purpose-endings", status_code=202)
def propose_ending(form: EndingForm, actor: ProvedActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes to end a purpose for chosen recordings."""
    return _proposed(
        archive.purpose_endings.propose(archive.approvals, actor, form.communications, form.purpose.value, form.reason)
    )


@router.get("/purpose-endings")
def open_endings(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Approved ends whose days run."""
    return {"rows": [ending_json(one) for one in archive.purpose_endings.open(actor)]}


@router.post("/purpose-endings/{ending_id}/withdraw")
def withdraw_ending(ending_id: str, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Takes one back."""
    return event_json(archive.purpose_endings.withdraw(actor, ending_id))


@router.get("/statutes")
def statutes(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """The statutes that may be named."""
    known = archive.overrides.table()
    return {"rows": [statute_json(known[code]) for code in sorted(known)]}


@router.post("/statutory-overrides", status_code=202)
def propose_override(form: OverrideForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Proposes a statutory override."""
    proposal = archive.overrides.propose(
        archive.approvals,
        actor,
        code=form.code,
        reason=form.reason,
        communication_id=form.communication_id,
        customer_id=_customer(archive, actor, form.customer_id, form.customer_number),
        year_end=form.year_end,
    )
    return _proposed(proposal)


@router.get("/statutory-overrides")
def overrides(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Active overrides and what each keeps."""
    return {"rows": [override_json(view) for view in archive.overrides.list(actor)]}


@router.post("/statutory-overrides/{override_id}/end", status_code=202)
def propose_override_end(
    override_id: str, form: ReasonForm, actor: ProvedActorDep, archive: ArchiveDep
) -> dict[str, Any]:
    """Proposes to take one back."""
    return _proposed(archive.overrides.propose_end(archive.approvals, actor, override_id, form.reason))


def _proposed(proposal: Proposal) -> dict[str, Any]:
    return {"proposal": proposal.id, "state": proposal.state.value}


def _customer(archive: Archive, actor: Actor, customer_id: str | None, number: str | None) -> str | None:
    if customer_id is not None and number is not None:
        raise InvalidInput("name the customer by id or by number, not by both")
    if number is None:
        return customer_id
    found = archive.customers.id_of_number(actor, number)
    if found is None:
        raise NotFound("no customer has this number; nothing was changed")
    return found


def _required(customer_id: str | None) -> str:
    if customer_id is None:
        raise InvalidInput("name the customer: customer_id or customer_number")
    return customer_id
