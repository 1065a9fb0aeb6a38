"""Why somebody looks at or opens a communication, and what must be shown for it.

Keeps: ``request`` and ``authority`` exist inside their own workflow only: searching, viewing and opening for a data subject's
request name the request, those for an authority stand under an authorisation of two people, which covers the communication
and is asked again at every range of a playback, so that its end and its withdrawal count at once. What no authorisation
allows is refused with a trace (:class:`AccessRefused`).

Leaves to others: roles, scopes, live purposes (``domain.access``), issuing authorisations (``services.authorisations``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from recvault.domain.access import Action, Actor
from recvault.domain.accounts import PlaybackGrant
from recvault.domain.approvals import ProposalKind
from recvault.domain.communication import Communication, SearchQuery
from recvault.domain.errors import Forbidden, InvalidInput
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.purpose import Purpose
from recvault.services.authorisations import Authorisations
from recvault.services.case_references import checked_case

NOT_AUTHORISED = "not-authorised"


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessRules:
    """What the configuration decides about opening: how a verifier says why, how long a grant lives, masking;
    ``request_pattern`` is the form of a data subject's request (None: that of any reference)."""

    grant_life: timedelta = timedelta(minutes=15)
    case_required: bool = False
    case_pattern: str | None = None
    request_pattern: str | None = None
    reasons: frozenset[str] = frozenset({"complaint", "order", "billing", "quality", "other"})
    mask_for_trainers: bool = True


class AccessRefused(Forbidden):
    """A refused look; carries what the audit log is to know of it. ``communication_id`` is None for a search."""

    def __init__(
        self,
        *,
        actor_id: str,
        communication_id: str | None,
        action: Action,
        purpose: Purpose,
        reason: str,
        text: str | None = None,
    ) -> None:
        super().__init__(text or f"this is not open to you for this purpose ({reason})")
        self.actor_id = actor_id
        self.communication_id = communication_id
        self.action = action
        self.purpose = purpose
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """Why: ``detail`` for the log, and the authorisation, if it takes one."""

    detail: Mapping[str, object] = field(default_factory=dict)
    authorisation_id: str | None = None


class Grounds:
    """Checks what is shown for a purpose, in the transaction of the act."""

    def __init__(self, *, rules: AccessRules, authorisations: Authorisations) -> None:
        self._rules = rules
        self._authorisations = authorisations

    def searching(
        self, unit: UnitOfWork, actor: Actor, query: SearchQuery, purpose: Purpose | None, reference: str | None
    ) -> tuple[SearchQuery, Ground]:
        """The query as far as the ground goes."""
        if purpose is not Purpose.AUTHORITY:
            return query, self._looking(purpose, reference)
        try:
            given = self._authorisations.require(unit, actor, ProposalKind.DISCLOSURE, reference or "")
            covers = self._authorisations.covered(given)
        except Forbidden as fault:
            raise _refused(actor, Action.SEARCH, None, str(fault)) from fault
        return covers.narrowed(query), Ground(detail={"authorisation": given.id}, authorisation_id=given.id)

    def viewing(
        self, unit: UnitOfWork, actor: Actor, row: Communication, purpose: Purpose, reference: str | None
    ) -> Ground:
        """For the index of one communication."""
        if purpose is Purpose.AUTHORITY:
            return self._authorised(unit, actor, Action.VIEW, row, reference)
        return self._looking(purpose, reference)

    def opening(
        self,
        unit: UnitOfWork,
        actor: Actor,
        row: Communication,
        purpose: Purpose,
        reference: str | None,
        reason: str | None,
    ) -> Ground:
        """For content: a case reference, or a reason of the list; for a data subject's request its reference, for an authority
        the authorisation."""
        if purpose is Purpose.AUTHORITY:
            return self._authorised(unit, actor, Action.OPEN, row, reference)
        if purpose is Purpose.REQUEST:
            return self._looking(purpose, reference)
        if reference:
            return Ground(detail={"case": checked_case(reference, self._rules.case_pattern)})
        if purpose is Purpose.VERIFICATION:
            self._require_reason(reason)
        return Ground(detail={"reason": reason if reason in self._rules.reasons else "none"})

    def playing(self, unit: UnitOfWork, actor: Actor, row: Communication, grant: PlaybackGrant) -> None:
        """Returns when what was opened may be played on; AccessRefused when its authorisation has ended meanwhile."""
        if grant.purpose == Purpose.AUTHORITY:
            self._authorised(unit, actor, Action.OPEN, row, grant.authorisation_id)

    def _looking(self, purpose: Purpose | None, reference: str | None) -> Ground:
        if purpose is not Purpose.REQUEST:
            return Ground()
        if not reference:
            raise InvalidInput("what is done for a data subject's request needs the reference of the request; give it")
        return Ground(detail={"case": checked_case(reference, self._rules.request_pattern)})

    def _authorised(
        self, unit: UnitOfWork, actor: Actor, action: Action, row: Communication, reference: str | None
    ) -> Ground:
        try:
            given = self._authorisations.require(unit, actor, ProposalKind.DISCLOSURE, reference or "")
            if not self._authorisations.covered(given).contains(row):
                raise Forbidden("the authorisation does not cover this communication; propose another that names it")
        except Forbidden as fault:
            raise _refused(actor, action, row.id, str(fault)) from fault
        return Ground(detail={"authorisation": given.id}, authorisation_id=given.id)

    def _require_reason(self, reason: str | None) -> None:
        if self._rules.case_required:
            raise InvalidInput("opening for verification needs a case reference here")
        if reason not in self._rules.reasons:
            choices = ", ".join(sorted(self._rules.reasons))
            raise InvalidInput(f"opening for verification needs a case reference or one of these reasons: {choices}")


def _refused(actor: Actor, action: Action, communication_id: str | None, text: str) -> AccessRefused:
    return AccessRefused(
        actor_id=actor.id,
        communication_id=communication_id,
        action=action,
        purpose=Purpose.AUTHORITY,
        reason=NOT_AUTHORISED,
        text=text,
    )
