"""Commands about backups, and the proof that no backup brings back what was destroyed.

``seal``, ``unseal``, ``list`` and ``restore`` open no database: the first two run inside PostgreSQL's own tools, the last
where there is none. Sealed and opened bytes go through standard input and output, errors never do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from recvault.domain.backups import SUFFIX
from recvault.domain.errors import Conflict, InvalidInput
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, config_faults, load_config, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.backups import BackupFile, CopyReport, ProofReport
    from recvault.domain.ports.database import Database
    from recvault.services.backup_files import SealedBackups

backup_commands = typer.Typer(
    help="Backups of the database: made, looked through, put back.", no_args_is_help=True, rich_markup_mode=None
)
PIECE = 1024 * 1024
"""Bytes read from standard input at a time."""

SEGMENT = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")
"""Names of finished segments and of timelines' histories (PostgreSQL manual, Continuous Archiving)."""

WAL = "wal-"
"""Beginning of the names of sealed segments."""

Copy = Annotated[
    Path | None,
    typer.Option("--copy", metavar="FILE", help="A configuration whose database is the copy, restored elsewhere."),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(backup_commands, name="backup")
    app.command("prove-destruction")(prove_destruction)


@backup_commands.command("create")
def backup_create(context: typer.Context, json_: Json = False) -> None:
    """Copy the SQLite database while it works, and seal it into the backup directory under a key of its own day."""
    with archive_of(context) as archive:
        made = archive.backups.create()
    answer(_file(made), [f"{made.name}: {made.length} bytes", "look through it: recvault backup verify"], as_json=json_)


@backup_commands.command("list")
def backup_list(context: typer.Context, json_: Json = False) -> None:
    """What lies in the backup directory, oldest first."""
    with _sealed(context) as sealed:
        files = sealed.listed()
    rows = [(one.name, f"{one.header.made_at:%Y-%m-%d %H:%M:%S}", str(one.length), one.header.key_id) for one in files]
    answer(
        {"backups": [_file(one) for one in files]}, table(("name", "made (UTC)", "bytes", "key"), rows), as_json=json_
    )


@backup_commands.command("verify")
def backup_verify(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Its name in the directory; the newest without it.")] = None,
    copy: Copy = None,
    json_: Json = False,
) -> None:
    """Open a backup whole and look through it: damage, ledger, and recordings read from first byte to last. Ends with 1 at a
    fault; a backup without one counts as verified."""
    with archive_of(context) as archive:
        if copy is not None:
            with _database_of(copy) as database:
                report = archive.backups.verify_copy(database)
        else:
            report = archive.backups.verify(name or _newest(archive))
    answer(_told(report), _lines(report), as_json=json_)
    raise typer.Exit(FAULT if report.faults else DONE)


@backup_commands.command("restore")
def backup_restore(context: typer.Context, name: str, json_: Json = False) -> None:
    """Put the SQLite database back where there is none; the archive then serves nothing before 'recvault ledger replay'."""
    with _sealed(context) as sealed:
        header = sealed.restore(name)
    lines = [
        f"the database of {header.made_at:%Y-%m-%d %H:%M:%S} UTC is back",
        "Next:",
        "  recvault ledger replay    what was decided since then",
        "  recvault doctor",
    ]
    answer({"id": header.id, "made_at": header.made_at.isoformat()}, lines, as_json=json_)


@backup_commands.command("expire")
def backup_expire(context: typer.Context, json_: Json = False) -> None:
    """Destroy the keys of backups older than backup.keep_days and remove their files; the worker does so every night."""
    with archive_of(context) as archive:
        over = archive.backups.expire()
    answer({"keys_destroyed": over}, [f"keys destroyed: {', '.join(over) or 'none'}"], as_json=json_)


@backup_commands.command("seal")
def backup_seal(context: typer.Context) -> None:
    """Seal standard input to standard output, for what PostgreSQL's own tools write; see docs/OPERATIONS.md."""
    with _sealed(context) as sealed:
        _pour(sealed.seal(_pieces(sys.stdin.buffer)))


@backup_commands.command("unseal")
def backup_unseal(context: typer.Context) -> None:
    """Open standard input to standard output; ends with 1 when it was altered or cut short: throw away what came out."""
    with _sealed(context) as sealed:
        _pour(sealed.unseal(_pieces(sys.stdin.buffer)))


@backup_commands.command("seal-wal")
def backup_seal_wal(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where pg_receivewal writes.")],
    json_: Json = False,
) -> None:
    """Seal the finished segments of PostgreSQL's write-ahead log into the backup directory, and remove each once its sealed
    form is on the disk. Run it every minute; the segment that is still being written stays."""
    with _sealed(context) as sealed:
        done = []
        for segment in sorted(path for path in directory.iterdir() if SEGMENT.fullmatch(path.name)):
            with suppress(Conflict), segment.open("rb") as file:  # sealed by a run that was interrupted: only the rest
                sealed.place.write(WAL + segment.name.lower() + SUFFIX, sealed.seal(_pieces(file)))
            segment.unlink()
            done.append(segment.name)
    answer({"sealed": done}, [f"segments sealed: {len(done)}"], as_json=json_)


@backup_commands.command("unseal-wal")
def backup_unseal_wal(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty directory, for restore_command to read.")],
    json_: Json = False,
) -> None:
    """Open every sealed segment of the write-ahead log into a directory, for a restore; remove them afterwards."""
    with _sealed(context) as sealed:
        directory.mkdir(mode=0o700, exist_ok=True)
        done = []
        for one in sealed.listed():
            if one.name.startswith(WAL):
                name = one.name.removeprefix(WAL).removesuffix(SUFFIX).upper().replace(".HISTORY", ".history")
                with (directory / name).open("xb") as file:
                    for piece in sealed.unseal(sealed.place.read(one.name)):
                        file.write(piece)
                done.append(name)
    answer({"opened": done}, [f"segments opened: {len(done)}"], as_json=json_)


def prove_destruction(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A sealed backup by name; the oldest without it.")] = None,
    copy: Copy = None,
    json_: Json = False,
) -> None:
    """Try to open with today's keyring everything that an old copy of the database holds: what is destroyed must not open,
    all else must. Changes nothing. Ends with 1 when a promise does not hold."""
    with archive_of(context) as archive:
        if copy is not None:
            with _database_of(copy) as database:
                report = archive.proof.examine(database, actor=OPERATOR)
        else:
            _header, chunks = archive.backups.sealed.database_in(name or _oldest(archive))
            with archive.backups.sealed.file.opened(chunks) as database:
                report = archive.proof.examine(database, actor=OPERATOR)
    answer(_proof(report), _proof_lines(report), as_json=json_)
    raise typer.Exit(FAULT if report.violations else DONE)


# --- shared parts


@contextmanager
def _sealed(context: typer.Context) -> Iterator[SealedBackups]:
    """Backups and the keyring, without a database."""
    from recvault import bootstrap
    from recvault.interfaces.process import no_core_dumps

    config = load_config(context)
    no_core_dumps()
    with config_faults():
        yield bootstrap.backups_without_database(config)


@contextmanager
def _database_of(file: Path) -> Iterator[Database]:
    """The database that another configuration names."""
    from recvault import bootstrap
    from recvault.config import load

    with config_faults():
        database = bootstrap.database_of(load(file, {}))
    try:
        yield database
    finally:
        database.close()


def _newest(archive: Archive) -> str:
    return _one_of(archive)[-1].name


def _oldest(archive: Archive) -> str:
    return _one_of(archive)[0].name


def _one_of(archive: Archive) -> list[BackupFile]:
    files = archive.backups.sealed.listed()
    if not files:
        raise InvalidInput("there is no backup in the directory; 'recvault backup create' makes one")
    return files


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece


def _pour(pieces: Iterator[bytes]) -> None:
    if sys.stdout.isatty():
        raise InvalidInput("this writes bytes, not text; send it into a file or another program")
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _file(one: BackupFile) -> dict[str, object]:
    return {
        "name": one.name,
        "bytes": one.length,
        "id": one.header.id,
        "made_at": one.header.made_at.isoformat(),
        "key_id": one.header.key_id,
        "ledger_sequence": one.header.ledger_sequence,
    }


def _told(report: CopyReport) -> dict[str, object]:
    return {
        "made_at": report.made_at.isoformat(),
        "rows": report.rows,
        "ledger_entries_behind": report.entries_behind,
        "sampled": report.sampled,
        "opened": len(report.opened),
        "destroyed_since": len(report.destroyed_since),
        "faults": report.faults,
    }


def _lines(report: CopyReport) -> list[str]:
    return [
        (
            f"made: {report.made_at:%Y-%m-%d %H:%M:%S} UTC; {report.rows} communications; "
            f"{report.entries_behind} ledger entries behind"
        ),
        (
            f"looked at {report.sampled}: {len(report.opened)} opened from first byte to last, "
            f"{len(report.destroyed_since)} destroyed since"
        ),
        *(f"FAULT {fault}" for fault in report.faults),
        "in order: counts as verified" if not report.faults else "not in order: does not count as verified",
    ]


def _proof(report: ProofReport) -> dict[str, object]:
    return {
        "copied": report.copied,
        "beyond_reach": report.beyond_reach,
        "destroyed_but_open_until_keys_die": report.until_its_keys_die,
        "waiting_for_keys": sorted(report.waiting_keys),
        "alive_and_open": report.opens,
        "alive_under_a_newer_key": report.rekeyed_since,
        "tried_with_every_living_key": report.tried_with_every_key,
        "keys_tried": report.keys_tried,
        "violations": report.violations,
    }


def _proof_lines(report: ProofReport) -> list[str]:
    waiting = f" (until these keys die: {', '.join(sorted(report.waiting_keys))})" if report.waiting_keys else ""
    return [
        f"communications in the copy: {report.copied}",
        f"destroyed, and no key opens them: {report.beyond_reach}",
        f"destroyed, not yet certified complete, the copy still opens them: {report.until_its_keys_die}{waiting}",
        f"alive, and the copy opens them: {report.opens}",
        f"alive, under a newer key than the copy's: {report.rekeyed_since}",
        f"every living key tried on {report.tried_with_every_key} of the destroyed: {report.keys_tried} tries",
        *(f"VIOLATION {one}" for one in report.violations),
        "what was promised holds" if not report.violations else "what was promised does NOT hold",
    ]
