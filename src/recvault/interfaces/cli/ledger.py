"""Commands about the ledger and the way back after a restore: verify, heal, replay, what has no row, sweeping again.

They work on a database that serves nothing else. Every line told is about ids, sizes and times.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, table

if TYPE_CHECKING:
    from recvault.services.restore import Orphan, ReplayReport

ledger_commands = typer.Typer(help="The ledger outside the database.", no_args_is_help=True, rich_markup_mode=None)
restore_commands = typer.Typer(help="After a restore.", no_args_is_help=True, rich_markup_mode=None)

SHOWN = 20
"""Ids of each kind that an answer for people shows, at most."""


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(ledger_commands, name="ledger")
    app.add_typer(restore_commands, name="restore")


@ledger_commands.command("verify")
def ledger_verify(context: typer.Context, json_: Json = False) -> None:
    """Check signature, order and digest of every ledger entry, its anchor in the keyring, and that the database has
    followed it."""
    with archive_of(context) as archive:
        head = archive.ledger.verify()
        behind = archive.ledger.behind()
    lines = [f"the ledger holds: {head.sequence} entries, head {head.digest}"]
    if behind:
        lines.append(f"the database is {behind} entries behind; run 'recvault ledger replay'")
    answer({"entries": head.sequence, "head": head.digest, "database_behind": behind}, lines, as_json=json_)


@ledger_commands.command("heal")
def ledger_heal(context: typer.Context, json_: Json = False) -> None:
    """Copy what one of the ledger's two places lacks from the other."""
    with archive_of(context) as archive:
        copied = archive.ledger.heal()
    answer({"copied": copied}, [f"entries copied: {copied}"], as_json=json_)


@ledger_commands.command("replay")
def ledger_replay(context: typer.Context, json_: Json = False) -> None:
    """Follow what the ledger says and the database does not know, as after a restore, and tell what that did."""
    with archive_of(context) as archive:
        report = archive.restore.replay()
        certified = archive.purge.certify_left(report.remembered)
        orphans = list(archive.restore.orphans())
    told = _told(report) | {"certified_again": certified, "orphans": [_orphan(one) for one in orphans]}
    answer(told, lambda: _lines(report, certified, orphans), as_json=json_)


@ledger_commands.command("accept-loss")
def ledger_accept_loss(
    context: typer.Context,
    as_: As,
    reason: Annotated[str | None, typer.Option(help="Propose it, and why no copy of the ledger can be had.")] = None,
    approve: Annotated[str | None, typer.Option(metavar="PROPOSAL", help="Approve what another proposed.")] = None,
    json_: Json = False,
) -> None:
    """Tell which entries at the ledger's end are lost in both places, and let two people go on without them: one proposes,
    another approves. Destruction is suspended for seven days then."""
    with archive_of(context) as archive, archive.database.unjudged():
        actor = actor_named(archive, as_)
        loss = archive.ledger_loss.told()
        lines = [f"lost: entries {loss.first} to {loss.last}; nobody knows what {loss.unknown} of them said"]
        value: dict[str, Any] = {"first": loss.first, "last": loss.last, "unknown": loss.unknown, "proposal": None}
        if approve is not None:
            done = archive.approvals.approve(actor, approve)
            lines.append(f"proposal {done.id}: {done.state.value}; look through holds and requests of the last days")
            value |= {"proposal": done.id, "state": done.state.value}
        elif reason is not None:
            made = archive.ledger_loss.propose(archive.approvals, actor, reason)
            lines.append(f"proposed as {made.id}; another person runs this with --approve {made.id}")
            value |= {"proposal": made.id, "state": made.state.value}
    answer(value, lines, as_json=json_)


@restore_commands.command("orphans")
def restore_orphans(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Ids at most.")] = 1000,
    json_: Json = False,
) -> None:
    """What lies in the object store and has no row: uploads that never ended, or whose row a restore has lost."""
    with archive_of(context) as archive:
        orphans = list(islice(archive.restore.orphans(), limit))
    rows = [(one.id, f"{one.began_at:%Y-%m-%d %H:%M}", str(one.objects), str(one.length)) for one in orphans]
    answer(
        {"rows": [_orphan(one) for one in orphans]},
        table(("id", "began (UTC)", "objects", "bytes"), rows),
        as_json=json_,
    )


@restore_commands.command("sweep-again")
def restore_sweep_again(
    context: typer.Context,
    as_: As,
    reason: Annotated[str, typer.Option(help="Why what has no row may go.")],
    json_: Json = False,
) -> None:
    """Propose that what has no row is swept again after a restore; a second person approves it."""
    from recvault.domain.approvals import ProposalKind

    with archive_of(context, start=True) as archive:
        actor = actor_named(archive, as_)
        proposal = archive.approvals.propose(actor, ProposalKind.SWEEP_AFTER_RESTORE, "sweeper", {}, reason)
    line = f"proposed as {proposal.id}; another person approves it with 'recvault approval approve'"
    answer({"proposal": proposal.id}, [line], as_json=json_)


def _told(report: ReplayReport) -> dict[str, Any]:
    followed = report.followed
    return {
        "healed": report.healed,
        "followed": followed.entries,
        "holds_placed": followed.holds_placed,
        "holds_released": followed.holds_released,
        "keys_closed": followed.keys_closed,
        "destroyed_again": report.destroyed_again,
        "tombstones_made_again": [item.communication_id for item in report.remembered],
        "beyond_reach": report.beyond_reach,
        "dropped": sorted({*report.dropped, *followed.dropped}),
        "intended": report.intended,
        "waiting": report.waiting,
        "sweeping": report.sweeping,
        "log_continued_as": report.log_continued_as,
    }


def _lines(report: ReplayReport, certified: list[str], orphans: list[Orphan]) -> list[str]:
    told = _told(report)
    rows = [
        ("entries followed", str(report.followed.entries)),
        ("holds placed again", _ids(told["holds_placed"])),
        ("holds released again", _ids(told["holds_released"])),
        ("keys that died since", _ids(told["keys_closed"])),
        ("destroyed again", _ids(report.destroyed_again)),
        ("tombstones made again", _ids(told["tombstones_made_again"])),
        ("certified again", _ids(certified)),
        ("beyond reach, never destroyed", _ids(report.beyond_reach)),
        ("intended, now readable again", _ids(told["dropped"])),
        ("intended, for the next purge", str(report.intended)),
        ("intended, not due here, unreadable", _ids(report.waiting)),
        ("objects without a row", _ids([one.id for one in orphans])),
        ("audit log", _log(report)),
        ("sweeper", "on" if report.sweeping else "off until 'recvault restore sweep-again' is approved"),
    ]
    return table(("what", "which"), rows)


def _log(report: ReplayReport) -> str:
    if report.log_continued_as is None:
        return "goes on as it was"
    return f"goes on as log {report.log_continued_as}: acts are missing; give 'recvault audit key' to its witnesses"


def _ids(ids: list[str]) -> str:
    shown = " ".join(ids[:SHOWN])
    return f"{len(ids)}  {shown}{' ...' if len(ids) > SHOWN else ''}".rstrip()


def _orphan(one: Orphan) -> dict[str, Any]:
    return {"id": one.id, "began_at": one.began_at.isoformat(), "objects": one.objects, "length": one.length}
