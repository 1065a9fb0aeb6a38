"""Commands that read the audit log for an auditor: 'audit list' and 'audit export'."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.errors import InvalidInput
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, table, write_pieces

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.log_query import LogQuery

By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="A sign-in name, an account's id, or source:…")]
About = Annotated[str | None, typer.Option(metavar="ID", help="The id of a communication, customer, hold or account.")]
OfCustomer = Annotated[str | None, typer.Option("--customer", metavar="ID", help="A customer's id: all of theirs.")]
Acts = Annotated[list[str] | None, typer.Option("--act", help="An act, as communication:content:opened; repeatable.")]
Purpose = Annotated[str | None, typer.Option(help="The purpose that was named.")]
Since = Annotated[datetime | None, typer.Option(help="From this moment on, in the archive's time zone.")]
Until = Annotated[datetime | None, typer.Option(help="Before this moment.")]


def add_to(commands: typer.Typer) -> None:
    """Adds them to the commands of the log."""
    commands.command("list")(audit_list)
    commands.command("export")(audit_export)


def audit_list(
    context: typer.Context,
    as_: As,
    by: By = None,
    about: About = None,
    customer: OfCustomer = None,
    act: Acts = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    json_: Json = False,
) -> None:
    """What was done, newest first: by whom, about what, for which purpose. The reading is an entry itself."""
    from recvault.services.log_views import entry_json

    with archive_of(context) as archive:
        query = _query(archive, by, about, customer, act, purpose, since, until, limit)
        found = archive.log_views.find(actor_named(archive, as_), query)
    rows = [
        (f"{one.entry.at:%Y-%m-%d %H:%M:%S}", one.entry.actor, one.entry.act.value, one.entry.target or "",
         one.entry.purpose or "") for one in found
    ]  # fmt: skip
    lines = table(("at (UTC)", "by", "act", "about", "purpose"), rows)
    answer({"rows": [entry_json(one) for one in found]}, lines, as_json=json_)


def audit_export(
    context: typer.Context,
    as_: As,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file; .csv for CSV, else JSON Lines.")],
    by: By = None,
    about: About = None,
    customer: OfCustomer = None,
    act: Acts = None,
    purpose: Purpose = None,
    since: Since = None,
    until: Until = None,
    json_: Json = False,
) -> None:
    """Write the entries asked for to a file, one a line. The export is an entry itself."""
    with archive_of(context) as archive:
        query = _query(archive, by, about, customer, act, purpose, since, until, 1000)
        form = "csv" if out.suffix.lower() == ".csv" else "jsonl"
        lines = archive.log_views.export(actor_named(archive, as_), query, form)
        write_pieces(out, (line.encode() for line in lines), mode=0o600)
    answer({"file": str(out), "form": form}, [f"the entries are in {out}"], as_json=json_)


def _query(
    archive: Archive,
    by: str | None,
    about: str | None,
    customer: str | None,
    acts: list[str] | None,
    purpose: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> LogQuery:
    from recvault.domain.audit import Act
    from recvault.domain.ids import is_uuid7
    from recvault.domain.log_query import LogQuery

    known = {act.value for act in Act}
    if unknown := sorted(set(acts or ()) - known):
        raise InvalidInput(f"there is no act {unknown[0]}; 'recvault audit list' shows how they are written")
    if by is not None and ":" not in by and not is_uuid7(by):
        by = archive.accounts.user_named(by).id
    zone = archive.config.retention.zone
    return LogQuery(
        actor=by,
        target=about,
        customer_id=customer,
        acts=frozenset(Act(act) for act in acts or ()),
        purpose=purpose,
        since=None if since is None else since.replace(tzinfo=zone),
        until=None if until is None else until.replace(tzinfo=zone),
        limit=limit,
    )
