"""Routes of communications: upload, search, view, open, play, do-not-keep."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from recvault.bootstrap import Archive
from recvault.domain.access import Actor
from recvault.domain.communication import Party, PartyKind, Receipt
from recvault.domain.errors import InvalidInput, RecvaultError
from recvault.domain.purpose import Purpose
from recvault.intake.disposition import content_disposition
from recvault.intake.identifiers import parse_address, parse_number
from recvault.intake.media import is_playable_inline, suffix_of
from recvault.intake.submission import parse_submission
from recvault.interfaces.http.byte_ranges import ByteRange, parse_range, range_applies
from recvault.interfaces.http.forms import (
    OpenForm,
    ReleaseForm,
    SearchForm,
    ViewForm,
    communication_json,
    make_cursor,
    opened_json,
    receipt_json,
    view_json,
)
from recvault.interfaces.http.identity import ActorDep, ArchiveDep, archive_of, source_of
from recvault.interfaces.http.problems import AnswerBrokeOff
from recvault.interfaces.http.upload import receive, submission_for
from recvault.services.retrieve import Playback

router = APIRouter(prefix="/v1")

GATHERED = 256 * 1024
"""Bytes of an answer that are handed over at a time."""


# --- upload


@router.get("/edge-key")
def edge_key(request: Request, archive: ArchiveDep) -> dict[str, Any]:
    """The public key that a source's hook seals to this month."""
    source_of(request)
    key = archive.edge_keys.current()
    return {
        "key_id": key.id,
        "public_key": base64.b64encode(key.public_key).decode(),
        "not_after": key.not_after.isoformat(),
    }


@router.post("/communications", status_code=201)
async def upload(request: Request) -> Response:
    """Stores one communication, streamed; 201 with the receipt, 200 with the first receipt when it was stored before."""
    archive = archive_of(request)
    source = await run_in_threadpool(source_of, request)
    limits = archive.config.ingest
    submission = submission_for(request, metadata_limit=limits.metadata_max_bytes, open_key=archive.edge_keys.open)

    def accept(metadata: bytes, content: Iterable[bytes]) -> Receipt:
        draft = parse_submission(
            metadata,
            now=archive.clock.now(),
            region=archive.config.telephony.region,
            max_bytes=limits.metadata_max_bytes,
            future_tolerance=timedelta(minutes=limits.future_tolerance_minutes),
        )
        return archive.ingest.accept(source, draft, content)

    receipt = await receive(
        request,
        submission,
        accept,
        executor=request.app.state.ingest_executor,
        buffer_bytes=limits.buffer_bytes,
        content_limit=limits.content_max_bytes,
        queue_blocks=limits.queue_chunks,
    )
    return JSONResponse(
        receipt_json(receipt),
        status_code=200 if receipt.already_stored else 201,
        headers={"Location": f"/v1/communications/{receipt.id}", "Cache-Control": "no-store"},
    )


# --- the index


