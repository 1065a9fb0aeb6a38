"""Commands about who may what: giving and taking roles, persons behind accounts, break-glass, what takes two people before
content is handed out, and the weekly access review.

Roles that open content or approve are asked for ``--as`` an administrator and wait for an approval and a day; only while
nobody can approve yet does the machine's operator give them (``services.grants``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.access import Grant
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.interfaces.cli.accounts import Roles, parse_role, user_commands
from recvault.interfaces.cli.session import (
    OPERATOR,
    As,
    Json,
    actor_named,
    answer,
    archive_of,
    proved_actor_named,
    table,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from recvault.bootstrap import Archive
    from recvault.domain.access_review import Member, Review
    from recvault.domain.approvals import Proposal
    from recvault.domain.ports.database.grants import Confirmation
    from recvault.services.grants import Granted

access_commands = typer.Typer(
    help="Rights of some hours or days that two people give.", no_args_is_help=True, rich_markup_mode=None
)

Asking = Annotated[
    str | None,
    typer.Option("--as", metavar="USER", help="The administrator who asks, for roles that take an approval."),
]
Why = Annotated[str, typer.Option("--reason", help="Why; whoever approves reads it.")]
Reference = Annotated[str, typer.Option("--reference", help="The id of the matter; never a person's name or number.")]
Until = Annotated[str | None, typer.Option(help="The last day of these roles (2026-12-31), or the moment in RFC 3339.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(access_commands, name="access")
    app.command("review")(review)


# --- roles


@user_commands.command("grant")
def user_grant(
    context: typer.Context,
    name: str,
    role: Roles = None,
    until: Until = None,
    as_: Asking = None,
    reason: Why = "",
    json_: Json = False,
) -> None:
    """Give a person exactly these roles, in place of those the person has; none without --role. What is taken away ends at
    once; what opens content or approves begins a day after another person approved it."""
    with archive_of(context, start=True) as archive:
        grants = grants_of(role or (), until, archive.config.retention.zone)
        made = give(archive, name, grants, as_=as_, reason=reason)
    told, lines = granted_told(made)
    answer(told, lines, as_json=json_)


@user_commands.command("person")
def user_person(
    context: typer.Context,
    name: str,
    same_as: Annotated[str | None, typer.Option(metavar="USER", help="Another account of the same person.")] = None,
    json_: Json = False,
) -> None:
    """Note that two accounts are one person's: one does not decide what the other proposed. Without --same-as: not."""
    with archive_of(context, start=True) as archive:
        user = archive.grants.link_person(name, same_as, by=OPERATOR)
    line = f"{name} is the same person as {same_as}" if same_as else f"{name} is a person alone"
    answer({"name": user.name, "person": user.who}, [line], as_json=json_)


def give(archive: Archive, name: str, grants: Sequence[Grant], *, as_: str | None, reason: str) -> Granted:
    """Roles by whoever asks, or by the machine's operator."""
    if as_ is None or not archive.grants.needs_approval(grants):
        return archive.grants.set_on_machine(name, grants, by=OPERATOR)
    user = archive.accounts.user_named(name)
    return archive.grants.set_roles(archive.approvals, proved_actor_named(archive, as_), user.id, grants, reason=reason)


def require_asked(archive: Archive, grants: Sequence[Grant], as_: str | None, reason: str) -> None:
    """Before an account is made: Forbidden or InvalidInput when its roles take an approval that nobody asks for."""
    from recvault.services.grants import ASK

    if not archive.grants.needs_approval(grants):
        return
    if as_ is None or not reason.strip():
        raise Forbidden(ASK)
    proved_actor_named(archive, as_)


def grants_of(roles: Sequence[str], until: str | None, zone: ZoneInfo) -> tuple[Grant, ...]:
    """The roles of the command line, until the end of a day in the archive's zone."""
    ends = None if until is None else _end(until, zone)
    return tuple(replace(parse_role(text), valid_until=ends) for text in roles)


def granted_told(made: Granted) -> tuple[dict[str, Any], list[str]]:
    """What came of it, for programs and for people."""
    from recvault.interfaces.cli.accounts import roles_text, user_json
    from recvault.interfaces.http.approvals import proposal_json

    told = user_json(made.user) | {"proposal": None if made.proposal is None else proposal_json(made.proposal)}
    lines = [f"{made.user.name}: {roles_text(made.user) or 'no roles'}"]
    if made.proposal is not None:
        lines.append(
            f"the other roles wait for an approval: recvault approval approve {made.proposal.id} --as APPROVER"
        )
    return told, lines


