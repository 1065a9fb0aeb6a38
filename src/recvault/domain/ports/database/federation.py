"""Port to people of issuers, sign-ins under way, and break-glass accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from recvault.domain.access import Grant
from recvault.domain.accounts import User
from recvault.domain.federation import BreakGlass, FederatedSession, Identity, Logout, Pending


class Federation(Protocol):
    """Signing in at an issuer."""

    def begin(self, pending: Pending) -> None:
        """Stores a sign-in under way, and forgets those whose time is over, and those that are too many
        (``domain.waiting``)."""

    def take(self, state_hash: bytes, *, issuer: str, browser_hash: bytes, now: datetime) -> Pending | None:
        """The sign-in under way, which is gone with this: a state is answered once. None when there is none of this issuer
        and browser that is still good."""

    def identity(self, key: bytes) -> Identity | None:
        """A person of an issuer."""

    def identities(self, user_id: str | None = None) -> list[Identity]:
        """All, or those of an account, in the order of linking."""

    def remember_logout(self, token: bytes, *, until: datetime, now: datetime) -> bool:
        """Notes that a logout token was taken, and forgets those that are too old to come again; False when it was taken
        before, Conflict when it is being taken at this moment."""

    def link(self, identity: Identity) -> None:
        """Conflict when the person, or the account at this issuer, is linked already."""

    def unlink(self, user_id: str, issuer: str) -> bool:
        """Whether there was one."""

    def used(self, key: bytes, at: datetime) -> None:
        """Notes the last sign-in."""

    def lock_user(self, user_id: str) -> User:
        """The account, FOR UPDATE until commit: closing it and recomputing its roles wait for each other. NotFound."""

    def replace_grants(self, user_id: str, origin: str, grants: Sequence[Grant]) -> None:
        """Puts ``grants`` in place of those of this origin; others stay as they are."""

    def came_from(self, session: FederatedSession, *, forget_before: datetime) -> None:
        """Notes where a session came from, and forgets old ones."""

    def origin_of(self, session_id: str) -> FederatedSession | None:
        """Where a session came from; None for others."""

    def sessions_of(self, logout: Logout, issuer: str) -> list[str]:
        """Ids of our sessions that a logout of the issuer means, ended ones too."""

    def break_glass(self, user_id: str) -> BreakGlass | None:
        """Whether, and since when, the account is one for emergencies."""

    def break_glass_accounts(self) -> list[BreakGlass]:
        """In the order of marking."""

    def mark_break_glass(self, account: BreakGlass) -> None:
        """Inserts or replaces."""

    def unmark_break_glass(self, user_id: str) -> bool:
        """Whether it was one."""
