"""People with passkeys in an in-memory archive: sessions, enrolment, approvals by assertion."""

from __future__ import annotations

from collections.abc import Collection

from recvault.domain.access import Actor, Grant, Role
from recvault.domain.accounts import actor_of
from recvault.domain.approvals import Proposal
from recvault.domain.sessions import Method
from recvault.services.sessions import SignedIn
from tests.support.archives import World, configuration, make_world, memory_parts
from tests.support.authenticator import Authenticator


def passkey_world(**settings: str) -> World:
    """An archive whose approvals take a passkey."""
    parts = memory_parts()
    parts.config = configuration(**({"APPROVALS__PROOF": "passkey"} | settings))
    return make_world(parts=parts)


def person(world: World, name: str, *roles: Role) -> Actor:
    """A new account with these roles."""
    grants = tuple(Grant(role=role) for role in roles)
    accounts = world.archive.accounts
    return actor_of(accounts.add_user(name, display_name=name, password=None, grants=grants, by="system:test"))


def session_of(world: World, who: Actor, methods: Collection[Method] = (Method.PASSWORD, Method.TOTP)) -> str:
    """The secret of a new session of this person."""
    archive = world.archive
    with archive.database.begin() as unit:
        user = unit.accounts.user(who.id)
        secret = archive.sessions.open(unit, user, methods=methods, label="test", now=world.clock.now())
        unit.commit()
    return secret


def enrolled(world: World, who: Actor, device: Authenticator | None = None) -> Authenticator:
    """A passkey of this person."""
    device = device or Authenticator()
    signed_in = signed(world, who)
    options = world.archive.passkeys.begin_registration(signed_in)
    world.archive.passkeys.register(signed_in, device.create(options), label="key")
    return device


def signed(world: World, who: Actor) -> SignedIn:
    """The person in a new, complete session."""
    return world.archive.sessions.half_open(session_of(world, who))


def approve(
    world: World, who: Actor, proposal: Proposal, device: Authenticator, *, binding: str = "session-1"
) -> Proposal:
    """Asks and answers in one session."""
    question = world.archive.approvals.question(who, proposal.id, binding=binding)
    return world.archive.approvals.approve(who, proposal.id, answer=device.get(question.options), binding=binding)
