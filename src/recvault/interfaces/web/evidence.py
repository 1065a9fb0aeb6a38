"""Destructions and their certificates.

Keeps: a certificate is verified anew each time it is shown, with the archive's public key and nothing else, and what the
verification said stands beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import CertificateInvalid, NotFound
from recvault.domain.ids import is_uuid7
from recvault.interfaces.http.forms import parse_cursor, position_cursor
from recvault.interfaces.web.fields import PAGE_ROWS, FieldsDep
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, see_other
from recvault.services.certificates import verify_certificate

router = APIRouter(route_class=PageRoute)

_STAGES = {stage.value: stage for stage in (Stage.INACCESSIBLE, Stage.COMPLETE)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The evidence of a tombstone, read for showing; what is not there stays empty."""

    stored_at: datetime | None
    destroy_at: datetime | None
    policy: str
    signed_by: str
    purposes: tuple[tuple[str, str, datetime], ...]
    length: int
    ciphertext_length: int
    place: str
    observed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A certificate and what verifying it said; ``body`` is None when it does not verify."""

    stage: Stage
    issued_at: datetime
    body: Mapping[str, object] | None


# --- destructions


@router.get("/destructions")
def list_destructions(page: PageDep, after: str = "") -> Response:
    """Newest first. The position in the address is a time and a random id."""
    page.archive.access.require(page.actor, Action.CERTIFICATE_READ)
    position = parse_cursor(after) if after else None
    with page.archive.database.read() as unit:
        items = unit.destructions.recent(PAGE_ROWS, after=position)
    return page.render(
        "destructions.html",
        items=items,
        after=position_cursor(items[-1].shredded_at, items[-1].communication_id) if len(items) == PAGE_ROWS else None,
        first=not after,
    )


@router.post("/destructions")
def find_destruction(page: PageDep, fields: FieldsDep) -> Response:
    """To the page of an id."""
    asked = fields.get("id", "").lower()
    if not is_uuid7(asked):
        raise NotFound("there is no destroyed communication with this id")
    return see_other(f"/destructions/{asked}")


@router.get("/destructions/{communication_id}")
def show_destruction(communication_id: str, page: PageDep) -> Response:
    """Tombstone and certificates."""
    item, files = _item(page, communication_id)
    facts = _facts(item.facts)
    return page.render(
        "destruction.html",
        item=item,
        facts=facts,
        signer=_people(page, {facts.signed_by}).get(facts.signed_by, ""),
        certificates=[_checked(page, item, stage, file, _issued(item, stage)) for stage, file in files.items()],
        public_key=base64.b64encode(page.archive.certificates.public_key()).decode(),
    )


@router.get("/destructions/{communication_id}/certificate/{stage}")
def download_certificate(communication_id: str, stage: str, page: PageDep) -> Response:
    """The certificate's file: what was signed, and the proof that the communication is part of it."""
    item, files = _item(page, communication_id)
    if stage not in _STAGES or (found := files.get(_STAGES[stage])) is None:
        raise NotFound("there is no such certificate")
    name = f"recvault-certificate-{item.communication_id}-{_STAGES[stage].value}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(found, media_type="application/json", headers=headers)


def _item(page: Page, communication_id: str) -> tuple[Destruction, dict[Stage, str]]:
    """The tombstone and its certificates' files by stage."""
    page.archive.access.require(page.actor, Action.CERTIFICATE_READ)
    with page.archive.database.read() as unit:
        item = unit.destructions.find([communication_id]).get(communication_id)
        if item is None:
            raise NotFound("there is no destroyed communication with this id")
        return item, page.archive.certificates.files(unit, item)


def _issued(item: Destruction, stage: Stage) -> datetime:
    at = item.complete_at if stage is Stage.COMPLETE else item.inaccessible_at
    return at or item.shredded_at


def _checked(page: Page, item: Destruction, stage: Stage, file: str, at: datetime) -> Checked:
    try:
        body = verify_certificate(file.encode(), page.archive.certificates.public_key())
    except CertificateInvalid:
        return Checked(stage=stage, issued_at=at, body=None)
    if body.get("item") != item.communication_id or body.get("stage") != stage.value:
        return Checked(stage=stage, issued_at=at, body=None)
    return Checked(stage=stage, issued_at=datetime.fromisoformat(str(body["issued_at"])), body=body)


def _facts(facts: Mapping[str, object]) -> Facts:
    policy, place = _mapping(facts.get("policy")), _mapping(facts.get("place"))
    streams = _mappings(facts.get("streams"))
    return Facts(
        stored_at=_moment(facts.get("stored_at")),
        destroy_at=_moment(facts.get("destroy_at")),
        policy=str(policy.get("version") or ""),
        signed_by=str(policy.get("signed_by") or ""),
        purposes=tuple(
            (str(one.get("purpose")), str(one.get("rule")), until)
            for one in _mappings(facts.get("purposes"))
            if (until := _moment(one.get("needed_until"))) is not None
        ),
        length=_total(streams, "length"),
        ciphertext_length=_total(streams, "ciphertext_length"),
        place=str(place.get("declared") or ""),
        observed=str(place.get("observed") or ""),
    )


def _people(page: Page, ids: set[str]) -> Mapping[str, str]:
    """Names of persons of the house by account id; an account that is gone has none."""
    return {user.id: user.display_name for user in page.archive.accounts.users() if user.id in ids}


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def _total(streams: list[Mapping[str, object]], name: str) -> int:
    return sum(length for one in streams if isinstance(length := one.get(name), int))
