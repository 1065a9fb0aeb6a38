"""Approvals as assertions: a passkey's signature over the exact act, stored with the proposal, and verified again.

Keeps: what is signed is computed anew from the proposal's row each time it counts, so that a row that was altered after the
approval is not carried out; the passkey must still be registered to the approver, with the same key. Left to others: who
may approve what, and carrying it out (``services.approvals``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from recvault.domain.approvals import Proposal
from recvault.domain.decisions import Assertion, AssertionBroken, AssertionVoid, act_of, challenge_of
from recvault.domain.errors import Conflict
from recvault.domain.passkeys import Challenge, PasskeyRefused, Signed, Use
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.services.ceremonies import Ceremonies


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An approver's answer whose challenge was taken: it can be used for this one decision only."""

    signed: Signed
    asked: Challenge


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What an approver is asked to sign: the act, and the options for the browser."""

    act: Mapping[str, object]
    options: Mapping[str, object]


class Assertions:
    """Asks approvers, and verifies what they signed."""

    def __init__(self, *, database: Database, ceremonies: Ceremonies) -> None:
        self._database = database
        self._ceremonies = ceremonies

    def ask(self, proposal: Proposal, *, approver: str, binding: str) -> Question:
        """The act, and options for the browser; Conflict when the approver has no passkey."""
        with self._database.read() as unit:
            known = unit.passkeys.of_user(approver)
        if not known:
            raise Conflict("approving takes a passkey here, and your account has none; add one on your account's page")
        nonce = self._ceremonies.random()
        act = act_of(proposal, approver=approver, nonce=nonce)
        challenge = self._ceremonies.ask(
            Use.APPROVE, binding=binding, user_id=approver, act=(proposal.id, nonce, challenge_of(act))
        )
        return Question(act=act, options=self._ceremonies.request(challenge, known))

    def take(self, answer: Mapping[str, object], *, binding: str) -> Given:
        """The answer with its challenge, which nobody can use again; PasskeyRefused when it is not for an approval of this
        session, or is over."""
        asked = self._ceremonies.take(answer, Use.APPROVE, binding=binding)
        return Given(signed=self._ceremonies.signed(answer), asked=asked)

    def accept(self, unit: UnitOfWork, proposal: Proposal, given: Given, *, approver: str, now: datetime) -> bytes:
        """Verifies the answer over this proposal as it stands now, and stores it; returns the challenge that names it.
        PasskeyRefused otherwise."""
        nonce = given.asked.nonce or b""
        act = act_of(proposal, approver=approver, nonce=nonce)
        if given.asked.about != proposal.id or challenge_of(act) != given.asked.challenge:
            raise PasskeyRefused("act", "the passkey signed another act than this one; look at it and approve again")
        passkey = self._ceremonies.check(unit, given.signed, given.asked)
        unit.passkeys.keep_assertion(
            Assertion(
                proposal_id=proposal.id,
                user_id=approver,
                nonce=nonce,
                public_key=passkey.public_key,
                signed=given.signed,
                at=now,
            )
        )
        return given.asked.challenge

    def note_refusal(self, fault: PasskeyRefused, use: Use, given: Given, *, approver: str) -> None:
        """Tells the log, in a transaction of its own."""
        self._ceremonies.note_refusal(fault, use, user_id=approver, credential_id=given.signed.credential_id)

    def require(self, unit: UnitOfWork, proposal: Proposal) -> str:
        """Returns the digest of the key that approved it, when the stored assertion covers the proposal as it stands and
        its passkey is still the approver's. AssertionBroken when either was altered, AssertionVoid when the passkey went."""
        found = None if proposal.assertion is None else unit.passkeys.assertion(proposal.id, proposal.assertion)
        if found is None:
            raise AssertionVoid(
                "no passkey's approval is stored for this; another approver, or the same, decides again"
            )
        if found.user_id != proposal.decided_by:
            raise AssertionBroken("the stored approval is another person's; tell the data protection officer")
        if proposal.expires_at is not None and found.at >= proposal.expires_at:
            raise AssertionBroken("the approval was given after the proposal had expired; propose it again")
        challenge = challenge_of(act_of(proposal, approver=found.user_id, nonce=found.nonce))
        if challenge != found.signed.challenge:
            raise AssertionBroken(
                "the proposal is not what was approved: its row was altered; tell the data protection officer"
            )
        try:
            self._ceremonies.verify_again(found.signed, challenge=challenge, public_key=found.public_key)
        except PasskeyRefused as fault:
            raise AssertionBroken("the stored approval does not verify; tell the data protection officer") from fault
        passkey = unit.passkeys.find(found.signed.credential_id)
        if passkey is None or passkey.user_id != found.user_id or passkey.public_key != found.public_key:
            raise AssertionVoid("the passkey that approved this is registered no longer; an approver decides again")
        try:
            self._ceremonies.digests.require(passkey)
        except PasskeyRefused as fault:
            raise AssertionBroken(
                "the passkey that approved this is not as it was registered; tell the data protection officer"
            ) from fault
        return found.key_digest
