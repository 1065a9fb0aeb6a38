"""Commands about what moves an end: events, purposes that are ended early, statutory overrides."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.errors import InvalidInput, NotFound
from recvault.domain.purpose import Purpose
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, proved_actor_named, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.access import Actor
    from recvault.domain.approvals import Proposal
    from recvault.services.retention_events import EventReport

event_commands = typer.Typer(help="Events that move ends.", no_args_is_help=True, rich_markup_mode=None)
purpose_commands = typer.Typer(
    help="Ending a purpose for chosen recordings: early destruction.", no_args_is_help=True, rich_markup_mode=None
)
statute_commands = typer.Typer(
    help="Statutory overrides: what mandatory law keeps longer.", no_args_is_help=True, rich_markup_mode=None
)

Reason = Annotated[str, typer.Option(help="Why; name no person.")]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The customer's number.")]
Day = Annotated[str, typer.Option("--on", metavar="DAY", help="The day, as 2026-01-31.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(event_commands, name="event")
    app.add_typer(purpose_commands, name="purpose")
    app.add_typer(statute_commands, name="statute")


# --- events


@event_commands.command("case-closed")
def case_closed(
    context: typer.Context,
    case: Annotated[str, typer.Argument(metavar="CASE", help="The case's reference.")],
    as_: As,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When, as RFC 3339; else now.")] = None,
    json_: Json = False,
) -> None:
    """A case was closed: what belongs to it is needed for so long after."""
    with archive_of(context, start=True) as archive:
        report = archive.retention_events.case_closed(actor_named(archive, as_), case, _moment(at))
    _told(report, as_json=json_)


@event_commands.command("relationship-end")
def relationship_end(context: typer.Context, customer: Number, as_: As, on: Day, json_: Json = False) -> None:
    """A customer's relationship ends with a day. This only shortens."""
    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        customer_id = _customer(archive, actor, customer)
        report = archive.retention_events.relationship_ended(actor, customer_id, _day(on))
    _told(report, as_json=json_)


@event_commands.command("relationship-resumed")
def relationship_resumed(context: typer.Context, customer: Number, as_: As, on: Day, json_: Json = False) -> None:
    """A customer came back on a day. What is stored stays within the caps it was stored with."""
    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        customer_id = _customer(archive, actor, customer)
        report = archive.retention_events.relationship_resumed(actor, customer_id, _day(on))
    _told(report, as_json=json_)


@event_commands.command("training-objection")
def training_objection(
    context: typer.Context,
    as_: As,
    reason: Annotated[str, typer.Option(help="How the objection came; name no person.")],
    customer: Annotated[str | None, typer.Option(metavar="NUMBER", help="The customer who objects.")] = None,
    communication: Annotated[str | None, typer.Option(metavar="ID", help="Or the one communication.")] = None,
    json_: Json = False,
) -> None:
    """Somebody objects to training: it ends now and for good, for a customer also in what arrives later."""
    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        report = archive.retention_events.object_to_training(
            actor,
            reason=reason,
            customer_id=None if customer is None else _customer(archive, actor, customer),
            communication_id=communication,
        )
    _told(report, as_json=json_)


# --- early ends


@purpose_commands.command("end")
def purpose_end(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The recordings.")],
    as_: As,
    purpose: Annotated[Purpose, typer.Option(help="verification or training.")],
    reason: Reason,
    json_: Json = False,
) -> None:
    """Propose to end a purpose for chosen recordings. Another person approves; 14 days later it is over for good."""
    with archive_of(context, start=True) as archive:
        proposal = archive.purpose_endings.propose(
            archive.approvals, proved_actor_named(archive, as_), ids, purpose.value, reason
        )
    _proposed(proposal, as_json=json_)


