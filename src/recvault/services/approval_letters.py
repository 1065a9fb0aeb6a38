"""Mails about proposals: to approvers that one waits, with a link to its page; to the controller that one person decided alone.

Keeps: a kind, moments and a link only; the link names the proposal's id and opens nothing by itself: its page asks for the
approver's account and passkey. Left to others: queueing them in the transaction of the act (``services.approvals``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from recvault.domain.approvals import Proposal
from recvault.domain.notices import QueuedMail
from recvault.services import notice_texts
from recvault.services.mailing import Mailing

PATH = "/approvals"
"""The page of the desk where a link leads, with the proposal's id after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterSettings:
    """``approvers``: who hears of each proposal; ``controller``: who hears of a single person's decision; ``desk``: the
    address of the desk without a slash at its end, None where it is off: then the mail has no link."""

    approvers: Sequence[str] = ()
    controller: Sequence[str] = ()
    desk: str | None
    language: str = "fi"
    zone: tzinfo


class ApprovalLetters:
    """Writes them."""

    def __init__(self, *, mailing: Mailing, settings: LetterSettings) -> None:
        self._mailing = mailing
        self._settings = settings
        self._words = notice_texts.LANGUAGES[settings.language]

    def proposed(self, proposal: Proposal) -> list[QueuedMail]:
        """One to each approver's address."""
        return self._letters(self._settings.approvers, proposal, self._words.proposed)

    def decided_alone(self, proposal: Proposal) -> list[QueuedMail]:
        """One to each of the controller's addresses."""
        return self._letters(self._settings.controller, proposal, self._words.decided_alone)

    def _letters(self, to: Sequence[str], proposal: Proposal, words: tuple[str, str]) -> list[QueuedMail]:
        until = proposal.not_before or proposal.expires_at
        if not to or until is None:
            return []
        desk = self._settings.desk
        text = notice_texts.proposal_mail(
            self._words,
            words,
            link=f"{desk}{PATH}/{proposal.id}" if desk else f"recvault approval list ({proposal.id})",
            kind=proposal.kind.value,
            until=until,
            zone=self._settings.zone,
        )
        return self._mailing.letters(to, *text)
