"""Commands about the keyring as it is: status, kit, offline copies, and the way back. Ceremonies are ``key_ceremonies``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, RecvaultError
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, load_config, table

if TYPE_CHECKING:
    from recvault.adapters.keyring import FileKeyring
    from recvault.adapters.keyring.restoring import Restored
    from recvault.bootstrap import Archive
    from recvault.config import Config
    from recvault.domain.ports.keyring import OfflineCopy

key_commands = typer.Typer(help="The keyring and its recovery kit.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module, and the ceremonies below them."""
    from recvault.interfaces.cli import key_ceremonies

    app.add_typer(key_commands, name="keys")
    key_ceremonies.add_to(key_commands)


def keyring_of(archive: Archive) -> FileKeyring:
    """The archive's keyring as one on disk; InvalidInput when it is another."""
    from recvault.adapters.keyring import FileKeyring

    if not isinstance(archive.keyring, FileKeyring):
        raise InvalidInput("this archive's keyring is not on disk; there is nothing to do by hand")
    return archive.keyring


@contextmanager
def audited(archive: Archive, act: Act, target: str, detail: Mapping[str, object] | None = None) -> Iterator[None]:
    """What stands in the audit log before it is done, and again when it was."""
    archive.audit.note(actor=OPERATOR, act=act, target=target, detail={**(detail or {}), "step": "begun"})
    yield
    archive.audit.note(actor=OPERATOR, act=act, target=target, detail={**(detail or {}), "step": "done"})


@key_commands.command("status")
def keys_status(context: typer.Context, json_: Json = False) -> None:
    """The keyring's places, its keys by kind, and whether the recovery kit is locked away. Ends with 1 at a fault."""
    from recvault.interfaces.cli.period_keys import standings

    with archive_of(context) as archive:
        keyring = keyring_of(archive)
        root, place = keyring.root_id, keyring.root_place
        keys, replicas = keyring.list(), keyring.replicas()
        confirmed = keyring.backup_confirmed()
        periods, periods_told = standings(archive)
        copies = [copy for copy in keyring.offline_copies() if copy.ended_at is None]
        lost = [lost for lost in keyring.lost_places() if lost.found_at is None]
    living = Counter(key.kind.value for key in keys if key.destroyed_at is None)
    gone = Counter(key.kind.value for key in keys if key.destroyed_at is not None)
    kinds = sorted({*living, *gone})
    lines = [
        f"root key id: {root}",
        f"root key: {place}",
        f"recovery kit locked away: {'yes' if confirmed else 'not confirmed; run recvault keys confirm-backup'}",
        *table(("place", "state", "in step"), [(r.place, str(r.serial), r.fault or "yes") for r in replicas]),
        *[f"lost since {each.lost_at:%Y-%m-%d}: {each.place} ({each.loss})" for each in lost],
        *[f"offline copy {copy.id}, to be destroyed by {copy.expires_at:%Y-%m-%d}" for copy in copies],
        *table(("kind", "living", "destroyed"), [(kind, str(living[kind]), str(gone[kind])) for kind in kinds]),
        *periods,
    ]
    told = {
        "root_key_id": root,
        "root_key": place,
        "backup_confirmed": confirmed,
        "replicas": [{"place": r.place, "serial": r.serial, "fault": r.fault} for r in replicas],
        "lost": [{"place": each.place, "since": each.lost_at.isoformat(), "loss": each.loss} for each in lost],
        "copies": [_copy_told(copy) for copy in copies],
        "keys": {kind: {"living": living[kind], "destroyed": gone[kind]} for kind in kinds},
        "periods": periods_told,
    }
    answer(told, lines, as_json=json_)
    raise typer.Exit(FAULT if any(replica.fault for replica in replicas) else DONE)


@key_commands.command("confirm-backup")
def keys_confirm_backup(context: typer.Context, json_: Json = False) -> None:
    """Say that the recovery kit is printed and locked away from this machine; the archive serves from then on."""
    with archive_of(context) as archive:
        archive.keyring.confirm_backup()
        archive.audit.note(actor=OPERATOR, act=Act.KEYS_CONFIRMED)
    answer({"backup_confirmed": True}, ["noted: the recovery kit is locked away"], as_json=json_)


@key_commands.command("copy")
def keys_copy(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the copy goes, a stick for example.")],
    days: Annotated[int, typer.Option(min=1, max=90, help="Days until it must be destroyed.")] = 14,
    json_: Json = False,
) -> None:
    """Take a sealed offline copy of the keyring. Certificates name it until it is destroyed or its days are over."""
    from recvault.adapters.keyring import copy_name

    with archive_of(context) as archive, audited(archive, Act.KEYS_COPIED, "keyring", {"days": days}):
        copy = keyring_of(archive).take_copy(to, days=days)
    path = to / copy_name(copy.id)
    lines = [
        f"The sealed copy is in {path}.",
        f"Destroy it by {copy.expires_at:%Y-%m-%d}, then run: recvault keys copies --destroyed {copy.id}",
        "Do not keep it where the recovery kit or the root key is.",
    ]
    answer({**_copy_told(copy), "file": str(path)}, lines, as_json=json_)


