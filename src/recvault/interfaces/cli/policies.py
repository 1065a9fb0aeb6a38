"""Commands about the retention policy: look at a file before it counts, put it in force by name, and ask why.

``check``, ``diff`` and ``simulate`` change nothing; what they tell holds ids, rules and counts, never a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from recvault.domain.errors import NotFound
from recvault.interfaces.cli.problems import FAULT
from recvault.interfaces.cli.session import (
    As,
    Json,
    actor_named,
    answer,
    archive_of,
    read_file,
    table,
    write_new,
)

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.accounts import SignedPolicy
    from recvault.domain.retention import Line, Policy
    from recvault.domain.retention.differences import Difference
    from recvault.domain.retention.trial import Trial
    from recvault.services.retention_desk import Applied, Explanation

policy_commands = typer.Typer(help="The retention policy.", no_args_is_help=True, rich_markup_mode=None)

NewPolicy = Annotated[Path, typer.Argument(metavar="FILE", help="A policy file, as config/retention.toml is one.")]

DAYS_SHOWN = 40
"""Lines by day told to a person; JSON has them all."""


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(policy_commands, name="policy")


@policy_commands.command("show")
def policy_show(context: typer.Context, json_: Json = False) -> None:
    """Show the policy in force: its rules, and who signed it."""
    with archive_of(context) as archive:
        policy, signed = archive.retention.active(), _signed(archive)
    rows = [
        (rule.name, rule.purpose, rule.keep.text, rule.from_event.value, rule.cap.text, rule.why)
        for rule in sorted(policy.rules, key=lambda rule: (rule.purpose, -rule.priority))
    ]
    keys = ("name", "purpose", "keep", "from", "cap", "why")
    told = {**_policy_json(signed), "rules": [dict(zip(keys, row, strict=True)) for row in rows]}
    answer(told, [_policy_line(signed), *table(keys, rows)], as_json=json_)


@policy_commands.command("check")
def policy_check(file: NewPolicy, json_: Json = False) -> None:
    """Read a policy file and tell what is wrong with it. Needs no archive; exit code 1 when there is a problem."""
    policy = _read(file)
    told = {"version": policy.version, "digest": policy.digest, "rules": len(policy.rules)}
    lines = [
        f"policy {policy.version}: {len(policy.rules)} rules, every communication has an end; digest {policy.digest}"
    ]
    answer(told, lines, as_json=json_)


@policy_commands.command("diff")
def policy_diff(context: typer.Context, file: NewPolicy, json_: Json = False) -> None:
    """Tell, rule by rule, what a policy file changes against the policy in force."""
    from recvault.domain.retention.differences import differences

    new = _read(file)
    with archive_of(context) as archive:
        old = archive.retention.active()
    found = differences(old, new)
    told = {"from": old.version, "to": new.version, "differences": [_difference_json(one) for one in found]}
    lines = [f"{old.version} -> {new.version}: {len(found)} differences", *(_difference_line(one) for one in found)]
    answer(told, lines, as_json=json_)


@policy_commands.command("simulate")
def policy_simulate(
    context: typer.Context,
    file: NewPolicy,
    ids: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each end that moves to a new file, a JSON line each.")
    ] = None,
    json_: Json = False,
) -> None:
    """Tell what a policy file would do to everything stored: destroyed now, sooner, later, by day and customer kind.
    Changes nothing; putting it in force does exactly this."""
    from recvault.interfaces.http.retention_forms import moved_json, trial_json

    policy = _read(file)
    with archive_of(context) as archive, _lines_to(ids) as out:
        trial = archive.retention_desk.simulate(
            policy, None if out is None else lambda moved: _write_line(out, moved_json(moved))
        )
    answer(trial_json(trial), lambda: _trial_lines(trial), as_json=json_)


@policy_commands.command("activate")
def policy_activate(context: typer.Context, file: NewPolicy, as_: As, json_: Json = False) -> None:
    """Sign a policy by name and put it in force, for what arrives from now on; what is stored follows by the worker, or at
    once by 'recvault policy apply'."""
    text = read_file(file, 256 * 1024).decode("utf-8", "replace")
    _read(file)
    with archive_of(context, start=True) as archive:
        signed = archive.retention.put_in_force(actor_named(archive, as_), text)
    answer(_policy_json(signed), [_policy_line(signed)], as_json=json_)


@policy_commands.command("apply")
def policy_apply(context: typer.Context, json_: Json = False) -> None:
    """Compute what is stored under another policy again by the one in force, once it is signed. May be stopped and
    repeated at any time; the worker does the same by itself."""
    from recvault.interfaces.http.retention_forms import applied_json

    with archive_of(context, start=True) as archive:
        applied = archive.retention_desk.apply()
    answer(applied_json(applied), [_applied_line(applied)], as_json=json_)


@policy_commands.command("attest")
def policy_attest(context: typer.Context, as_: As, json_: Json = False) -> None:
    """Take facts of retention as they stand where none were authenticated: an older program's database was put back."""
    with archive_of(context, start=True) as archive:
        attested = archive.fact_backfill.accept(actor_named(archive, as_))
    answer({"attested": attested}, [f"communications attested: {attested}"], as_json=json_)