@router.post("/communications/search")
def search(form: SearchForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Newest first; ``next`` is the cursor of the following page, null at the end."""
    customer_id = form.customer_id
    if form.customer_number is not None:
        customer_id = archive.customers.id_of_number(actor, form.customer_number) or "no-such-customer"
    points = contact_points(archive, actor, tel=form.tel, mailto=form.mailto, handle=form.handle)
    query = form.query(customer_id=customer_id, contact_point_ids=points)
    rows = archive.retrieval.search(actor, query, form.purpose, reference=form.reference)
    return {
        "rows": [communication_json(row) for row in rows],
        "next": make_cursor(rows[-1]) if len(rows) == form.limit else None,
    }


@router.get("/communications/{communication_id}")
def view(communication_id: str, purpose: Purpose, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """One communication as this person may see it for the purpose; what takes a reference takes the POST below."""
    return view_json(archive.retrieval.view(actor, communication_id, purpose))


@router.post("/communications/{communication_id}/view")
def view_for(communication_id: str, form: ViewForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """The same with the reference of a data subject's request or of a disclosure, which stands in no address."""
    return view_json(archive.retrieval.view(actor, communication_id, form.purpose, reference=form.reference))


@router.post("/communications/{communication_id}/do-not-keep")
def do_not_keep(communication_id: str, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """The customer asked not to be recorded."""
    return communication_json(archive.retention.do_not_keep(actor, communication_id))


@router.post("/communications/{communication_id}/keep-after-all")
def keep_after_all(communication_id: str, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Undoes do-not-keep while it is there."""
    return communication_json(archive.retention.keep_after_all(actor, communication_id))


@router.post("/communications/{communication_id}/release")
def release(communication_id: str, form: ReleaseForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """A trainer lets a trainee hear it."""
    end = archive.training.release(actor, communication_id, to=form.to, until=form.until)
    return {"communication_id": communication_id, "until": end.isoformat()}


def contact_points(
    archive: Archive, actor: Actor, *, tel: str | None, mailto: str | None, handle: str | None
) -> tuple[str, ...] | None:
    """Ids of the contact points that a number, address or handle names; None when none was asked for."""
    asked: list[Party] = []
    if tel is not None:
        number = parse_number(tel, archive.config.telephony.region)
        if number is None:
            raise InvalidInput("the number is not recognised; write it with its area code or as +358…")
        asked.append(Party(kind=PartyKind.TEL, value=number))
    if mailto is not None:
        address = parse_address(mailto)
        if address is None:
            raise InvalidInput("the address is not recognised; write it as name@company.example")
        asked.append(Party(kind=PartyKind.MAILTO, value=address))
    if handle is not None:
        asked.append(Party(kind=PartyKind.HANDLE, value=handle))
    if not asked:
        return None
    return tuple(point.id for party in asked for point in archive.customers.points_of(actor, party))


# --- content


@router.post("/communications/{communication_id}/open")
def open_communication(communication_id: str, form: OpenForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Leaves the trace, and gives a short-lived address to play from, good for this person alone."""
    opened = archive.retrieval.open(actor, communication_id, form.purpose, case_ref=form.case_ref, reason=form.reason)
    return opened_json(opened)


@router.head("/playback/{secret}", include_in_schema=False)
@router.get("/playback/{secret}")
def play(secret: str, request: Request, actor: ActorDep, archive: ArchiveDep) -> Response:
    """The recording or a range of it; authorised anew every time, never stored by caches."""
    playback = archive.retrieval.playback(actor, secret)
    length = playback.stream.plaintext_length
    applies = range_applies(request.headers.get("if-range"), playback.etag)
    wanted = parse_range(request.headers.get("range"), length) if applies else None
    headers = _content_headers(playback, wanted)
    status = 200 if wanted is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    span = wanted or ByteRange(0, length - 1, length)
    pieces = archive.retrieval.read(playback, span.first, span.last) if span.size else iter(())
    body = _checked(gathered(pieces, GATHERED)) if span.size else pieces
    return StreamingResponse(body, status_code=status, headers=headers, media_type=None)


def gathered(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of at least ``size`` but for the last: each piece of an answer costs a change of thread. What
    came before a fault is given out before it is raised."""
    held: list[bytes] = []
    try:
        for piece in pieces:
            held.append(piece)
            if sum(map(len, held)) >= size:
                yield b"".join(held)
                held.clear()
    except RecvaultError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _checked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Takes the first piece before the answer begins, so that what does not verify is an error and not a short body."""
    return chain([next(pieces)], _until_fault(pieces))


def _until_fault(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """An answer that has begun can only be broken off; its length was announced, so the listener notices."""
    try:
        yield from pieces
    except RecvaultError as fault:
        raise AnswerBrokeOff(fault.code) from fault


def _content_headers(playback: Playback, wanted: ByteRange | None) -> dict[str, str]:
    row = playback.communication
    size = playback.stream.plaintext_length if wanted is None else wanted.size
    headers = {
        "Content-Type": row.media_type,
        "Content-Length": str(size),
        # The sender's file name may name a person, and proxies log headers: it is told where the content was opened.
        "Content-Disposition": content_disposition(
            f"recording-{row.id}{suffix_of(row.media_type)}",
            fallback="recording",
            inline=is_playable_inline(row.media_type),
        ),
        "Accept-Ranges": "bytes",
        "ETag": playback.etag,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if wanted is not None:
        headers["Content-Range"] = wanted.content_range()
    return headers
