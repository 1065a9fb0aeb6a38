"""Routes of the register, holds, destructions and sessions."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from recvault.domain.access import Action
from recvault.domain.errors import Destroyed
from recvault.intake.register_values import parse_agent, parse_customer
from recvault.interfaces.http.forms import (
    CustomerSearchForm,
    HoldForm,
    agent_json,
    customer_json,
    destruction_json,
    hold_json,
)
from recvault.interfaces.http.identity import ActorDep, ArchiveDep, credential_of

router = APIRouter(prefix="/v1")

JsonObject = Annotated[dict[str, Any], Body()]


@router.delete("/session", status_code=204)
def sign_out(request: Request, archive: ArchiveDep) -> Response:
    """Ends the session whose token is sent, half open or not."""
    secret = credential_of(request)
    archive.sessions.half_open(secret)
    archive.sessions.end(secret)
    return Response(status_code=204)


@router.post("/customers", status_code=200)
def put_customer(body: JsonObject, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Inserts or updates a customer with its contact persons and points."""
    return customer_json(archive.customers.put_customer(actor, parse_customer(body)))


@router.post("/customers/search")
def search_customers(form: CustomerSearchForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Customers by number, Y-tunnus or a part of the name."""
    found = archive.customers.search(actor, form.text, form.limit)
    return {"rows": [customer_json(customer) for customer in found]}


@router.post("/agents")
def put_agent(body: JsonObject, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Inserts or updates an agent with extensions and teams."""
    return agent_json(archive.customers.put_agent(actor, parse_agent(body)))


@router.get("/agents")
def agents(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """The agents' directory."""
    return {"rows": [agent_json(agent) for agent in archive.customers.agents(actor)]}


@router.post("/holds", status_code=201)
def place_hold(form: HoldForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Places a hold and tells how many communications it covers; 410 when what it names was destroyed before."""
    answer = archive.holds.place(
        actor,
        reason=form.reason,
        review_on=form.review_on,
        communication_id=form.communication_id,
        customer_id=form.customer_id,
        found_by=None if form.found_by is None else form.found_by.query(),
        authority=form.authority,
        owner=form.owner,
        kind=form.kind,
    )
    if answer.already_destroyed and not answer.covered:
        raise Destroyed("this communication was destroyed before the hold came; nothing is held")
    gone = list(answer.already_destroyed)
    return {**hold_json(answer.hold), "covered": answer.covered, "already_destroyed": gone}


@router.get("/holds")
def list_holds(actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Active holds and how many communications each covers."""
    return {"rows": [{**hold_json(hold), "covered": covered} for hold, covered in archive.holds.list(actor)]}


@router.get("/destructions/{communication_id}")
def destruction(communication_id: str, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """The tombstone and certificates of what was destroyed."""
    archive.access.require(actor, Action.CERTIFICATE_READ)
    with archive.database.read() as unit:
        item = unit.destructions.get(communication_id)
        return destruction_json(item, archive.certificates.files(unit, item))


@router.get("/certificate-key")
def certificate_key(archive: ArchiveDep) -> dict[str, Any]:
    """The public key that verifies certificates (raw Ed25519, base64). Open to everybody: it proves, it does not tell."""
    return {"key_id": "sign/certificate/1", "public_key": base64.b64encode(archive.certificates.public_key()).decode()}
