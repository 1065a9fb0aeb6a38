"""The page's routes, gathered; ``http.app`` includes them when ``server.web_enabled`` is on."""

from __future__ import annotations

from fastapi import APIRouter

from recvault.interfaces.web import (
    account,
    approvals,
    communication,
    disclosures,
    evidence,
    federated,
    invitation,
    log,
    passkeys,
    review,
    searching,
    second_factor,
    session,
)

router = APIRouter(include_in_schema=False)
for part in (
    session,
    second_factor,
    federated,
    passkeys,
    invitation,
    searching,
    communication,
    approvals,
    evidence,
    log,
    review,
    disclosures,
    account,
):
    router.include_router(part.router)
