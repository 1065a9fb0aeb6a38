"""Routes of the audit log, for auditors: what was done, by whom, about what, for which purpose; and as a file.

What is asked for is in the body, never in an address. Every reading is an entry of the log itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import AwareDatetime, Field

from recvault.domain.audit import Act
from recvault.domain.log_query import MOST, LogQuery
from recvault.interfaces.http.forms import Form, parse_cursor, position_cursor
from recvault.interfaces.http.identity import ActorDep, ArchiveDep
from recvault.services.log_views import entry_json

router = APIRouter(prefix="/v1/audit")

MEDIA = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


class LogForm(Form):
    """What must hold of an entry; everything may be left out. ``acts`` as in the entries."""

    actor: str | None = Field(default=None, max_length=128)
    target: str | None = Field(default=None, max_length=128)
    customer_id: str | None = Field(default=None, max_length=36)
    acts: frozenset[Act] = frozenset()
    purpose: str | None = Field(default=None, max_length=32)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    def query(self, *, after: tuple[datetime, str] | None = None, limit: int = MOST) -> LogQuery:
        """As the service takes it."""
        return LogQuery(**self.model_dump(include=set(LogForm.model_fields)), after=after, limit=limit)


class LogPageForm(LogForm):
    """A page of entries, newest first; ``cursor`` is ``next`` of the page before."""

    cursor: str | None = Field(default=None, max_length=256)
    limit: int = Field(default=100, ge=1, le=MOST)


class LogExportForm(LogForm):
    """All of them, one a line."""

    form: Literal["jsonl", "csv"] = "jsonl"


@router.post("/search")
def search(form: LogPageForm, actor: ActorDep, archive: ArchiveDep) -> dict[str, Any]:
    """Entries, newest first; ``next`` is null at the end. People and customers appear by id."""
    after = parse_cursor(form.cursor) if form.cursor else None
    found = archive.log_views.find(actor, form.query(after=after, limit=form.limit))
    last = found[-1].entry if len(found) == form.limit else None
    return {
        "rows": [entry_json(one) for one in found],
        "next": None if last is None else position_cursor(last.at, last.id),
    }


@router.post("/export", responses={200: {"content": {media: {} for media in MEDIA.values()}}}, response_class=Response)
def export(form: LogExportForm, actor: ActorDep, archive: ArchiveDep) -> Response:
    """A file of lines, as long as it takes."""
    lines = archive.log_views.export(actor, form.query(), form.form)
    name = f"recvault-log.{form.form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=MEDIA[form.form], headers=headers)
