"""Commands about who may come in: sources (machines) and users (people). Secrets come from files or a prompt, and are
shown once; never do they stand in arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recvault.domain.access import Grant, Role, Scope, ScopeKind
from recvault.domain.errors import InvalidInput, MailRefused, MailUnavailable, NotFound
from recvault.interfaces.cli.session import (
    OPERATOR,
    Json,
    TokenFile,
    answer,
    archive_of,
    give_token,
    table,
)
from recvault.interfaces.cli.source_certificates import certificate_commands, certificate_json

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.accounts import Source, User
    from recvault.services.invitations import Issued

source_commands = typer.Typer(help="Systems that send recordings.", no_args_is_help=True, rich_markup_mode=None)
source_commands.add_typer(certificate_commands, name="certificate")
user_commands = typer.Typer(help="People, their roles and tokens.", no_args_is_help=True, rich_markup_mode=None)

_ROLE = re.compile(r"([a-z_-]+)(?::(teams|queues)=(.+))?")

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="A role, with its scope if it is not everything: verifier, trainer:teams=a,b, verifier:queues=x. "
        "May be given several times.",
    ),
]

MailTo = Annotated[
    str | None,
    typer.Option("--mail", metavar="ADDRESS", help="Mail the link there, once; the address is not kept."),
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(source_commands, name="source")
    app.add_typer(user_commands, name="user")


# --- sources


@source_commands.command("add")
def source_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Letters, digits, dots, dashes, underscores.")],
    token_file: TokenFile = None,
    notice: Annotated[str | None, typer.Option(help="The privacy notice its recordings are made under.")] = None,
    balancing_test: Annotated[str | None, typer.Option(help="The balancing test they are made under.")] = None,
    json_: Json = False,
) -> None:
    """Let a system send recordings. Its token is shown once, or written to a file."""
    require_new(token_file)
    with archive_of(context, start=True) as archive:
        defaults = archive.config.sources
        source, token = archive.sources.add(
            name,
            by=OPERATOR,
            notice_ref=notice or _set(defaults.notice_ref),
            balancing_ref=balancing_test or _set(defaults.balancing_test_ref),
        )
    shown = give_token(token, token_file)
    lines = [f"source {source.name} may send from now on"]
    lines.append(f"its token is in {token_file}" if shown is None else f"its token, shown only now: {shown}")
    answer({**_source_json(source), "token": shown}, lines, as_json=json_)


@source_commands.command("revoke")
def source_revoke(context: typer.Context, name: str, json_: Json = False) -> None:
    """Refuse a source's token at once, for uploads under way too."""
    with archive_of(context, start=True) as archive:
        archive.sources.revoke(name, by=OPERATOR)
        source = next(source for source in archive.sources.all() if source.name == name)
    answer(_source_json(source), [f"source {name} is refused from now on"], as_json=json_)


@source_commands.command("list")
def source_list(context: typer.Context, json_: Json = False) -> None:
    """All sources, in name order."""
    with archive_of(context) as archive:
        sources = archive.sources.all()
    rows = [
        (
            s.name,
            f"{s.created_at:%Y-%m-%d}",
            "-" if s.revoked_at is None else f"{s.revoked_at:%Y-%m-%d}",
            str(len(s.certificates) or "-"),
            s.id,
        )
        for s in sources
    ]
    lines = table(("name", "since", "revoked", "certificates", "id"), rows)
    answer({"rows": [_source_json(source) for source in sources]}, lines, as_json=json_)


def _set(value: str) -> str | None:
    """None for "unset", which marks the recordings of the source for attention."""
    return None if value in ("", "unset") else value


def _source_json(source: Source) -> dict[str, Any]:
    return {
        "id": source.id,
        "name": source.name,
        "created_at": source.created_at.isoformat(),
        "revoked_at": None if source.revoked_at is None else source.revoked_at.isoformat(),
        "notice_ref": source.notice_ref,
        "balancing_ref": source.balancing_ref,
        "certificates": [certificate_json(one) for one in source.certificates],
    }


# --- users


@user_commands.command("add")
def user_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The sign-in name.")],
    display_name: Annotated[str | None, typer.Option(help="The name others see.")] = None,
    role: Roles = None,
    agent: Annotated[str | None, typer.Option(metavar="REF", help="The person's own entry in the directory.")] = None,
    language: Annotated[str, typer.Option(help="fi or en.")] = "fi",
    token_file: TokenFile = None,
    invite: Annotated[
        bool, typer.Option("--invite", help="The link as well, where --token-file would leave it out.")
    ] = False,
    mail: MailTo = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="The administrator who asks, for roles that take an approval."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the roles are needed; whoever approves reads it.")] = "",
    json_: Json = False,
) -> None:
    """Add a person, who sets a password by a link: it is shown only now, or mailed with --mail. With --token-file the
    person has an API token and no link, unless --invite asks for both. Roles that open content or approve wait for an
    approval (--as) once somebody can approve."""
    from recvault.interfaces.cli.grants import give, granted_told, require_asked

    grants = tuple(parse_role(text) for text in role or ())
    if language not in ("fi", "en"):
        raise typer.BadParameter("is fi or en", param_hint="--language")
    invited = invite or mail is not None or token_file is None
    require_new(token_file)
    with archive_of(context, start=True) as archive:
        if invited:
            archive.invitations.require_possible(mail)
        require_asked(archive, grants, as_, reason)
        user = archive.accounts.add_user(
            name,
            display_name=display_name or name,
            password=None,
            grants=(),
            by=OPERATOR,
            agent_id=None if agent is None else _agent_id(archive, agent),
            language=language,
        )
        token = None if token_file is None else archive.sessions.issue_token(name, by=OPERATOR)
        made = give(archive, name, grants, as_=as_, reason=reason)
        user = made.user
        told, lines = granted_told(made)
        lines[0] = f"{name} is added: {roles_text(user) or 'no roles'}"
        if token is not None:
            give_token(token, token_file)
            lines.append(f"an API token of {name} is in {token_file}")
        if invited:
            issued = _invite(archive, name, mail)
            told |= _invitation_json(issued)
            lines += _invitation_lines(issued)
    answer(told, lines, as_json=json_)