@purpose_commands.command("list")
def purpose_list(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Approved ends whose 14 days run."""
    from recvault.interfaces.http.retention_forms import ending_json

    with archive_of(context) as archive:
        found = archive.purpose_endings.open(actor_named(archive, as_))
    rows = [
        (one.ending.id, one.ending.purpose, str(one.items), f"{one.ending.ends_at:%Y-%m-%d}", one.ending.reason)
        for one in found
    ]
    lines = table(("id", "purpose", "recordings", "ends", "reason"), rows)
    answer({"rows": [ending_json(one) for one in found]}, lines, as_json=json_)


@purpose_commands.command("withdraw")
def purpose_withdraw(
    context: typer.Context, ending: Annotated[str, typer.Argument(metavar="ENDING")], as_: As, json_: Json = False
) -> None:
    """Take an early end back while its days run."""
    with archive_of(context, start=True) as archive:
        report = archive.purpose_endings.withdraw(actor_named(archive, as_), ending)
    _told(report, as_json=json_)


# --- statutory overrides


@statute_commands.command("table")
def statute_table(context: typer.Context, json_: Json = False) -> None:
    """The statutes that may be named, built in and of the policy in force. None is active by itself."""
    from recvault.interfaces.http.retention_forms import statute_json

    with archive_of(context) as archive:
        known = archive.overrides.table()
    found = [known[code] for code in sorted(known)]
    rows = [(one.code, one.keep.text, one.basis.value, "yes" if one.mandatory else "no", one.source) for one in found]
    lines = table(("code", "keep", "from", "mandatory", "source"), rows)
    answer({"rows": [statute_json(one) for one in found]}, lines, as_json=json_)


@statute_commands.command("place")
def statute_place(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="As in 'recvault statute table'.")],
    as_: As,
    reason: Reason,
    communication: Annotated[str | None, typer.Option(metavar="ID", help="Keep one communication.")] = None,
    customer: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Keep all of a customer, what comes too.")
    ] = None,
    year_end: Annotated[
        str | None, typer.Option(metavar="DAY", help="The last day of the financial year: 12-31, or 2017-04-30.")
    ] = None,
    json_: Json = False,
) -> None:
    """Propose a statutory override. Another person approves; the end is computed from the statute."""
    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        proposal = archive.overrides.propose(
            archive.approvals,
            actor,
            code=code,
            reason=reason,
            communication_id=communication,
            customer_id=None if customer is None else _customer(archive, actor, customer),
            year_end=year_end,
        )
    _proposed(proposal, as_json=json_)


@statute_commands.command("list")
def statute_list(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Active overrides, and what each keeps until when."""
    from recvault.interfaces.http.retention_forms import override_json

    with archive_of(context) as archive:
        found = archive.overrides.list(actor_named(archive, as_))
    rows = [
        (
            one.override.id,
            one.override.statute.code,
            "mandatory" if one.override.statute.mandatory else "can be balanced",
            "customer" if one.override.customer_id else "communication",
            str(one.covered),
            "-" if one.until is None else f"{one.until:%Y-%m-%d}",
        )
        for one in found
    ]
    lines = table(("id", "statute", "kind", "scope", "keeps", "until"), rows)
    answer({"rows": [override_json(one) for one in found]}, lines, as_json=json_)


@statute_commands.command("end")
def statute_end(
    context: typer.Context,
    override: Annotated[str, typer.Argument(metavar="OVERRIDE")],
    as_: As,
    reason: Reason,
    json_: Json = False,
) -> None:
    """Propose to take an override back; what it kept is due by its own retention again."""
    with archive_of(context, start=True) as archive:
        proposal = archive.overrides.propose_end(archive.approvals, proved_actor_named(archive, as_), override, reason)
    _proposed(proposal, as_json=json_)


# --- shared


def _customer(archive: Archive, actor: Actor, number: str) -> str:
    found = archive.customers.id_of_number(actor, number)
    if found is None:
        raise NotFound("no customer has this number; nothing was changed")
    return found


def _day(text: str) -> date:
    from recvault.intake.moments import read_day

    day = read_day(text)
    if day is None:
        raise InvalidInput("--on is no day; write 2026-01-31")
    return day


def _moment(text: str | None) -> datetime | None:
    from recvault.intake.moments import read_moment

    if text is None:
        return None
    moment = read_moment(text)
    if moment is None:
        raise InvalidInput("--at is no moment with a time zone; write 2026-01-31T12:00:00+02:00")
    return moment


def _told(report: EventReport, *, as_json: bool) -> None:
    from recvault.interfaces.http.retention_forms import event_json

    lines = [f"communications concerned: {report.concerned}, ends moved: {report.moved}"]
    answer(event_json(report), lines, as_json=as_json)


def _proposed(proposal: Proposal, *, as_json: bool) -> None:
    told: dict[str, Any] = {"proposal": proposal.id, "state": proposal.state.value}
    answer(told, [f"proposed as {proposal.id}; an approver decides: recvault approval list"], as_json=as_json)
