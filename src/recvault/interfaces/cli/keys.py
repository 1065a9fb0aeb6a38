"""Commands about the keyring."""

from __future__ import annotations

from collections import Counter

import typer

from recvault.domain.audit import Act
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, table

key_commands = typer.Typer(help="The keyring and its recovery kit.", no_args_is_help=True, rich_markup_mode=None)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(key_commands, name="keys")


@key_commands.command("status")
def keys_status(context: typer.Context, json_: Json = False) -> None:
    """The keyring's places, its keys by kind, and whether the recovery kit is locked away. Ends with 1 at a fault."""
    from recvault.adapters.root_keyfile import RootKeyFile

    with archive_of(context) as archive:
        root = RootKeyFile(archive.config.keyring.root_key_file).id
        keys, replicas = archive.keyring.list(), archive.keyring.replicas()
        confirmed = archive.keyring.backup_confirmed()
    living = Counter(key.kind.value for key in keys if key.destroyed_at is None)
    gone = Counter(key.kind.value for key in keys if key.destroyed_at is not None)
    kinds = sorted({*living, *gone})
    lines = [
        f"root key id: {root}",
        f"recovery kit locked away: {'yes' if confirmed else 'not confirmed; run recvault keys confirm-backup'}",
        *table(("place", "state", "in step"), [(r.place, str(r.serial), r.fault or "yes") for r in replicas]),
        *table(("kind", "living", "destroyed"), [(kind, str(living[kind]), str(gone[kind])) for kind in kinds]),
    ]
    told = {
        "root_key_id": root,
        "backup_confirmed": confirmed,
        "replicas": [{"place": r.place, "serial": r.serial, "fault": r.fault} for r in replicas],
        "keys": {kind: {"living": living[kind], "destroyed": gone[kind]} for kind in kinds},
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
