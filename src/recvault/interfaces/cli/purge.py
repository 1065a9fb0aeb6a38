"""Commands about destroying, and about what stops it: purge, suspension, forecast."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.destruction import WhyResumed
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.interfaces.cli.problems import DONE, FAULT, REFUSED
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, proved_actor_named, table

if TYPE_CHECKING:
    from recvault.domain.brakes import Forecast
    from recvault.services.purge import PurgeReport

NIGHT = timedelta(hours=2)
"""How long after purge.nightly_at a run still counts as the nightly one."""

purge_commands = typer.Typer(rich_markup_mode=None)

Reason = Annotated[str, typer.Option(help="Why; name no person.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(purge_commands, name="purge")


@purge_commands.callback(invoke_without_command=True)
def purge(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what is due and change nothing.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Run although it is not the time of the nightly run.")] = False,
    json_: Json = False,
) -> None:
    """Destroy what is due, see that it is gone, and certify it; close the keys of days that are over."""
    if context.invoked_subcommand is not None:
        return
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


@purge_commands.command("resume")
def resume(
    context: typer.Context,
    communication: str,
    as_: As,
    reason: Annotated[WhyResumed, typer.Option(help="What the person who looked has found.")],
    json_: Json = False,
) -> None:
    """Let a stopped communication go on: its end is computed again from the policy, and the next purge obeys it."""
    with archive_of(context, start=True) as archive:
        row = archive.stopped.resume(actor_named(archive, as_), communication, reason)
    told = {"communication_id": row.id, "destroy_at": row.destroy_at.isoformat(), "policy": row.policy_version}
    answer(
        told, [f"{row.id} goes on; by policy {row.policy_version} it ends on {row.destroy_at:%Y-%m-%d}"], as_json=json_
    )


# --- suspension


@purge_commands.command("suspend")
def suspend(
    context: typer.Context,
    as_: As,
    reason: Reason,
    days: Annotated[int, typer.Option(min=1, max=7, help="For how many days.")] = 7,
    json_: Json = False,
) -> None:
    """Stop automatic destruction for up to 7 days; then it goes on by itself. One person may."""
    from recvault.interfaces.http.approvals import suspension_json

    with archive_of(context, start=True) as archive:
        suspension = archive.suspensions.suspend(actor_named(archive, as_), reason=reason, days=days)
    lines = [f"destruction is suspended until {suspension.until:%Y-%m-%d %H:%M} UTC"]
    answer(suspension_json(suspension), lines, as_json=json_)


@purge_commands.command("extend")
def extend(
    context: typer.Context,
    as_: As,
    reason: Reason,
    until: Annotated[str, typer.Option(metavar="DAY", help="The last day of it, as 2026-01-31.")],
    json_: Json = False,
) -> None:
    """Propose that the suspension lasts longer; a second person decides."""
    from recvault.intake.moments import read_day
    from recvault.interfaces.cli.approvals import told

    day = read_day(until)
    if day is None:
        raise InvalidInput("--until is no day; write 2026-01-31")
    with archive_of(context, start=True) as archive:
        end = datetime(day.year, day.month, day.day, tzinfo=archive.config.retention.zone) + timedelta(days=1)
        actor = actor_named(archive, as_)
        proposal = archive.suspensions.propose_extension(archive.approvals, actor, until=end, reason=reason)
    told(proposal, as_json=json_)


@purge_commands.command("unsuspend")
def unsuspend(context: typer.Context, as_: As, json_: Json = False) -> None:
    """End the suspension: destruction goes on."""
    from recvault.interfaces.http.approvals import suspension_json

    with archive_of(context, start=True) as archive:
        suspension = archive.suspensions.end(proved_actor_named(archive, as_))
    answer(suspension_json(suspension), ["destruction goes on"], as_json=json_)


# --- forecast


@purge_commands.command("forecast")
def forecast(context: typer.Context, json_: Json = False) -> None:
    """What the newest signed forecast says is due, day by day; makes the next one when that is a day old."""
    from recvault.interfaces.http.approvals import forecast_json

    with archive_of(context, start=True) as archive:
        archive.forecast.foresee()
        newest = archive.forecast.newest()
    if newest is None:
        raise InvalidInput("there is no forecast yet; start the worker, or run this again")
    answer(forecast_json(newest), _forecast_lines(newest), as_json=json_)


@purge_commands.command("confirm")
def confirm(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Confirm that what is due now is due indeed, after a run was stopped because no forecast counted it."""
    from recvault.interfaces.http.approvals import forecast_json

    with archive_of(context, start=True) as archive:
        made = archive.forecast.confirm(proved_actor_named(archive, as_))
    lines = [f"confirmed: {made.counts[0]} communications are past their end as of {made.made_at:%Y-%m-%d %H:%M} UTC"]
    answer(forecast_json(made), lines, as_json=json_)


def _forecast_lines(made: Forecast) -> list[str]:
    confirmed = "" if made.confirmed_by is None else f", confirmed by account {made.confirmed_by}"
    rows = [(f"{one:%Y-%m-%d %H:%M}", str(count)) for one, count in zip(made.edges, made.counts, strict=True)]
    return [
        f"forecast {made.number} of {made.made_at:%Y-%m-%d %H:%M} UTC{confirmed}; held ones are counted too",
        *table(("ends until (UTC)", "how many"), rows),
    ]
