"""Commands about day keys and frozen-month keys: how far each has come, and re-keying a day by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recvault.domain.period_keys import KeyStanding, KeyState
from recvault.interfaces.cli import keys
from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recvault.bootstrap import Archive

MONTH = len("2026-11")


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module to the group of the keyring's."""
    keys.key_commands.command("rekey")(keys_rekey)


def keys_rekey(
    context: typer.Context,
    day: Annotated[str, typer.Argument(help="A day to come, as 2026-11-22; or the current month, as 2026-11.")],
    as_: As,
    reason: Annotated[str, typer.Option(help="A short code for the audit log: a-z, 0-9 and -.")] = "by-hand",
    json_: Json = False,
) -> None:
    """Re-wrap everything under a day's key, whose old generation then dies after a newer verified backup or a week. This is
    done by itself after a destruction before its day; by hand it is for a key that somebody may have seen."""
    with archive_of(context, start=True) as archive:
        archive.key_ends.rekey(actor_named(archive, as_), day, reason=reason)
        told = [standing for standing in archive.key_ends.status() if standing.key.period == day]
    answer({"keys": [_told(standing) for standing in told]}, _table(told), as_json=json_)


def standings(archive: Archive) -> tuple[list[str], dict[str, object]]:
    """The life of the period keys as lines and as JSON values: numbers by state; each frozen month, and each key that is
    on its way out, by name."""
    found = archive.key_ends.status()
    gone = sum(1 for kind in ("day/", "frozen/") for key in archive.keyring.list(kind) if key.destroyed_at is not None)
    states = {state: [each for each in found if each.state is state] for state in KeyState}
    counts = {
        state.value: {"keys": len(some), "data_keys": sum(each.under for each in some)}
        for state, some in states.items()
    }
    counts[KeyState.DESTROYED.value] = {"keys": gone, "data_keys": 0}
    named = [each for each in found if each.state is not KeyState.OPEN or len(each.key.period) == MONTH]
    lines = table(
        ("period keys", "number", "data keys under them"),
        [(state, str(count["keys"]), str(count["data_keys"])) for state, count in counts.items()],
    )
    return [*lines, *(_table(named) if named else [])], {"states": counts, "named": [_told(each) for each in named]}


def _table(standings: Sequence[KeyStanding]) -> list[str]:
    return table(
        ("key", "state", "data keys", "dies at the latest"),
        [
            (
                each.key.key_id,
                each.state.value,
                str(each.under),
                f"{each.dies_by:%Y-%m-%d %H:%M} UTC" if each.dies_by else "",
            )
            for each in standings
        ],
    )


def _told(each: KeyStanding) -> dict[str, object]:
    return {
        "id": each.key.key_id,
        "state": each.state.value,
        "data_keys": each.under,
        "superseded_at": each.key.superseded_at.isoformat() if each.key.superseded_at else None,
        "vacant_at": each.key.vacant_at.isoformat() if each.key.vacant_at else None,
        "dies_by": each.dies_by.isoformat() if each.dies_by else None,
    }
