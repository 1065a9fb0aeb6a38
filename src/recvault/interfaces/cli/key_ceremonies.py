"""Commands that change what the keyring rests on: its places and its root key. docs/KEYS.md walks through them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput
from recvault.domain.ports.keyring import Loss
from recvault.interfaces.cli.problems import DONE, FAULT
from recvault.interfaces.cli.session import Json, answer, archive_of, table

if TYPE_CHECKING:
    from recvault.adapters.keyring import RegisterEntry
    from recvault.bootstrap.keys import RootChoice

replica_commands = typer.Typer(help="The places of the keyring.", no_args_is_help=True, rich_markup_mode=None)
root_commands = typer.Typer(help="The root key that seals the keyring.", no_args_is_help=True, rich_markup_mode=None)

Place = Annotated[str, typer.Argument(metavar="PLACE", help="The place's name in the configuration.")]
Kind = Literal["keyfile", "pkcs11"]
KeyFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The key file; else keyring.root_key_file.")]
TokenKey = Annotated[str | None, typer.Option(metavar="LABEL", help="The key in the token; else keyring.token_key.")]


def add_to(app: typer.Typer) -> None:
    """Adds the groups of this module."""
    app.add_typer(replica_commands, name="replica")
    app.add_typer(root_commands, name="root")


@replica_commands.command("list")
def replica_list(context: typer.Context, json_: Json = False) -> None:
    """Every place that is or ever was on the keyring's register."""
    _register(context, as_json=json_, fail=False)


@replica_commands.command("check")
def replica_check(context: typer.Context, json_: Json = False) -> None:
    """Look at every place now, and bring up what lags behind. Ends with 1 when one is not in step."""
    _register(context, as_json=json_, fail=True)


@replica_commands.command("add")
def replica_add(context: typer.Context, place: Place, json_: Json = False) -> None:
    """Write the keyring into a configured place that holds none yet, and have every key wait for it from now on."""
    from recvault.interfaces.cli.keys import audited, keyring_of

    with archive_of(context) as archive, audited(archive, Act.KEYS_PLACE_ADDED, place):
        keyring_of(archive).add_place(place)
    lines = [f"{place} holds the keyring; start again what was started before the configuration named it"]
    answer({"added": place}, lines, as_json=json_)


@replica_commands.command("drop")
def replica_drop(
    context: typer.Context,
    place: Place,
    lost: Annotated[
        bool, typer.Option("--lost", help="It cannot be reached and will not be: certificates name it.")
    ] = False,
    reason: Annotated[Loss | None, typer.Option(help="With --lost: how it was lost.")] = None,
    json_: Json = False,
) -> None:
    """Wipe the keyring in a place and take it off the register; or declare it lost."""
    from recvault.interfaces.cli.keys import audited, keyring_of

    if lost != (reason is not None):
        raise InvalidInput("--lost and --reason go together; without both the place is wiped, so it must be there")
    with archive_of(context) as archive:
        if reason is None:
            with audited(archive, Act.KEYS_PLACE_DROPPED, place):
                keyring_of(archive).drop_place(place)
            line = f"{place} is wiped and off the register; take it out of the configuration and start again what runs"
        else:
            with audited(archive, Act.KEYS_PLACE_LOST, place, {"reason": reason.value}):
                keyring_of(archive).lose_place(place, reason)
            line = (
                f"{place} is noted as lost; work goes on without it, and certificates of keys that were there name it"
            )
    answer({"dropped": place, "lost": lost}, [line], as_json=json_)


@root_commands.command("change")
def root_change(
    context: typer.Context,
    to: Annotated[Kind, typer.Option("--to", help="Where the new root key is to be.")],
    recovery_kit: Annotated[Path, typer.Option(metavar="FILE", help="Where the new kit goes; best onto a stick.")],
    key_file: KeyFile = None,
    token_key: TokenKey = None,
    json_: Json = False,
) -> None:
    """Put the keyring under a new root key, in every place, and write its recovery kit. The old kit ends with it."""
    from recvault.bootstrap.keys import RootChoice, change_root
    from recvault.interfaces.cli.keys import audited, keyring_of

    choice = RootChoice(kind=to, key_file=key_file, token_key=token_key)
    with archive_of(context) as archive:
        keyring = keyring_of(archive)
        old_id, old_place = keyring.root_id, keyring.root_place
        with audited(archive, Act.ROOT_CHANGED, old_id, {"to": to}):
            new = change_root(archive.config, keyring, choice, recovery_kit)
    lines = [
        f"The keyring is under root key {new.id}, {new.place}, in every place.",
        f"{old_place} ({old_id}) opens nothing in them any more.",
        "Next, in this order:",
        *_settings(choice),
        "  stop and start every process of the archive",
        f"  print {recovery_kit}, lock the paper away, delete the file, destroy the old paper",
        "  recvault keys confirm-backup",
        "  recvault keys root finish    destroys the old root key",
    ]
    answer({"root_key_id": new.id, "former": old_id, "recovery_kit": str(recovery_kit)}, lines, as_json=json_)


@root_commands.command("finish")
def root_finish(
    context: typer.Context,
    old: Annotated[Kind, typer.Option("--from", help="Where the old root key is.")],
    key_file: KeyFile = None,
    token_key: TokenKey = None,
    json_: Json = False,
) -> None:
    """Destroy the root key before the last change, once every place and the new recovery kit are in order."""
    from recvault.bootstrap.keys import RootChoice, root_key
    from recvault.interfaces.cli.keys import audited, keyring_of

    with archive_of(context) as archive:
        keyring = keyring_of(archive)
        former = root_key(archive.config, RootChoice(kind=old, key_file=key_file, token_key=token_key))
        keyring.require_root_changed(former)
        with audited(archive, Act.ROOT_DESTROYED, former.id):
            former.destroy()
            keyring.note_root_destroyed()
    answer({"destroyed": former.id}, [f"{former.place} ({former.id}) is destroyed"], as_json=json_)


def _settings(choice: RootChoice) -> list[str]:
    lines = [f'  set keyring.root = "{choice.kind}"']
    if choice.key_file is not None:
        lines.append(f'  set keyring.root_key_file = "{choice.key_file.resolve()}"')
    if choice.token_key is not None:
        lines.append(f'  set keyring.token_key = "{choice.token_key}"')
    return lines


def _register(context: typer.Context, *, as_json: bool, fail: bool) -> None:
    from recvault.interfaces.cli.keys import keyring_of

    with archive_of(context) as archive:
        entries = keyring_of(archive).register()
    rows = [(entry.place, _since(entry), _state(entry)) for entry in entries]
    told = [{"place": place, "since": since, "state": state} for place, since, state in rows]
    answer({"places": told}, table(("place", "since", "state"), rows), as_json=as_json)
    raise typer.Exit(FAULT if fail and any(_is_faulty(entry) for entry in entries) else DONE)


def _since(entry: RegisterEntry) -> str:
    return "" if entry.stay is None else f"{entry.stay.added_at:%Y-%m-%d}"


def _is_faulty(entry: RegisterEntry) -> bool:
    return entry.fault is not None or (entry.stay is None and entry.configured)


def _state(entry: RegisterEntry) -> str:
    stay = entry.stay
    if stay is None:
        return "configured, not on the register: recvault keys replica add"
    if stay.live:
        return entry.fault or "in step"
    if stay.lost_at is None:
        return f"wiped {stay.ended_at:%Y-%m-%d}"
    lost = f"lost since {stay.lost_at:%Y-%m-%d} ({stay.loss})"
    return lost if stay.ended_at is None else f"{lost}, found and wiped {stay.ended_at:%Y-%m-%d}"