def _end(text: str, zone: ZoneInfo) -> datetime:
    from recvault.intake.moments import read_day, read_moment, start_of_day

    day = read_day(text)
    found = start_of_day(day + timedelta(days=1), zone) if day is not None else read_moment(text)
    if found is None:
        raise InvalidInput("--until is a day (2026-12-31) or a moment with its zone (2026-12-31T16:00:00+02:00)")
    return found


# --- what two people give


@access_commands.command("break-glass")
def break_glass(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who gets the role.")],
    as_: As,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="As for 'user grant'.")],
    hours: Annotated[int, typer.Option(help="For how long, 1 to 12.")],
    reason: Why,
    json_: Json = False,
) -> None:
    """Propose a role of some hours for a person. It begins when another person approves it, with an alarm, and ends by
    itself."""
    with archive_of(context, start=True) as archive:
        user = archive.accounts.user_named(name)
        proposal = archive.grants.propose_break_glass(
            archive.approvals, proved_actor_named(archive, as_), user.id, parse_role(role), hours=hours, reason=reason
        )
    _proposed(proposal, as_json=json_)


@access_commands.command("disclosure")
def disclosure(
    context: typer.Context,
    as_: As,
    reference: Reference,
    statute: Annotated[str, typer.Option(help="The law that obliges, with its section.")],
    reason: Why,
    communication: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="What it covers; may be given several times.")
    ] = None,
    customer: Annotated[str | None, typer.Option(metavar="NUMBER", help="Or: everything of this customer.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="That began then or later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="And before this day or moment.")] = None,
    json_: Json = False,
) -> None:
    """Propose a disclosure to an authority. Approved by another person, the proposal's id opens what it covers for the
    purpose 'authority' during 7 days."""
    from recvault.domain.coverage import Coverage
    from recvault.interfaces.cli.recordings import customer_named, moment_of

    with archive_of(context, start=True) as archive:
        actor = proved_actor_named(archive, as_)
        covers = Coverage(
            communications=frozenset(communication or ()),
            customer_id=None if customer is None else customer_named(archive, actor, customer),
            started_from=moment_of(archive, from_, "--from"),
            started_until=moment_of(archive, until, "--until"),
        )
        proposal = archive.authorisations.propose_disclosure(
            archive.approvals, actor, reference, covers=covers, statute=statute, reason=reason
        )
    _proposed(proposal, as_json=json_)


def _proposed(proposal: Proposal, *, as_json: bool) -> None:
    from recvault.interfaces.cli.approvals import told

    told(proposal, as_json=as_json)


# --- the review


def review(
    context: typer.Context,
    as_: As,
    week: Annotated[str | None, typer.Option(help="A week that is over, as 2026-W47; else the last.")] = None,
    confirm: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Confirm the report with this digest, which you have read.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show who reaches the team, what they opened and why, and what is unusual; a team lead confirms having seen it."""
    from recvault.interfaces.http.grants import confirmation_json, review_json

    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        if confirm is not None:
            from recvault.domain.access_review import last_week

            made = archive.access_review.confirm(actor, week or last_week(archive.clock.now()), confirm)
            answer(confirmation_json(made), [f"the review of {made.week} is confirmed"], as_json=json_)
            return
        report, confirmed = archive.access_review.report(actor, week)
    answer(review_json(report, confirmed), lambda: _review_lines(report, confirmed), as_json=json_)


def _review_lines(report: Review, confirmed: Sequence[Confirmation]) -> list[str]:
    teams = "all teams" if report.teams is None else ", ".join(sorted(report.teams))
    lines = [f"access review of {report.week}: {teams}", ""]
    lines += table(
        ("account", "roles", "opened", "looks", "remarks"), [_member_line(member) for member in report.members]
    )
    lines += ["", f"unusual days: {report.unusual}, break-glass: {len(report.break_glass)}"]
    lines += [f"confirmed {one.confirmed_at:%Y-%m-%d %H:%M} UTC by {one.reviewer}" for one in confirmed]
    return [*lines, f"to confirm: recvault review --as NAME --week {report.week} --confirm {report.digest}"]


def _member_line(member: Member) -> tuple[str, ...]:
    from recvault.interfaces.cli.accounts import grants_text

    opened = ", ".join(f"{purpose} {many}" for purpose, many in sorted(member.opened().items())) or "-"
    remarks = [f"unusual {day.day:%Y-%m-%d}: {day.opened} of {day.customers} customers" for day in member.unusual]
    remarks += ["unused for 90 days"] if member.unused else []
    return member.name, grants_text(member.grants) or "-", opened, str(member.looks()), "; ".join(remarks) or "-"
