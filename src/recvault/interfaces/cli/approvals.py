"""Commands of the second person: what waits, and deciding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from recvault.interfaces.cli.session import As, Json, actor_named, answer, archive_of, table

if TYPE_CHECKING:
    from recvault.bootstrap import Archive
    from recvault.domain.access import Actor
    from recvault.domain.approvals import Proposal

approval_commands = typer.Typer(help="What takes a second person.", no_args_is_help=True, rich_markup_mode=None)

Id = Annotated[str, typer.Argument(metavar="PROPOSAL", help="The proposal's id.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    app.add_typer(approval_commands, name="approval")


@approval_commands.command("list")
def approval_list(
    context: typer.Context,
    as_: As,
    decided: Annotated[bool, typer.Option("--decided", help="What was decided lately instead.")] = False,
    json_: Json = False,
) -> None:
    """What waits for a decision, or for the delay of a single person's decision to end."""
    from recvault.interfaces.http.approvals import proposal_json

    with archive_of(context) as archive:
        found = archive.approvals.list(actor_named(archive, as_))
    proposals = found.decided if decided else found.standing
    rows = [
        (one.id, one.kind.value, one.subject, f"{one.proposed_at:%Y-%m-%d %H:%M}", _state(one), one.reason)
        for one in proposals
    ]
    lines = table(("id", "what", "subject", "proposed (UTC)", "state", "reason"), rows)
    answer({"rows": [proposal_json(one) for one in proposals]}, lines, as_json=json_)


@approval_commands.command("approve")
def approval_approve(context: typer.Context, as_: As, proposal: Id, json_: Json = False) -> None:
    """Approve: it is carried out now, or after the delay when one person decides alone (approvals.mode = "small")."""
    _decide(context, as_, json_, lambda archive, actor: archive.approvals.approve(actor, proposal))


@approval_commands.command("refuse")
def approval_refuse(context: typer.Context, as_: As, proposal: Id, json_: Json = False) -> None:
    """Refuse. It can be proposed anew."""
    _decide(context, as_, json_, lambda archive, actor: archive.approvals.refuse(actor, proposal))


@approval_commands.command("withdraw")
def approval_withdraw(context: typer.Context, as_: As, proposal: Id, json_: Json = False) -> None:
    """Take an own proposal back."""
    _decide(context, as_, json_, lambda archive, actor: archive.approvals.withdraw(actor, proposal))


def told(proposal: Proposal, *, as_json: bool) -> None:
    """Answers with a proposal."""
    from recvault.interfaces.http.approvals import proposal_json

    answer(proposal_json(proposal), [f"proposal {proposal.id}: {_state(proposal)}"], as_json=as_json)


def _decide(context: typer.Context, as_: str, as_json: bool, act: Callable[[Archive, Actor], Proposal]) -> None:
    with archive_of(context, start=True) as archive:
        decided = act(archive, actor_named(archive, as_))
    told(decided, as_json=as_json)


def _state(proposal: Proposal) -> str:
    if proposal.not_before is not None and proposal.standing:
        decided = "decided by one person" if proposal.by_one_person else "approved"
        return f"{decided}, carried out after {proposal.not_before:%Y-%m-%d %H:%M} UTC"
    return proposal.state.value + (", decided by one person" if proposal.by_one_person else "")