@policy_commands.command("sign")
def policy_sign(
    context: typer.Context,
    as_: As,
    version: Annotated[str | None, typer.Argument(help="The version; without it, the one in force.")] = None,
    json_: Json = False,
) -> None:
    """Take responsibility for a policy by name. Nothing is destroyed under a policy that nobody signed."""
    with archive_of(context, start=True) as archive:
        signed = archive.retention.sign(actor_named(archive, as_), version or archive.retention.active().version)
    answer(_policy_json(signed), [_policy_line(signed)], as_json=json_)


@policy_commands.command("explain")
def policy_explain(
    context: typer.Context,
    communication_id: Annotated[str, typer.Argument(metavar="ID", help="The communication.")],
    json_: Json = False,
) -> None:
    """Tell which rule gave which end to one communication, and why; exit code 1 when its row was edited."""
    from recvault.interfaces.http.retention_forms import explanation_json

    with archive_of(context) as archive:
        told = archive.retention_desk.explain(communication_id)
        zone = archive.config.retention.zone
    answer(explanation_json(told), lambda: [*_explained(told, zone)], as_json=json_)
    if told.differs:
        raise typer.Exit(FAULT)


def _read(file: Path) -> Policy:
    from recvault.intake.policy_file import LONGEST_FILE_BYTES, parse_policy

    return parse_policy(read_file(file, LONGEST_FILE_BYTES), origin=file.name)


@contextmanager
def _lines_to(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    write_new(path, b"", mode=0o600)
    with path.open("w", encoding="utf-8") as out:
        yield out


def _write_line(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")


def _difference_json(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "where": one.where,
        "key": one.key or None,
        "before": one.before,
        "after": one.after,
    }


def _difference_line(one: Difference) -> str:
    if not one.key:
        return f"{one.where}: {one.kind.value}"
    return f"{one.where}.{one.key}: {_value(one.before)} -> {_value(one.after)}"


def _value(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _trial_lines(trial: Trial) -> list[str]:
    from recvault.domain.retention.trial import Shift

    lines = [
        f"policy {trial.version} on {trial.rows} communications",
        f"would be due now: {trial.total(Shift.NOW)} (of them held: {trial.frozen})",
        f"sooner: {trial.total(Shift.SOONER)}, later: {trial.total(Shift.LATER)}, unchanged: {trial.total(Shift.SAME)}",
    ]
    days = [(day.isoformat(), kind or "-", str(before), str(after)) for day, kind, before, after in trial.by_day()]
    if days:
        lines += table(("destroyed on", "customer kind", "before", "after"), days[:DAYS_SHOWN])
    if len(days) > DAYS_SHOWN:
        lines.append(f"and {len(days) - DAYS_SHOWN} more days; --json tells them all")
    return lines


def _applied_line(applied: Applied) -> str:
    if applied.version is None:
        return "nothing is applied: the policy in force is not signed; sign it: recvault policy sign --as USER"
    return f"policy {applied.version}: {applied.looked_at} communications computed again, {applied.moved} ends moved"


def _explained(told: Explanation, zone: Any) -> Iterator[str]:
    yield f"{told.row.id}: destroyed on {told.row.destroy_at.astimezone(zone):%Y-%m-%d %H:%M}, policy {told.row.policy_version}"
    if told.differs:
        yield "the row was edited: its end is not what the facts give; it is not destroyed until a person has looked"
    for line in told.lines:
        yield _explained_line(line, zone)
    for kind, ids in (
        ("held by", told.holds),
        ("kept by override", [override.id for override in told.overrides]),
        ("purpose ended by", [ending.id for ending in told.endings]),
    ):
        if ids:
            yield f"{kind}: {', '.join(ids)}"


def _explained_line(line: Line, zone: Any) -> str:
    at = "" if line.at is None else f" {line.at.astimezone(zone):%Y-%m-%d %H:%M}"
    about = " ".join(part for part in (line.purpose, line.rule) if part)
    return f"  {about + ': ' if about else ''}{line.text}{at}"


def _signed(archive: Archive) -> SignedPolicy:
    signed = archive.retention.signed()
    if signed is None:
        raise NotFound("no retention policy is in force; run 'recvault init'")
    return signed


def _policy_json(signed: SignedPolicy) -> dict[str, Any]:
    return {
        "version": signed.version,
        "digest": signed.digest,
        "activated_at": signed.activated_at.isoformat(),
        "signed_by": signed.signed_by,
        "signed_at": None if signed.signed_at is None else signed.signed_at.isoformat(),
    }


def _policy_line(signed: SignedPolicy) -> str:
    if signed.signed_at is None:
        return f"policy {signed.version}: not signed, nothing is destroyed; sign it: recvault policy sign --as USER"
    return f"policy {signed.version}: signed {signed.signed_at:%Y-%m-%d} by account {signed.signed_by}"
