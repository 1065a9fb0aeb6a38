"""Commands about sessions and API tokens of people: what holds now, a new token, and ending them at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from recvault.interfaces.cli.accounts import parse_role, require_new, user_commands
from recvault.interfaces.cli.session import OPERATOR, Json, TokenFile, answer, archive_of, give_token, table


def add_to(_app: typer.Typer) -> None:
    """Adds the commands of this module to those of ``user``."""
    for name, command in (("token", user_token), ("sessions", user_sessions), ("end-sessions", user_end_sessions)):
        user_commands.command(name)(command)


def user_token(
    context: typer.Context,
    name: str,
    token_file: TokenFile = None,
    label: Annotated[str, typer.Option(help="What uses it.")] = "operator",
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="Only this role of the person's; may be given several times."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=366, help="How long it lives; the longest if not given.")
    ] = None,
    json_: Json = False,
) -> None:
    """Issue an API token for a person; shown once, or written to a file."""
    require_new(token_file)
    scopes = None if role is None else frozenset(parse_role(text).role for text in role)
    life = None if days is None else timedelta(days=days)
    with archive_of(context, start=True) as archive:
        token = archive.sessions.issue_token(name, by=OPERATOR, label=label, scopes=scopes, life=life)
    shown = give_token(token, token_file)
    line = f"the token is in {token_file}" if shown is None else f"the token, shown only now: {shown}"
    answer({"name": name, "token": shown}, [line], as_json=json_)


def user_sessions(context: typer.Context, name: str, json_: Json = False) -> None:
    """Sessions and API tokens of a person that hold now, the newest first."""
    from recvault.interfaces.http.account import session_json

    with archive_of(context) as archive:
        found = archive.sessions.of_name(name)
    rows = [
        (
            one.kind.value,
            one.label or "-",
            " ".join(sorted(one.methods)) or "-",
            "all" if one.scopes is None else " ".join(sorted(one.scopes)),
            f"{one.last_used_at:%Y-%m-%d %H:%M}",
            f"{one.expires_at:%Y-%m-%d %H:%M}",
            one.id,
        )
        for one in found
    ]
    told: list[dict[str, Any]] = [session_json(one) for one in found]
    lines = table(("kind", "name", "proved by", "roles", "last used", "ends", "id"), rows)
    answer({"rows": told}, lines, as_json=json_)


def user_end_sessions(
    context: typer.Context,
    name: str,
    tokens: Annotated[bool, typer.Option("--tokens", help="The API tokens as well.")] = False,
    json_: Json = False,
) -> None:
    """End all sessions of a person at once; the account stays open."""
    with archive_of(context, start=True) as archive:
        ended = archive.sessions.end_for(archive.accounts.user_named(name).id, by=OPERATOR, tokens=tokens)
    answer({"name": name, "ended": ended}, [f"{ended} of {name} ended"], as_json=json_)
