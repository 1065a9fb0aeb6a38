"""Every door of the archive and who comes through: each method and path of API and desk with the act that it asks for.

The services decide; this table says what they are expected to decide, so that a test can walk all doors and compare
(``tests/system/test_every_door.py``). A door that does not stand here fails that test, and so does one here that is not built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from recvault.domain.access import Action


class Who(StrEnum):
    """Whom a door lets through."""

    ANYBODY = "anybody"
    """Nothing of anybody's is behind it, or it is the way in and checks what it is shown."""
    NEAR = "near"
    """Whoever asks from an allowed network."""
    SOURCE = "source"
    """A source by its token."""
    PERSON = "person"
    """Every signed-in person: what is behind it is the person's own, or told to all."""
    PROVING = "proving"
    """A signed-in person who proves more about themselves, a second factor given or not."""
    ROLE = "role"
    """Whose role grants the act."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """``act`` is set for ``ROLE`` alone. ``each``: it depends on the communication in the path."""

    who: Who
    act: Action | None = None
    each: bool = False

    def __post_init__(self) -> None:
        if (self.who is Who.ROLE) is (self.act is None):
            raise ValueError("a door for roles names its act, and no other door does")


def _role(act: Action) -> Door:
    return Door(who=Who.ROLE, act=act)


def _each(act: Action) -> Door:
    return Door(who=Who.ROLE, act=act, each=True)


_ANYBODY, _PERSON, _SOURCE = Door(who=Who.ANYBODY), Door(who=Who.PERSON), Door(who=Who.SOURCE)
_PROVING = Door(who=Who.PROVING)

API: Mapping[str, Door] = {
    "GET /openapi.json": _ANYBODY,
    "GET /healthz": _ANYBODY,
    "GET /readyz": _ANYBODY,
    "GET /metrics": Door(who=Who.NEAR),
    "GET /v1/certificate-key": _ANYBODY,
    "GET /v1/log/checkpoint": _ANYBODY,
    "GET /v1/log/addition": _ANYBODY,
    "POST /v1/session": _ANYBODY,
    "DELETE /v1/session": _PERSON,
    "GET /v1/edge-key": _SOURCE,
    "POST /v1/communications": _SOURCE,
    "POST /v1/communications/search": _role(Action.SEARCH),
    "GET /v1/communications/{communication_id}": _each(Action.VIEW),
    "POST /v1/communications/{communication_id}/view": _each(Action.VIEW),
    "POST /v1/communications/{communication_id}/open": _each(Action.OPEN),
    "POST /v1/communications/{communication_id}/do-not-keep": _each(Action.DO_NOT_KEEP),
    "POST /v1/communications/{communication_id}/keep-after-all": _each(Action.DO_NOT_KEEP),
    "POST /v1/communications/{communication_id}/release": _each(Action.RELEASE),
    "GET /v1/communications/{communication_id}/retention": _role(Action.RETENTION_READ),
    # An address that another person was given opens nothing (404); its own person is authorised at every range.
    "GET /v1/playback/{secret}": _PERSON,
    "HEAD /v1/playback/{secret}": _PERSON,
    "POST /v1/customers": _role(Action.REGISTER_WRITE),
    "POST /v1/customers/search": _role(Action.REGISTER_READ),
    "POST /v1/agents": _role(Action.REGISTER_WRITE),
    "GET /v1/agents": _role(Action.DIRECTORY_READ),
    "POST /v1/holds": _role(Action.HOLD_PLACE),
    "GET /v1/holds": _role(Action.HOLD_LIST),
    "GET /v1/holds/report": _role(Action.HOLD_LIST),
    "POST /v1/holds/{hold_id}/release": _role(Action.HOLD_RELEASE),
    "POST /v1/holds/{hold_id}/close": _role(Action.HOLD_PLACE),
    "GET /v1/destructions/{communication_id}": _role(Action.CERTIFICATE_READ),
    "POST /v1/audit/search": _role(Action.AUDIT_READ),
    "POST /v1/audit/export": _role(Action.AUDIT_READ),
    "POST /v1/events/case-closed": _role(Action.RETENTION_EVENT),
    "POST /v1/events/relationship-end": _role(Action.RETENTION_EVENT),
    "POST /v1/events/relationship-resumed": _role(Action.RETENTION_EVENT),
    "POST /v1/events/training-objection": _role(Action.RETENTION_EVENT),
    "POST /v1/purpose-endings": _role(Action.PURPOSE_END),
    "GET /v1/purpose-endings": _role(Action.RETENTION_READ),
    "POST /v1/purpose-endings/{ending_id}/withdraw": _role(Action.PURPOSE_END),
    "GET /v1/statutes": _PERSON,
    "POST /v1/statutory-overrides": _role(Action.STATUTORY_OVERRIDE),
    "GET /v1/statutory-overrides": _role(Action.RETENTION_READ),
    "POST /v1/statutory-overrides/{override_id}/end": _role(Action.STATUTORY_OVERRIDE),
    "GET /v1/approvals": _role(Action.APPROVAL_LIST),
    "POST /v1/approvals/{proposal_id}/approve": _role(Action.APPROVAL_DECIDE),
    "POST /v1/approvals/{proposal_id}/refuse": _role(Action.APPROVAL_DECIDE),
    # Only the person who proposed it; everybody else is told so.
    "POST /v1/approvals/{proposal_id}/withdraw": _PERSON,
    "GET /v1/destruction": _PERSON,
    "POST /v1/destruction/suspend": _role(Action.DESTRUCTION_SUSPEND),
    "POST /v1/destruction/unsuspend": _role(Action.DESTRUCTION_SUSPEND),
    "POST /v1/destruction/extend": _role(Action.DESTRUCTION_SUSPEND),
    "POST /v1/destruction/confirm": _role(Action.DESTRUCTION_CONFIRM),
    "GET /v1/accounts": _role(Action.ACCOUNT_MANAGE),
    "PUT /v1/accounts/{account_id}/roles": _role(Action.ROLE_GRANT),
    "POST /v1/break-glass": _role(Action.BREAK_GLASS),
    "POST /v1/disclosures": _role(Action.DISCLOSE),
    "POST /v1/disclosures/{authorisation_id}/end": _role(Action.DISCLOSE),
    "GET /v1/disclosures": _role(Action.DISCLOSE),
    "GET /v1/access-review": _role(Action.ACCESS_REVIEW),
    "POST /v1/access-review/confirm": _role(Action.ACCESS_CONFIRM),
    "POST /v1/session/factor": _ANYBODY,  # shows the half-open session itself
    "GET /v1/approvals/{proposal_id}": _role(Action.APPROVAL_LIST),
    "GET /v1/approvals/{proposal_id}/assertions": _role(Action.APPROVAL_LIST),
    "POST /v1/approvals/{proposal_id}/challenge": _role(Action.APPROVAL_DECIDE),
    "POST /v1/approvals/{proposal_id}/decide": _role(Action.APPROVAL_DECIDE),
    "GET /v1/account/sessions": _PERSON,
    "DELETE /v1/account/sessions/{session_id}": _PERSON,
    "POST /v1/account/tokens": _PROVING,
    "POST /v1/accounts/{account_id}/end-sessions": _role(Action.ACCOUNT_MANAGE),
}

DESK: Mapping[str, Door] = {
    "GET /static/{name}": _ANYBODY,
    "GET /sign-in": _ANYBODY,
    "POST /sign-in": _ANYBODY,
    "POST /sign-in/oidc/{name}": _ANYBODY,
    "GET /sign-in/oidc/{name}/callback": _ANYBODY,  # bound to the browser that began
    "POST /sign-in/oidc/{name}/back-channel": _ANYBODY,  # believes only what the issuer signed
    "POST /sign-out": _PERSON,
    "GET /invitation": _ANYBODY,
    "POST /invitation": _ANYBODY,
    "GET /": _PERSON,
    "GET /search": _ANYBODY,  # leads to the form
    "POST /search": _role(Action.SEARCH),
    "GET /communications/{communication_id}": _each(Action.VIEW),
    "POST /communications/{communication_id}": _each(Action.VIEW),
    "POST /communications/{communication_id}/open": _each(Action.OPEN),
    "POST /communications/{communication_id}/do-not-keep": _each(Action.DO_NOT_KEEP),
    "POST /communications/{communication_id}/keep-after-all": _each(Action.DO_NOT_KEEP),
    "POST /communications/{communication_id}/hold": _role(Action.HOLD_PLACE),
    "GET /holds": _role(Action.HOLD_LIST),
    "POST /holds/{hold_id}/release": _role(Action.HOLD_RELEASE),
    "POST /holds/{hold_id}/close": _role(Action.HOLD_PLACE),
    "GET /approvals": _role(Action.APPROVAL_LIST),
    "POST /approvals/{proposal_id}/{decision}": _role(Action.APPROVAL_DECIDE),
    "GET /log": _role(Action.AUDIT_READ),
    "POST /log": _role(Action.AUDIT_READ),
    "GET /destructions": _role(Action.CERTIFICATE_READ),
    "POST /destructions": _role(Action.CERTIFICATE_READ),
    "GET /destructions/{communication_id}": _role(Action.CERTIFICATE_READ),
    "GET /destructions/{communication_id}/paper/{language}": _role(Action.CERTIFICATE_READ),
    "GET /destructions/{communication_id}/certificate/{stage}": _role(Action.CERTIFICATE_READ),
    "GET /approvals/{proposal_id}": _role(Action.APPROVAL_LIST),
    "POST /approvals/{proposal_id}/approve": _role(Action.APPROVAL_DECIDE),
    "POST /approvals/{proposal_id}/answer": _role(Action.APPROVAL_DECIDE),
    "GET /disclosures": _role(Action.DISCLOSE),
    "POST /disclosures": _role(Action.DISCLOSE),
    "POST /disclosures/{authorisation_id}/end": _role(Action.DISCLOSE),
    "GET /review": _role(Action.ACCESS_REVIEW),
    "POST /review": _role(Action.ACCESS_CONFIRM),
    # The way in: a password, a passkey, an issuer; what they are shown they check themselves.
    "POST /passkeys/sign-in": _ANYBODY,
    "POST /passkeys/sign-in/answer": _ANYBODY,
    # The person's own: also before a second factor was proved, to prove or add one.
    "GET /second-factor": _PROVING,
    "POST /second-factor": _PROVING,
    "GET /prove": _PROVING,
    "POST /prove": _PROVING,
    "POST /passkeys/prove": _PROVING,
    "POST /passkeys/prove/answer": _PROVING,
    "GET /account": _PERSON,
    "POST /account/sessions/{session_id}/end": _PERSON,
    "POST /account/tokens": _PROVING,
    "POST /account/password": _PROVING,
    "POST /account/factors/totp": _PROVING,
    "POST /account/factors/totp/confirm": _PROVING,
    "POST /account/factors/totp/remove": _PROVING,
    "POST /account/factors/recovery": _PROVING,
    "POST /account/passkeys": _PROVING,
    "POST /account/passkeys/answer": _PROVING,
    "POST /account/passkeys/{passkey_id}/rename": _PROVING,
    "POST /account/passkeys/{passkey_id}/remove": _PROVING,
}

DOORS: Mapping[str, Door] = {**API, **DESK}
