"""Commands about holds: what must not be destroyed for now."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.communication import Channel, SearchQuery
from recvault.domain.errors import Conflict, InvalidInput, NotFound
from recvault.domain.holds import HoldKind
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, proved_actor_named, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive

hold_commands = typer.Typer(
    help="Holds: what must not be destroyed for now.", no_args_is_help=True, rich_markup_mode=None
)

Day = Annotated[str | None, typer.Option(metavar="DAY", help="As 2026-01-31.")]
Class = Annotated[str | None, typer.Option(help="Hold what a search finds now.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(hold_commands, name="hold")


@hold_commands.command("place")
def hold_place(
    context: typer.Context,
    as_: As,
    reason: Annotated[str, typer.Option(help="Why; name no person.")],
    communication: Annotated[str | None, typer.Option(metavar="ID", help="Hold one communication.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="NUMBER", help="Hold everything of a customer.")] = None,
    search_from: Day = None,
    search_until: Day = None,
    search_team: Class = None,
    search_queue: Class = None,
    search_tag: Class = None,
    search_case: Class = None,
    search_channel: Annotated[Channel | None, typer.Option(help="Hold what a search finds now.")] = None,
    review_on: Annotated[
        str | None, typer.Option(metavar="DAY", help="When to ask whether it is still needed; else as the policy says.")
    ] = None,
    authority: Annotated[
        str | None, typer.Option(help="Reference of the authority that asked, or of the customer's request.")
    ] = None,
    owner: Annotated[str | None, typer.Option(metavar="USER", help="Who looks after it; else who places it.")] = None,
    kind: Annotated[
        HoldKind,
        typer.Option(help="A restriction (Art. 18 GDPR) also lets nobody open it; a request names --authority."),
    ] = HoldKind.HOLD,
    json_: Json = False,
) -> None:
    """Place a hold: on a communication, a customer, or what the --search options find now. No purge can race past it."""
    from recvault.interfaces.http.forms import hold_json

    days = (search_from, search_until)
    classes = (search_team, search_queue, search_tag, search_case)
    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        customer_id = None
        if customer is not None:
            customer_id = archive.customers.id_of_number(actor, customer)
            if customer_id is None:
                raise NotFound("no customer has this number; nothing was held")
        done = archive.holds.place(
            actor,
            reason=reason,
            review_on=_review_day(archive, review_on),
            communication_id=communication,
            customer_id=customer_id,
            found_by=_query(archive, days, classes, search_channel),
            authority=authority,
            owner=None if owner is None else archive.accounts.user_named(owner).id,
            kind=kind,
        )
    gone = done.already_destroyed
    if gone and not done.covered:
        raise Conflict(f"nothing was held: {gone[0]} is destroyed already; see 'recvault certificate show {gone[0]}'")
    told = {**hold_json(done.hold), "covered": done.covered, "already_destroyed": list(gone)}
    lines = [f"{done.hold.kind.value} {done.hold.id} covers {done.covered}; review on {done.hold.review_on}"]
    lines += [f"already destroyed: {one}" for one in gone]
    answer(told, lines, as_json=json_)


def _query(
    archive: Archive,
    days: tuple[str | None, str | None],
    classes: tuple[str | None, ...],
    channel: Channel | None,
) -> SearchQuery | None:
    """The search of the options; None when none of them was given."""
    if not any((*days, *classes, channel)):
        return None
    team, queue, tag, case_ref = classes
    first, last = (None if text is None else _day(text, "--search-from and --search-until are days") for text in days)
    zone = archive.config.retention.zone
    return SearchQuery(
        team=team,
        queue=queue,
        tag=tag,
        case_ref=case_ref,
        channel=channel,
        started_from=None if first is None else datetime.combine(first, time(0), zone),
        started_until=None if last is None else datetime.combine(last + timedelta(days=1), time(0), zone),
    )


def _review_day(archive: Archive, text: str | None) -> date:
    if text is None:
        after = archive.retention.active().records.hold_review.after
        zone = archive.config.retention.zone
        return after.add_to(archive.clock.now(), zone).astimezone(zone).date()
    return _day(text, "--review-on is no day")


def _day(text: str, fault: str) -> date:
    from recvault.intake.moments import read_day

    day = read_day(text)
    if day is None:
        raise InvalidInput(f"{fault}; write 2026-01-31")
    return day


@hold_commands.command("release")
def hold_release(
    context: typer.Context,
    as_: As,
    hold_id: Annotated[str, typer.Argument(metavar="HOLD")],
    reason: Annotated[str, typer.Option(help="Why it is not needed any more; name no person.")],
    told_on: Annotated[
        str | None, typer.Option(metavar="DAY", help="When the customer was told that a restriction is lifted.")
    ] = None,
    json_: Json = False,
) -> None:
    """Propose to release a hold, or lift a restriction; a second person decides with 'recvault approval approve'."""
    from recvault.interfaces.cli.approvals import told

    with archive_of(context, start=True) as archive:
        actor = proved_actor_named(archive, as_)
        day = None if told_on is None else _day(told_on, "--told-on is no day")
        proposal = archive.holds.propose_release(archive.approvals, actor, hold_id, reason=reason, told_on=day)
    told(proposal, as_json=json_)


@hold_commands.command("close")
def hold_close(
    context: typer.Context,
    as_: As,
    hold_id: Annotated[str, typer.Argument(metavar="HOLD")],
    reason: Annotated[str, typer.Option(help="How it was answered; name no person.")],
    json_: Json = False,
) -> None:
    """Close an open request; what nothing else freezes is due again."""
    from recvault.interfaces.http.forms import hold_json

    with archive_of(context, start=True) as archive:
        closed = archive.holds.close_request(actor_named(archive, as_), hold_id, reason=reason)
    answer(hold_json(closed), [f"request {closed.authority} is closed"], as_json=json_)


@hold_commands.command("list")
def hold_list(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Active holds, and how many communications each covers now."""
    _report(context, as_, json_, short=True)


@hold_commands.command("report")
def hold_report(context: typer.Context, as_: As, json_: Json = False) -> None:
    """What each hold covers, counted by the database, and how much of it would be destroyed without holds."""
    _report(context, as_, json_, short=False)


def _report(context: typer.Context, as_: str, as_json: bool, *, short: bool) -> None:
    from recvault.interfaces.http.approvals import count_json

    with archive_of(context) as archive:
        lines = archive.holds.report(actor_named(archive, as_))
        today = archive.clock.now().astimezone(archive.config.retention.zone).date()
    rows = [
        (
            line.hold.id,
            line.hold.kind.value,
            line.hold.scope.value,
            str(line.covered),
            *(() if short else (str(line.kept_back), line.hold.responsible, line.hold.authority or "")),
            f"{line.hold.placed_at:%Y-%m-%d}",
            line.hold.review_on.isoformat() + (" (now)" if line.hold.review_on <= today else ""),
            line.hold.reason,
        )
        for line in lines
    ]
    more = () if short else ("due without it", "owner", "authority")
    told = table(("id", "kind", "scope", "covers", *more, "placed", "review", "reason"), rows)
    answer({"rows": [count_json(line) for line in lines]}, told, as_json=as_json)
