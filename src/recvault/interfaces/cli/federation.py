"""Commands about signing in at an issuer of OpenID Connect, and about the accounts kept for the day it is away. A person at
an issuer is named by the code that the refusal showed them: it opens nothing, so it may stand in an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.interfaces.cli.session import OPERATOR, Json, answer, archive_of, table

if TYPE_CHECKING:
    from datetime import datetime

oidc_commands = typer.Typer(help="Signing in at an issuer.", no_args_is_help=True, rich_markup_mode=None)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The sign-in name here.")]
Issuer = Annotated[str, typer.Argument(metavar="ISSUER", help="Its name in the configuration.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(oidc_commands, name="oidc")


@oidc_commands.command("check")
def check(context: typer.Context, json_: Json = False) -> None:
    """Ask each issuer for its description and keys, and read the secret or key; exit code 3 when one is not well."""
    with archive_of(context) as archive:
        faults = archive.federation.check()
        offers = archive.federation.offers
    rows = [{"name": one.name, "issuer": one.issuer, "fault": faults.get(one.name)} for one in offers]
    lines = [f"{row['name']}: {row['fault'] or 'answers and is usable'}" for row in rows]
    answer({"rows": rows}, lines or ["no issuer is configured; see [[oidc]] in config/recvault.toml"], as_json=json_)
    if faults:
        raise typer.Exit(3)


@oidc_commands.command("list")
def linked(context: typer.Context, json_: Json = False) -> None:
    """Who is linked to a person at an issuer, and which accounts are for emergencies."""
    with archive_of(context) as archive:
        links, emergencies = archive.federation.identities(), archive.local_sign_in.accounts()
    rows: list[dict[str, Any]] = [
        {"account": user.name, "way": one.issuer, "since": _at(one.linked_at), "last_used": _at(one.last_used_at)}
        for user, one in links
    ]
    rows += [
        {"account": user.name, "way": "break-glass", "since": _at(one.marked_at), "last_used": _at(one.last_used_at)}
        for user, one in emergencies
    ]
    shown = [(row["account"], row["way"], row["since"][:10], (row["last_used"] or "-")[:16]) for row in rows]
    answer({"rows": rows}, table(("account", "signs in at", "since", "last used"), shown), as_json=json_)


@oidc_commands.command("link")
def link(
    context: typer.Context,
    account: Account,
    issuer: Issuer,
    code: Annotated[str, typer.Argument(metavar="CODE", help="What the refused person read on the page.")],
    json_: Json = False,
) -> None:
    """Let a person at an issuer sign in as an account here. Make sure that it is their code."""
    with archive_of(context, start=True) as archive:
        identity = archive.federation.link(account, issuer, code, by=OPERATOR)
    told = {"account": account, "issuer": issuer, "linked_at": _at(identity.linked_at)}
    answer(told, [f"{account} signs in at {issuer} from now on"], as_json=json_)


@oidc_commands.command("unlink")
def unlink(context: typer.Context, account: Account, issuer: Issuer, json_: Json = False) -> None:
    """Take the link, the roles that the issuer gave and all sessions away."""
    with archive_of(context, start=True) as archive:
        archive.federation.unlink(account, issuer, by=OPERATOR)
    answer({"account": account, "issuer": issuer}, [f"{account} is not linked at {issuer} any more"], as_json=json_)


@oidc_commands.command("break-glass")
def break_glass(
    context: typer.Context,
    account: Account,
    off: Annotated[bool, typer.Option("--off", help="It is one no more.")] = False,
    json_: Json = False,
) -> None:
    """Keep an account for the day the issuer is away: it may sign in by password, and every time raises an alarm."""
    with archive_of(context, start=True) as archive:
        if off:
            archive.local_sign_in.unmark(account, by=OPERATOR)
        else:
            archive.local_sign_in.mark(account, by=OPERATOR)
        only = archive.local_sign_in.only_break_glass
    lines = [f"{account} is {'no break-glass account any more' if off else 'a break-glass account from now on'}"]
    if not off and not only:
        lines.append('passwords are open to all; access.local_sign_in = "break-glass" leaves them to such accounts')
    answer({"account": account, "break_glass": not off}, lines, as_json=json_)


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