@key_commands.command("copies")
def keys_copies(
    context: typer.Context,
    destroyed: Annotated[str | None, typer.Option(metavar="ID", help="Say that this copy is destroyed.")] = None,
    json_: Json = False,
) -> None:
    """List the offline copies, or note that one is destroyed. Ends with 1 when one is past its days."""
    with archive_of(context) as archive:
        keyring = keyring_of(archive)
        if destroyed is not None:
            with audited(archive, Act.KEYS_COPY_ENDED, destroyed):
                keyring.end_copy(destroyed)
        copies, now = keyring.offline_copies(), archive.clock.now()
    rows = [(copy.id, f"{copy.made_at:%Y-%m-%d}", f"{copy.expires_at:%Y-%m-%d}", _state(copy, now)) for copy in copies]
    answer(
        {"copies": [_copy_told(copy) for copy in copies]},
        table(("copy", "made", "destroy by", "state"), rows),
        as_json=json_,
    )
    raise typer.Exit(FAULT if any(_state(copy, now) == OVER for copy in copies) else DONE)


@key_commands.command("restore")
def keys_restore(
    context: typer.Context,
    kit: Annotated[Path, typer.Option(metavar="FILE", help="The recovery kit, or its eight rows typed into a file.")],
    copy: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The newest keyring.sealed or offline copy.")
    ] = None,
    recovery_kit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the next kit goes, if this one ends with its use.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Take an offline copy that is past its days.")] = False,
    json_: Json = False,
) -> None:
    """Bring the keyring back with its recovery kit: after the root key was lost, or the whole machine."""
    from recvault.bootstrap.keys import restore

    config = load_config(context)
    keyring, told = restore(config, kit, copy=copy, new_kit=recovery_kit, expired=expired)
    replicas = keyring.replicas()
    again = _followed(context, told)
    lines = [
        f"The keyring opens under root key {keyring.root_id}, {keyring.root_place}.",
        *table(("place", "state", "in step"), [(r.place, str(r.serial), r.fault or "yes") for r in replicas]),
        *_next_steps(config, told, recovery_kit, again),
    ]
    value = {
        "root_key_id": keyring.root_id,
        "own_place_written": told.written,
        "copy": told.copy,
        "destroyed_again": again,
        "replicas": [{"place": r.place, "serial": r.serial, "fault": r.fault} for r in replicas],
    }
    answer(value, lines, as_json=json_)
    raise typer.Exit(FAULT if any(replica.fault for replica in replicas) else DONE)


@key_commands.command("register")
def keys_register(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Into a file instead of on the screen.")
    ] = None,
    verify: Annotated[Path | None, typer.Option(metavar="FILE", help="Verify such a file instead.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The public key of certificates, to verify with.")
    ] = None,
) -> None:
    """The keyring's places, live and lost, and its offline copies as a signed document that a stranger can verify: from the
    archive's own keyring, or with --verify and --key from a file alone."""
    from recvault.interfaces.cli.evidence import CERTIFICATE_LIMIT, raw_public_key
    from recvault.interfaces.cli.session import read_file
    from recvault.services.places_register import signed_register, verify_register

    if verify is None:
        with archive_of(context) as archive:
            document = signed_register(archive.keyring, archive.clock)
        if out is None:
            typer.echo(document.decode())
        else:
            out.write_bytes(document)
        return
    if key is None:
        raise InvalidInput("give the public key of certificates with --key PEM, got from a place you trust")
    said = verify_register(read_file(verify, CERTIFICATE_LIMIT), raw_public_key(read_file(key, CERTIFICATE_LIMIT)))
    typer.echo(json.dumps(said, indent=2))


@key_commands.command("accept-older")
def keys_accept_older(context: typer.Context, json_: Json = False) -> None:
    """Take a keyring that is older than the ledger, where there is no newer copy of it: keys that had died are destroyed
    again, keys that were made since are lost with what lies under them ('recvault reconcile' names both)."""
    with archive_of(context) as archive:
        again = archive.keyring_age.accept(OPERATOR)
    lines = [
        f"destroyed again: {', '.join(again) or 'none'}",
        "run 'recvault reconcile' and 'recvault keys status' now",
    ]
    answer({"destroyed_again": again}, lines, as_json=json_)


def _followed(context: typer.Context, told: Restored) -> list[str] | None:
    """Notes the restoration, and destroys again what the database says is destroyed; None when the archive is not there
    yet."""
    try:
        with archive_of(context) as archive:
            return archive.keyring_age.accept(OPERATOR, {"own_place_written": told.written, "copy": told.copy})
    except RecvaultError:
        return None


def _next_steps(config: Config, told: Restored, new_kit: Path | None, again: list[str] | None) -> list[str]:
    lines = []
    if told.lost:
        lines.append(f"What became of the former {config.keyring.place} nobody knows: certificates name it as lost.")
    if again is None:
        lines.append("The rest of the archive is not there yet; when it is, run this again: it notes what was done.")
    elif again:
        lines.append(f"Destroyed again, as the database says: {', '.join(again)}")
    if new_kit is not None:
        lines.append(f"The new recovery kit is in {new_kit}: print it, lock the paper away, delete the file, then run")
        lines.append("  recvault keys confirm-backup")
    return [*lines, "Delete the file with the typed kit. Then run: recvault ledger verify, recvault doctor"]


OVER = "past its days"


def _state(copy: OfflineCopy, now: datetime) -> str:
    if copy.ended_at is not None:
        return f"destroyed {copy.ended_at:%Y-%m-%d}"
    return OVER if copy.expires_at <= now else "out there"


def _copy_told(copy: OfflineCopy) -> dict[str, str | None]:
    return {
        "id": copy.id,
        "made_at": copy.made_at.isoformat(),
        "expires_at": copy.expires_at.isoformat(),
        "ended_at": None if copy.ended_at is None else copy.ended_at.isoformat(),
    }
