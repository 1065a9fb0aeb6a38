"""Port to passkeys, to challenges that wait for their answer, and to assertions over approvals."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from recvault.domain.decisions import Assertion
from recvault.domain.passkeys import Challenge, Passkey


class Passkeys(Protocol):
    """Passkeys go when they are removed; assertions stay: they are evidence."""

    def add(self, passkey: Passkey) -> None:
        """Conflict when the credential is registered already, by whomever."""

    def of_user(self, user_id: str) -> list[Passkey]:
        """A person's, the oldest first."""

    def find(self, credential_id: bytes, *, lock: bool = False) -> Passkey | None:
        """``lock``: FOR UPDATE until commit, so that two answers of one passkey are counted one after the other."""

    def used(self, passkey_id: str, *, sign_count: int, at: datetime) -> None:
        """Notes counter and moment of an answer that held."""

    def suspect(self, passkey_id: str, at: datetime) -> None:
        """It counted backwards; the first time stands."""

    def rename(self, user_id: str, passkey_id: str, label: str) -> None:
        """NotFound when the person has no such passkey."""

    def remove(self, user_id: str, passkey_id: str) -> Passkey:
        """What was removed; NotFound when the person has no such passkey."""

    def suspects(self) -> int:
        """How many count backwards."""

    def ask(self, challenge: Challenge, *, now: datetime) -> None:
        """Keeps a challenge until it is answered, and forgets those that are over; of those asked of strangers also those
        that are too many (``domain.waiting``)."""

    def take(self, challenge: bytes) -> Challenge | None:
        """Removes and returns it: of any number of answers one gets it. Those that are over too, None when unknown."""

    def keep_assertion(self, assertion: Assertion) -> None:
        """Beside those that the proposal has already."""

    def assertion(self, proposal_id: str, challenge: bytes) -> Assertion | None:
        """The one over this challenge."""

    def assertions(self, proposal_id: str) -> list[Assertion]:
        """All of a proposal, the oldest first."""
