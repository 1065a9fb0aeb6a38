"""Ports to alarms and waiting mails, and to invitations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from recvault.domain.notices import Alarm, DayCounts, Invitation, QueuedMail


class Notices(Protocol):
    """Alarms that stand and mails that wait. What changes an alarm tells whether it did: of several workers that see the
    same, one is answered True and mails, in the same transaction."""

    def alarms(self) -> list[Alarm]:
        """Those that stand, by name."""

    def begin(self, alarm: Alarm) -> bool:
        """False when one of this name stands already."""

    def see(self, name: str, *, at: datetime, count: int | None) -> None:
        """It is still so; never back in time. ``count`` None keeps the number."""

    def tell(self, alarm: Alarm, at: datetime) -> bool:
        """Notes that people are being told; False when somebody was faster."""

    def end(self, alarm: Alarm) -> bool:
        """Takes it away; False when somebody was faster, or has seen it since."""

    def queue(self, mails: Iterable[QueuedMail]) -> int:
        """They wait from now on; one whose id is known, sent or not, is left as it is. How many were new."""

    def claim(self, *, now: datetime, until: datetime, by: str, limit: int) -> list[QueuedMail]:
        """Mails that are due and in nobody's hands, oldest first; in ours until ``until``."""

    def sent(self, mail_id: str, *, at: datetime) -> None:
        """It went out; of its text and recipient nothing is kept."""

    def put_off(self, mail_id: str, *, by: str, until: datetime, fault: str) -> None:
        """It did not go out; ``fault`` is the code of the error. Only while it is in ``by``'s hands."""

    def give_up(self, before: datetime) -> int:
        """Forgets what was sent, or has waited, since before; how many never went out."""

    def unsent(self, before: datetime) -> tuple[int, str | None]:
        """How many have waited since before, and the newest code of an error among them."""

    def counts(self, *, since: datetime, until: datetime, audit_size: int) -> DayCounts:
        """What happened in the period; audit entries count from number ``audit_size`` on."""


class Invitations(Protocol):
    """Open invitations; one a person."""

    def put(self, invitation: Invitation) -> None:
        """Stores it; an earlier one of the same person ends. Conflict for an unknown person."""

    def find(self, invitation_hash: bytes) -> Invitation | None:
        """Expired ones too, used ones no more."""

    def use(self, invitation_hash: bytes, *, now: datetime, password_hash: str) -> str | None:
        """Sets the password, ends the person's sessions and the invitation; the person's id, or None when it is not (or
        no longer) there or has expired."""

    def withdraw(self, user_id: str) -> None:
        """A person's open invitation, if any, ends."""