@user_commands.command("invite")
def user_invite(
    context: typer.Context,
    name: str,
    mail: MailTo = None,
    reset_factors: Annotated[
        bool,
        typer.Option(
            "--reset-factors", help="The link also takes app, passkeys and recovery codes away: they are lost."
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Let a person set a new password, by a link that works once within 72 hours; for one who forgot it, too. The person
    finds a notice of it on the account's page."""
    with archive_of(context, start=True) as archive:
        issued = _invite(archive, name, mail, resets_factors=reset_factors)
    answer({"name": name, **_invitation_json(issued)}, _invitation_lines(issued), as_json=json_)


def _invite(archive: Archive, name: str, mail: str | None, *, resets_factors: bool = False) -> Issued:
    try:
        return archive.invitations.invite(name, by=OPERATOR, address=mail, resets_factors=resets_factors)
    except MailRefused as fault:
        raise MailRefused(f"{fault}; then run 'recvault user invite {name}' again, or without --mail") from None
    except MailUnavailable as fault:
        raise MailUnavailable(f"{fault}: run 'recvault user invite {name}' again, or without --mail") from None


def _invitation_json(issued: Issued) -> dict[str, Any]:
    return {"link": issued.link, "mailed": issued.link is None, "link_until": issued.until.isoformat()}


def _invitation_lines(issued: Issued) -> list[str]:
    until = f"{issued.until:%Y-%m-%d %H:%M} UTC"
    if issued.link is None:
        return [f"the link to set a password was mailed; it works once, until {until}"]
    return [f"the link to set a password, shown only now; it works once, until {until}:", issued.link]


@user_commands.command("list")
def user_list(context: typer.Context, json_: Json = False) -> None:
    """All people and their roles, in name order."""
    with archive_of(context) as archive:
        users = archive.accounts.users()
    rows = [
        (u.name, u.display_name, roles_text(u) or "-", "open" if u.disabled_at is None else "closed", u.id)
        for u in users
    ]
    lines = table(("name", "shown as", "roles", "account", "id"), rows)
    answer({"rows": [user_json(user) for user in users]}, lines, as_json=json_)


@user_commands.command("disable")
def user_disable(context: typer.Context, name: str, json_: Json = False) -> None:
    """Close a leaver's account: every credential and role ends now."""
    with archive_of(context, start=True) as archive:
        user = archive.accounts.disable(name, by=OPERATOR)
    answer(user_json(user), [f"{name} cannot come in any more"], as_json=json_)


def parse_role(text: str) -> Grant:
    """``verifier``, ``trainer:teams=a,b`` or ``verifier:queues=x`` as a grant; InvalidInput otherwise."""
    found = _ROLE.fullmatch(text.strip())
    known = {role.value: role for role in Role if role is not Role.SOURCE}
    role = known.get(found[1].replace("-", "_")) if found else None
    if found is None or role is None:
        names = ", ".join(name.replace("_", "-") for name in known)
        raise InvalidInput(f"--role is ROLE, ROLE:teams=a,b or ROLE:queues=x, where ROLE is one of: {names}")
    if found[2] is None:
        return Grant(role=role)
    values = frozenset(value.strip() for value in found[3].split(",") if value.strip())
    if not values:
        raise InvalidInput(f"--role names no {found[2]}; write {found[1]}:{found[2]}=a,b")
    return Grant(role=role, scope=Scope(kind=ScopeKind(found[2]), values=values))


def require_new(token_file: Path | None) -> None:
    """Before the account is made: a token that cannot be written would be lost."""
    if token_file is not None and (token_file.exists() or not token_file.absolute().parent.is_dir()):
        raise InvalidInput(f"{token_file} exists or its directory does not; name a new file in a directory that exists")


def _agent_id(archive: Archive, ref: str) -> str:
    with archive.database.read() as unit:
        agent = unit.register.agent_by_ref(ref)
    if agent is None:
        raise NotFound("the directory has no agent of this id; import it first: recvault agent import FILE")
    return agent.id


def roles_text(user: User) -> str:
    """The roles of an account, in the form of the command line."""
    return grants_text(user.grants)


def grants_text(grants: Iterable[Grant]) -> str:
    """Roles in the form of the command line, with their last moment."""
    return ", ".join(
        grant.role.value.replace("_", "-")
        + ("" if grant.scope.kind is ScopeKind.ALL else f":{grant.scope.kind}={','.join(sorted(grant.scope.values))}")
        + ("" if grant.valid_until is None else f" until {grant.valid_until:%Y-%m-%d %H:%M} UTC")
        for grant in grants
    )


def user_json(user: User) -> dict[str, Any]:
    """An account and its roles."""
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "language": user.language,
        "agent_id": user.agent_id,
        "disabled_at": None if user.disabled_at is None else user.disabled_at.isoformat(),
        "roles": [
            {
                "role": g.role.value,
                "scope": g.scope.kind.value,
                "values": sorted(g.scope.values),
                "until": None if g.valid_until is None else g.valid_until.isoformat(),
            }
            for g in user.grants
        ],
    }
