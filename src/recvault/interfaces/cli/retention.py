"""Commands about destroying and what stops it: purge, hold."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.errors import Conflict, Forbidden, InvalidInput, NotFound
from recvault.interfaces.cli import policies, retention_events
from recvault.interfaces.cli.problems import DONE, FAULT, REFUSED
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.services.purge import PurgeReport

NIGHT = timedelta(hours=2)
"""How long after purge.nightly_at a run still counts as the nightly one."""

hold_commands = typer.Typer(
    help="Holds: what must not be destroyed for now.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module, of policies and of what moves an end."""
    policies.add_to(app)
    app.command()(purge)
    retention_events.add_to(app)
    app.add_typer(hold_commands, name="hold")


# --- purge


def purge(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is due and change nothing.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Run although it is not the time of the nightly run.")] = False,
    json_: Json = False,
) -> None:
    """Destroy what is due, see that it is gone, and certify it; close the keys of days that are over."""
    with archive_of(context, start=not dry_run) as archive:
        if dry_run:
            report = archive.purge.forecast()
        else:
            local = archive.clock.now().astimezone(archive.config.retention.zone)
            if not now and not is_night(local, archive.config.purge.nightly_at.strftime("%H:%M")):
                raise Forbidden(
                    f"the purge runs nightly at {archive.config.purge.nightly_at:%H:%M}; to run it at another time, say "
                    "--now; to see what is due, say --dry-run"
                )
            report = archive.purge.run("cli")
    answer(report_json(report), _report_lines(report, dry_run=dry_run), as_json=json_)
    if report.stopped_because is not None:
        raise typer.Exit(REFUSED)
    raise typer.Exit(FAULT if report.stopped or report.unfinished else DONE)


def is_night(local: datetime, nightly_at: str) -> bool:
    """Whether the local time lies within two hours of the nightly run's beginning."""
    hour, minute = (int(part) for part in nightly_at.split(":"))
    since = (local.hour - hour) * 60 + local.minute - minute
    return timedelta(minutes=since % (24 * 60)) < NIGHT


def report_json(report: PurgeReport) -> dict[str, Any]:
    """A run's report; the ids in it are random."""
    return {
        "due": report.due,
        "destroyed": report.destroyed,
        "kept": report.kept,
        "stopped": report.stopped,
        "unfinished": report.unfinished,
        "completed": report.completed,
        "keys_destroyed": report.keys_destroyed,
        "stopped_because": report.stopped_because,
    }


def _report_lines(report: PurgeReport, *, dry_run: bool) -> list[str]:
    lines = [f"due: {report.due}"]
    if report.stopped_because is not None:
        lines.append(f"destruction is off: {report.stopped_because}")
    if dry_run or report.stopped_because is not None:
        return lines
    lines += [
        f"destroyed and seen to be gone: {len(report.destroyed)}",
        f"kept back by a hold placed meanwhile: {len(report.kept)}",
        f"keys destroyed: {len(report.keys_destroyed)}, certificates completed: {len(report.completed)}",
    ]
    if report.stopped:
        lines.append(f"stopped, the end differs from the policy; a person must look: {', '.join(report.stopped)}")
    if report.unfinished:
        lines.append(
            f"unreadable, but objects are still there; the next run tries again: {', '.join(report.unfinished)}"
        )
    return lines


# --- hold


@hold_commands.command("place")
def hold_place(
    context: typer.Context,
    as_: As,
    reason: Annotated[str, typer.Option(help="Why; name no person.")],
    communication: Annotated[str | None, typer.Option(metavar="ID", help="Hold one communication.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="NUMBER", help="Hold everything of a customer.")] = None,
    review_on: Annotated[
        str | None, typer.Option(metavar="DAY", help="When to ask whether it is still needed; else as the policy says.")
    ] = None,
    authority: Annotated[str | None, typer.Option(help="The authority's reference, if one asked for it.")] = None,
    json_: Json = False,
) -> None:
    """Place a hold. It is in the ledger before it is acknowledged; no purge can race past it."""
    from recvault.interfaces.http.forms import hold_json

    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        customer_id = None
        if customer is not None:
            customer_id = archive.customers.id_of_number(actor, customer)
            if customer_id is None:
                raise NotFound("no customer has this number; nothing was held")
        answer_ = archive.holds.place(
            actor,
            reason=reason,
            review_on=_review_day(archive, review_on),
            communication_id=communication,
            customer_id=customer_id,
            authority=authority,
        )
    gone = answer_.already_destroyed
    if gone:
        raise Conflict(f"nothing was held: {gone[0]} is destroyed already; see 'recvault certificate show {gone[0]}'")
    told = {**hold_json(answer_.hold), "covered": answer_.covered}
    lines = [f"hold {answer_.hold.id} covers {answer_.covered}; review on {answer_.hold.review_on}"]
    answer(told, lines, as_json=json_)


def _review_day(archive: Archive, text: str | None) -> date:
    from recvault.intake.moments import read_day

    if text is None:
        after = archive.retention.active().records.hold_review.after
        zone = archive.config.retention.zone
        return after.add_to(archive.clock.now(), zone).astimezone(zone).date()
    day = read_day(text)
    if day is None:
        raise InvalidInput("--review-on is no day; write 2026-01-31")
    return day


@hold_commands.command("release")
def hold_release(
    context: typer.Context, as_: As, hold_id: Annotated[str, typer.Argument(metavar="HOLD")], json_: Json = False
) -> None:
    """Release a hold; what nothing else freezes is due again by its own retention."""
    from recvault.interfaces.http.forms import hold_json

    with archive_of(context, start=True) as archive:
        hold = archive.holds.release(actor_named(archive, as_), hold_id)
    answer(hold_json(hold), [f"hold {hold.id} is released"], as_json=json_)


@hold_commands.command("list")
def hold_list(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Active holds, and how many communications each covers now."""
    from recvault.interfaces.http.forms import hold_json

    with archive_of(context) as archive:
        held = archive.holds.list(actor_named(archive, as_))
    rows = [
        (
            hold.id,
            "customer" if hold.customer_id else "communication",
            str(covered),
            f"{hold.placed_at:%Y-%m-%d}",
            hold.review_on.isoformat(),
            hold.reason,
        )
        for hold, covered in held
    ]
    lines = table(("id", "scope", "covers", "placed", "review", "reason"), rows)
    answer({"rows": [{**hold_json(hold), "covered": covered} for hold, covered in held]}, lines, as_json=json_)
