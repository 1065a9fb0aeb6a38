"""The command that compares rows, objects, keys and certificates, and mends what a program can mend."""

from __future__ import annotations

from typing import Annotated

import typer

from recvault.domain.reconciliation import TOLD, Reconciliation
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(reconcile)


def reconcile(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what a program can mend, and say so in the log.")
    ] = False,
    json_: Json = False,
) -> None:
    """Compare rows, objects, open uploads, keys and certificates with each other, and say what does not fit and its mend.
    The worker does so every night, without mending. Ends with 1 when something is left."""
    with archive_of(context) as archive:
        report = archive.reconcile.run(repair=repair, actor=OPERATOR)
    answer(_told(report), lambda: _lines(report), as_json=json_)
    raise typer.Exit(FAULT if report.counts.total() > report.mended.total() else DONE)


def _told(report: Reconciliation) -> dict[str, object]:
    return {
        "rows": report.rows,
        "objects": report.objects,
        "keys": report.keys,
        "differences": {kind.value: count for kind, count in sorted(report.counts.items())},
        "mended": {kind.value: count for kind, count in sorted(report.mended.items()) if count},
        "findings": [
            {"difference": one.difference.value, "subject": one.subject, "mended": one.mended}
            for one in report.findings
        ],
    }


def _lines(report: Reconciliation) -> list[str]:
    lines = [f"compared: {report.rows} rows, {report.objects} object versions, {report.keys} period keys"]
    for kind, count in sorted(report.counts.items()):
        what, mend = TOLD[kind]
        lines.append(f"{kind.value}: {count}, mended {report.mended[kind]}; {what}")
        if report.mended[kind] < count:
            lines.append(f"      -> {mend}")
        lines += [f"      {one.subject}" for one in report.findings if one.difference is kind]
    return lines if report.counts else [*lines, "everything fits"]
