"""``recvault import-archive``: an old recorder's files with their original times.

What is not simply stored is listed on the standard output as it is met (paths of the operator's own folder, which may
hold numbers; nothing of it goes to the log). The sums come last. Nothing is gathered, so that memory stays flat.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import archive_of, interactive, source_named, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.services.import_archive import ArchiveImport, Item, Outcome

MIB = 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command("import-archive")(import_archive)


def import_archive(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, readable=True)],
    map_: Annotated[
        Path,
        typer.Option(
            "--map",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="CSV with headings, one row a file: file, started_at; and source_id, channel, direction, ended_at or "
            "duration, remote, local, agent, team, queue, customer_number, case_ref, tags, answered and others.",
        ),
    ],
    as_source: Annotated[str, typer.Option(metavar="NAME", help="The source that stands for the old recorder.")],
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The zone of times that carry none, such as Europe/Helsinki.")
    ] = None,
    include_overdue: Annotated[
        bool, typer.Option("--include-overdue", help="Store also what is to be destroyed at the next purge.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look: count by channel and year, and list.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Answer in JSON, one object a line; the last one has the sums.")
    ] = False,
) -> None:
    """Take in an old recorder's files with their original times. Repeating it stores nothing twice, so that one which
    was interrupted is simply run again. What is overdue is listed and not stored. The files stay where they are."""
    from recvault.adapters.import_folder import ImportFolder
    from recvault.intake.archive_map import read_archive_map

    zone = _zone(time_zone)
    sums = Sums()
    with archive_of(context, start=not dry_run) as archive, map_.open("rb") as stream:
        source = source_named(archive, as_source)
        items = _importer(archive).run(
            source,
            read_archive_map(stream, zone=zone),
            ImportFolder(folder, leave_out=map_),
            include_overdue=include_overdue,
            dry_run=dry_run,
        )
        try:
            with _progress(stream, map_.stat().st_size, quiet=json_) as advance:
                for item in items:
                    sums.add(item)
                    _list(item, as_json=json_)
                    advance()
        except BaseException:  # a store that is down, or Ctrl-C, does not hide what was done before
            if sums.outcomes:
                _sum_up(sums, dry_run=dry_run, as_json=json_)
            raise
    _sum_up(sums, dry_run=dry_run, as_json=json_)
    raise typer.Exit(FAULT if sums.faults() else DONE)


@dataclass(kw_only=True)
class Sums:
    """Counts of an import: by outcome, and by channel and year of what is, was or would be in the archive."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    taken: Counter[tuple[str, int]] = field(default_factory=Counter)
    late: Counter[tuple[str, int]] = field(default_factory=Counter)
    lengths: Counter[tuple[str, int]] = field(default_factory=Counter)
    attention: int = 0

    def add(self, item: Item) -> None:
        """Counts one item."""
        from recvault.services.import_archive import Outcome

        self.outcomes[item.outcome] += 1
        self.attention += item.needs_attention and item.outcome is not Outcome.OVERDUE
        if item.channel is not None and item.year is not None:
            key = (item.channel, item.year)
            (self.late if item.outcome is Outcome.OVERDUE else self.taken)[key] += 1
            self.lengths[key] += 0 if item.outcome is Outcome.OVERDUE else item.length

    def faults(self) -> int:
        """Rows that somebody has to mend."""
        from recvault.services.import_archive import Outcome

        return self.outcomes[Outcome.REFUSED] + self.outcomes[Outcome.ROW_WITHOUT_FILE]

    def by_year(self) -> list[tuple[str, int, int, int, int]]:
        """Channel, year, files, bytes, overdue files not stored."""
        keys = sorted(self.taken.keys() | self.late.keys())
        return [(*key, self.taken[key], self.lengths[key], self.late[key]) for key in keys]


def _importer(archive: Archive) -> ArchiveImport:
    from recvault.services.import_archive import ArchiveImport, ImportLimits

    config = archive.config
    return ArchiveImport(
        database=archive.database,
        ingest=archive.ingest,
        customers=archive.customers,
        retention=archive.retention,
        clock=archive.clock,
        limits=ImportLimits(
            region=config.telephony.region,
            future_tolerance=timedelta(minutes=config.ingest.future_tolerance_minutes),
        ),
    )


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            "no such time zone; write one such as Europe/Helsinki", param_hint="--time-zone"
        ) from None


def _list(item: Item, *, as_json: bool) -> None:
    """One line for everything that was not simply stored."""
    from recvault.services.import_archive import Outcome

    if item.outcome in (Outcome.STORED, Outcome.ALREADY_STORED, Outcome.WOULD_BE_TAKEN):
        return
    file = None if item.file is None else item.file.encode("utf-8", "backslashreplace").decode()
    if as_json:
        told = {"outcome": item.outcome.value, "line": item.line, "file": file, "reason": item.reason}
        typer.echo(json.dumps({name: value for name, value in told.items() if value is not None}, ensure_ascii=False))
        return
    where = "" if item.line is None else f"line {item.line}: "
    shown = None if file is None else _printable(file)
    typer.echo(f"{item.outcome.replace('_', ' ')}: " + where + ": ".join(filter(None, (shown, item.reason))))


def _printable(text: str) -> str:
    """A name cannot move the cursor or fake a line."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _sum_up(sums: Sums, *, dry_run: bool, as_json: bool) -> None:
    rows = sums.by_year()
    if as_json:
        names = ("channel", "year", "files", "bytes", "overdue")
        told: dict[str, Any] = {
            "dry_run": dry_run,
            "outcomes": {outcome.value: count for outcome, count in sorted(sums.outcomes.items())},
            "needs_attention": sums.attention,
            "by_channel_and_year": [dict(zip(names, row, strict=True)) for row in rows],
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    cells = [(c, str(y), str(files), f"{size / MIB:.1f}", str(late)) for c, y, files, size, late in rows]
    for line in table(("channel", "year", "files", "MiB", "overdue, not stored"), cells):
        typer.echo(line)
    counted = ", ".join(f"{outcome.replace('_', ' ')} {count}" for outcome, count in sorted(sums.outcomes.items()))
    typer.echo(f"{counted or 'the map has no rows'}; needing attention {sums.attention}")
    if dry_run:
        typer.echo("This was a dry run: nothing was stored. It does not tell what is stored already.")


@contextmanager
def _progress(stream: BinaryIO, size: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Draws how far into the map the import has come, when a person looks on."""
    if quiet or not interactive():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[done]} rows and files"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("", total=size, done=0)
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=stream.tell(), done=done)

        yield advance
