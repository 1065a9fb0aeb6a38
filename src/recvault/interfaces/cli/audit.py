"""Commands about the audit log: verify it, prove what is in it, its key and checkpoints.

``audit check-proof`` needs the file and public keys and nothing else: no configuration, no archive.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.errors import Conflict
from recvault.interfaces.cli import log_views
from recvault.interfaces.cli.session import Json, answer, archive_of, read_file, write_new

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.checkpoints import Checkpoint

audit_commands = typer.Typer(help="The audit log.", no_args_is_help=True, rich_markup_mode=None)

FILE_LIMIT = 1024 * 1024
"""Bytes of a checkpoint or proof file."""

Witnesses = Annotated[
    list[str] | None,
    typer.Option(
        "--witness", metavar="KEY", help="The key of a witness that must have signed the checkpoint; repeatable."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    log_views.add_to(audit_commands)
    app.add_typer(audit_commands, name="audit")


@audit_commands.command("verify")
def audit_verify(
    context: typer.Context,
    since: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A checkpoint that somebody else kept: what follows it."),
    ] = None,
    witness: Witnesses = None,
    proof_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file: the proof that the newest checkpoint continues it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Recompute entries, tree and head and compare with what was published; the first index that does not hold is named."""
    with archive_of(context) as archive, archive.database.unjudged():
        old = None if since is None else _checkpoint(archive, since, witness or ())
        archive.audit.sequence()
        head = archive.audit.verify(old)
        archive.checkpoints.check()
        if proof_out is not None:
            _write_growth(archive, old, proof_out)
    begins = "" if old is None else f", and begins with the {old.size} entries of the checkpoint"
    line = f"the audit log holds: {head.size} entries, root {head.root.hex()}{begins}"
    answer({"entries": head.size, "root": head.root.hex(), "from": old.size if old else 0}, [line], as_json=json_)


@audit_commands.command("checkpoint")
def audit_checkpoint(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A new file, instead of showing it.")] = None,
    json_: Json = False,
) -> None:
    """The newest checkpoint, with the signatures of witnesses."""
    with archive_of(context) as archive:
        note = _latest(archive).note()
    if out is not None:
        write_new(out, note.encode(), mode=0o644)
    lines = [f"the checkpoint is in {out}"] if out is not None else note.rstrip("\n").split("\n")
    answer({"note": note, "file": None if out is None else str(out)}, lines, as_json=json_)


@audit_commands.command("key")
def audit_key(context: typer.Context, json_: Json = False) -> None:
    """The key that verifies checkpoints, in one line (C2SP signed-note); give it to witnesses and whoever verifies."""
    with archive_of(context) as archive:
        key = archive.checkpoints.key()
    answer({"log": key.name, "key": key.text()}, [key.text()], as_json=json_)


@audit_commands.command("prove")
def audit_prove(
    context: typer.Context,
    entry: Annotated[str, typer.Argument(help="An entry's id, or its index.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file.")],
    json_: Json = False,
) -> None:
    """Write the proof that an entry is in the log to a file that 'audit check-proof' reads anywhere."""
    from recvault.services.log_proofs import LogProofs

    with archive_of(context) as archive:
        latest = _latest(archive)
        file = LogProofs(database=archive.database).of_entry(entry, latest)
    write_new(out, file, mode=0o644)
    line = f"the proof is in {out}, under the checkpoint of {latest.size} entries"
    answer({"entry": entry, "file": str(out), "size": latest.size}, [line], as_json=json_)


@audit_commands.command("check-proof")
def audit_check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof of inclusion or consistency.")],
    key: Annotated[str, typer.Option(metavar="KEY", help="The log's key, one line, got from a place you trust.")],
    witness: Witnesses = None,
    json_: Json = False,
) -> None:
    """Check a proof from the file and public keys alone; needs no archive. Ends with 1 when it does not hold."""
    from recvault.domain.checkpoints import parse_key
    from recvault.services.log_proofs import check

    proven = check(read_file(file, FILE_LIMIT), parse_key(key), [parse_key(one) for one in witness or ()])
    size, log = proven.checkpoint.size, proven.checkpoint.origin
    if proven.old is not None:
        line = f"holds: the {size} entries of {log} begin with those of the checkpoint of {proven.old.size}"
    else:
        line = f"holds: entry {proven.index} is among the {size} of {log}"
    lines = [line, *(f"  {name}: {value}" for name, value in (proven.entry or {}).items())]
    lines += [f"witnessed at {at:%Y-%m-%d %H:%M:%S} UTC" for at in proven.witnessed_at]
    told = {
        "holds": True,
        "log": log,
        "size": size,
        "index": proven.index,
        "entry": proven.entry,
        "old_size": None if proven.old is None else proven.old.size,
        "witnessed_at": [at.isoformat() for at in proven.witnessed_at],
    }
    answer(told, lines, as_json=json_)


def _latest(archive: Archive) -> Checkpoint:
    latest = archive.checkpoints.latest()
    if latest is None:
        raise Conflict("there is no checkpoint yet; start the worker, it publishes one within a minute")
    return latest


def _checkpoint(archive: Archive, file: Path, witnesses: list[str] | tuple[()]) -> Checkpoint:
    """A checkpoint of this archive's log as it is or was, with the signatures that are asked for."""
    from recvault.domain.checkpoints import parse_checkpoint, parse_key
    from recvault.sealing import notes

    checkpoint = parse_checkpoint(read_file(file, FILE_LIMIT).decode("utf-8", "replace"))
    epoch = checkpoint.origin.rpartition("/")[2]
    notes.verify(checkpoint, archive.checkpoints.key(int(epoch) if epoch.isdecimal() else None))
    for one in witnesses:
        notes.verify_cosignature(checkpoint, parse_key(one))
    return checkpoint


def _write_growth(archive: Archive, old: Checkpoint | None, out: Path) -> None:
    from recvault.services.log_proofs import LogProofs

    if old is None:
        raise Conflict("a proof of growth begins somewhere: name the older checkpoint with --from")
    latest = _latest(archive)
    if latest.origin != old.origin or latest.size < old.size:
        raise Conflict(
            "the newest checkpoint is of another log than that one, or older; wait for the next, or take another"
        )
    write_new(out, LogProofs(database=archive.database).of_growth(old, latest), mode=0o644)
