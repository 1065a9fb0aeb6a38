"""Destructions and their certificates.

Keeps: a certificate is verified anew each time it is shown, with the archive's public key and nothing else, and what the
verification said stands beside it.
"""

from __future__ import annotations

import base64

from fastapi import APIRouter, Response

from recvault.domain.access import Action
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import NotFound
from recvault.domain.ids import is_uuid7
from recvault.interfaces.http.forms import parse_cursor, position_cursor
from recvault.interfaces.web.destroyed import accounts_in, checked, facts_of, paper, people
from recvault.interfaces.web.fields import PAGE_ROWS, FieldsDep
from recvault.interfaces.web.languages import LANGUAGES
from recvault.interfaces.web.pages import Page, PageDep, PageRoute, see_other

router = APIRouter(route_class=PageRoute)

_STAGES = {stage.value: stage for stage in (Stage.INACCESSIBLE, Stage.COMPLETE)}


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
    page.archive.access.require(page.actor, Action.CERTIFICATE_READ)
    asked = fields.get("id", "").lower()
    if not is_uuid7(asked):
        raise NotFound("there is no destroyed communication with this id")
    return see_other(f"/destructions/{asked}")


@router.get("/destructions/{communication_id}")
def show_destruction(communication_id: str, page: PageDep) -> Response:
    """Tombstone and certificates."""
    item, files = _item(page, communication_id)
    facts = facts_of(item.facts)
    public_key = page.archive.certificates.public_key()
    return page.render(
        "destruction.html",
        item=item,
        facts=facts,
        signer=(names := people(page.archive, accounts_in(facts))).get(facts.signed_by, ""),
        names=names,
        certificates=[checked(item, stage, file, public_key) for stage, file in files.items()],
        public_key=base64.b64encode(public_key).decode(),
    )


@router.get("/destructions/{communication_id}/paper/{language}")
def print_certificate(communication_id: str, language: str, page: PageDep) -> Response:
    """The certificate as a file to print, in a language of one's choice. It needs nothing else, so it is handed out whole."""
    if language not in LANGUAGES:
        raise NotFound("there is no such language; it is fi or en")
    item, files = _item(page, communication_id)
    name = f"recvault-certificate-{item.communication_id}-{language}.html"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(paper(page.archive, item, files, language=language), media_type="text/html", headers=headers)


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
