"""The audit log for auditors: what was done, by whom, about what, for which purpose; narrowed, turned over, taken along.

Keeps: what is asked for stays in the form's body; people and customers appear by their random ids, names of accounts only
on demand. Every look is an entry of the log itself (``services.log_views``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, NotFound
from recvault.domain.ids import is_uuid7
from recvault.domain.log_query import LogQuery
from recvault.interfaces.http.forms import parse_cursor, position_cursor
from recvault.interfaces.http.log import MEDIA
from recvault.interfaces.web.fields import Fields, FieldsDep, parse_day
from recvault.interfaces.web.log_words import ACTS, details
from recvault.interfaces.web.pages import Page, PageDep, PageRoute
from recvault.interfaces.web.words import N_
from recvault.services.log_views import LISTENING

router = APIRouter(route_class=PageRoute)

ROWS = 50

KINDS: Mapping[str, tuple[str, frozenset[Act]]] = {
    "": (N_("everything"), frozenset()),
    "listening": (N_("listening and reading"), LISTENING),
    "search": (N_("searches and views"), frozenset({Act.SEARCHED, Act.VIEWED})),
    "retention": (N_("ends of keeping"), frozenset(act for act in Act if act.startswith("communication:retention:"))),
    "destruction": (N_("destruction"), frozenset(act for act in Act if act.startswith("destruction:"))),
    "hold": (N_("holds"), frozenset(act for act in Act if act.startswith("hold:"))),
    "approval": (N_("approvals"), frozenset(act for act in Act if act.startswith("approval:"))),
    "account": (N_("accounts and sign-in"), frozenset(act for act in Act if act.startswith("account:"))),
    "key": (N_("keys"), frozenset(act for act in Act if act.startswith("key:"))),
    "log": (N_("the log itself"), frozenset(act for act in Act if act.startswith("log:"))),
}
"""What the page offers to narrow by, with its acts."""

FILTERS = ("actor", "target", "kind", "purpose", "day_from", "day_until")


@router.get("/log")
def latest(page: PageDep) -> Response:
    """The newest entries."""
    return _show(page, {})


@router.post("/log")
def narrowed(page: PageDep, fields: FieldsDep) -> Response:
    """Those that the form asks for; or all of them as a file."""
    if fields.get("form") in MEDIA:
        form = fields["form"]
        lines = page.archive.log_views.export(page.actor, _query(page, fields), form)
        headers = {"Content-Disposition": f'attachment; filename="recvault-log.{form}"'}
        return StreamingResponse(lines, media_type=MEDIA[form], headers=headers)
    return _show(page, fields)


def _show(page: Page, fields: Fields) -> Response:
    try:
        query, fault = _query(page, fields), ""
    except (InvalidInput, NotFound) as error:
        query, fault = LogQuery(limit=ROWS), page.wording.text(str(error))
    found = page.archive.log_views.find(page.actor, query)
    names = page.archive.log_views.names(page.actor, found) if fields.get("names") else {}
    last = found[-1].entry if len(found) == ROWS else None
    return page.render(
        "log.html",
        422 if fault else 200,
        found=found,
        names=names,
        acts=ACTS,
        details=details,
        kinds={kind: title for kind, (title, _) in KINDS.items()},
        filters={name: fields.get(name, "") for name in FILTERS},
        cursor=None if last is None else position_cursor(last.at, last.id),
        fault=fault,
    )


def _query(page: Page, fields: Fields) -> LogQuery:
    actor = fields.get("actor") or None
    if actor is not None and ":" not in actor and not is_uuid7(actor.lower()):
        actor = page.archive.accounts.user_named(actor).id
    return LogQuery(
        actor=actor,
        target=fields.get("target", "").lower() or None,
        acts=KINDS.get(fields.get("kind", ""), KINDS[""])[1],
        purpose=fields.get("purpose") or None,
        since=_midnight(page, fields.get("day_from", "")),
        until=_midnight(page, fields.get("day_until", ""), after=timedelta(days=1)),
        after=parse_cursor(fields["cursor"]) if fields.get("cursor") else None,
        limit=ROWS,
    )


def _midnight(page: Page, day: str, *, after: timedelta = timedelta(0)) -> datetime | None:
    if not day:
        return None
    return datetime.combine(parse_day(day) + after, time(), tzinfo=page.wording.zone)
