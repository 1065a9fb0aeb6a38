"""What accounts, sources and sessions share: finding a person by sign-in name, and what a name may look like."""

from __future__ import annotations

from recvault.domain.accounts import User
from recvault.domain.errors import InvalidInput, NotFound
from recvault.domain.ports.database import UnitOfWork


def named(unit: UnitOfWork, name: str) -> User:
    """The person of this sign-in name; NotFound."""
    user = unit.accounts.user_by_name(name)
    if user is None:
        raise NotFound("there is no account of this name; see 'recvault user list'")
    return user


def require_name(name: str) -> str:
    """The name of an account or source; InvalidInput when it has another form."""
    if not 1 <= len(name) <= 64 or not all(ch.isalnum() or ch in "._-@" for ch in name):
        raise InvalidInput("a name has 1 to 64 letters, digits, dots, dashes, underscores or @")
    return name
