"""Grants as values that can be compared and written down, and the rights that end by themselves (authorisations).

Keeps: what widens a person's reach is told from what narrows it, by role, scope and dates alike; a written grant reads back
as itself or not at all. Who may give what, and when it begins, is left to ``services.grants``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from recvault.domain.access import NEEDS_APPROVAL, Grant, Role, Scope, ScopeKind
from recvault.domain.approvals import ProposalKind
from recvault.domain.coverage import Coverage
from recvault.domain.errors import InvalidInput
from recvault.domain.ids import require_aware

BREAK_GLASS_LONGEST = timedelta(hours=12)
"""Break-glass access ends at the latest after this."""

GRANTS_MAXIMUM = 20
"""Grants of one account."""
VALUES_MAXIMUM = 100
"""Teams or queues of one grant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorisation:
    """What two people let one account do until a moment: ``id`` is the proposal's; ``holder`` an account; ``subject`` what it
    is about (a reference of a disclosure, the role of a break-glass access); ``covers`` the communications that it opens, None
    for what opens none by itself."""

    id: str
    kind: ProposalKind
    subject: str
    holder: str
    approved_by: str
    issued_at: datetime
    valid_until: datetime
    ended_at: datetime | None = None
    covers: Coverage | None = None

    def __post_init__(self) -> None:
        for name in ("issued_at", "valid_until"):
            object.__setattr__(self, name, require_aware(getattr(self, name), name))

    def live(self, now: datetime) -> bool:
        """Whether it counts at ``now``."""
        return self.ended_at is None and self.issued_at <= now < self.valid_until


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What becomes of an account's grants: ``at_once`` are those it has from now on, ``proposed`` those that need an
    approval first."""

    at_once: tuple[Grant, ...]
    proposed: tuple[Grant, ...] = field(default=())


def covers(wide: Grant, narrow: Grant, now: datetime) -> bool:
    """Whether everything that ``narrow`` gives from ``now`` on, ``wide`` gives as well."""
    if wide.role is not narrow.role or not _scope_covers(wide.scope, narrow.scope):
        return False
    begins = now if narrow.valid_from is None else max(now, narrow.valid_from)
    if wide.valid_from is not None and wide.valid_from > begins:
        return False
    return wide.valid_until is None or (narrow.valid_until is not None and narrow.valid_until <= wide.valid_until)


def _scope_covers(wide: Scope, narrow: Scope) -> bool:
    return wide.kind is ScopeKind.ALL or (wide.kind is narrow.kind and narrow.values <= wide.values)


def change(held: Sequence[Grant], wanted: Sequence[Grant], now: datetime) -> Change:
    """From the grants an account has to exactly those it should have. Losing is at once; so is gaining a role that opens and
    approves nothing; everything that widens one of the others is proposed, and what it widens stays meanwhile."""
    wanted = tuple(dict.fromkeys(wanted))
    proposed = tuple(one for one in wanted if one.role in NEEDS_APPROVAL and not any(covers(h, one, now) for h in held))
    kept = [one for one in wanted if one not in proposed]
    kept += [one for one in held if one not in kept and any(covers(wide, one, now) for wide in proposed)]
    return Change(at_once=tuple(kept), proposed=proposed)


def added(held: Iterable[Grant], more: Iterable[Grant], now: datetime) -> tuple[Grant, ...]:
    """``held`` with ``more``, without those that the new ones make needless."""
    more = tuple(dict.fromkeys(more))
    return (*(one for one in held if not any(covers(new, one, now) for new in more)), *more)


def checked(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """The grants, if an account of a person can have them; InvalidInput otherwise."""
    if len(grants) > GRANTS_MAXIMUM:
        raise InvalidInput(
            f"one account has at most {GRANTS_MAXIMUM} roles; name more teams or queues in one role instead"
        )
    for grant in grants:
        if grant.role is Role.SOURCE:
            raise InvalidInput("people cannot have the role of a source; add a source instead")
        if grant.role is Role.APPROVER and grant.scope.kind is not ScopeKind.ALL:
            raise InvalidInput("an approver's role must not be limited to teams or queues; leave the scope out")
        if len(grant.scope.values) > VALUES_MAXIMUM or not all(0 < len(value) <= 100 for value in grant.scope.values):
            raise InvalidInput(f"a role names at most {VALUES_MAXIMUM} teams or queues of 1 to 100 characters")
        if grant.valid_from and grant.valid_until and grant.valid_until <= grant.valid_from:
            raise InvalidInput("a role's until must lie after its from; correct one of them")
    return tuple(grants)


def written(grant: Grant) -> dict[str, Any]:
    """A grant as JSON values: ``role``, ``scope``, ``values``, ``from`` and ``until`` (RFC 3339 or null)."""
    return {
        "role": grant.role.value,
        "scope": grant.scope.kind.value,
        "values": sorted(grant.scope.values),
        "from": None if grant.valid_from is None else grant.valid_from.isoformat(),
        "until": None if grant.valid_until is None else grant.valid_until.isoformat(),
    }


def read(value: object) -> Grant:
    """What :func:`written` wrote, or what somebody sent in this form; InvalidInput otherwise."""
    if not isinstance(value, Mapping) or value.keys() - {"role", "scope", "values", "from", "until"}:
        raise InvalidInput("a role is an object with 'role' and, if wanted, 'scope', 'values', 'from' and 'until'")
    try:
        role, kind = Role(str(value.get("role"))), ScopeKind(str(value.get("scope") or ScopeKind.ALL.value))
    except ValueError:
        names = ", ".join(one.value for one in Role if one is not Role.SOURCE)
        raise InvalidInput(f"'role' is one of {names}, and 'scope' is all, teams or queues") from None
    values = value.get("values") or []
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise InvalidInput("'values' is a list of the names of teams or queues")
    if (kind is ScopeKind.ALL) == bool(values):
        raise InvalidInput("'values' names the teams or queues when 'scope' is not 'all', and nothing when it is")
    return Grant(
        role=role,
        scope=Scope(kind=kind, values=frozenset(values)),
        valid_from=_moment("from", value.get("from")),
        valid_until=_moment("until", value.get("until")),
    )


def _moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return require_aware(datetime.fromisoformat(str(value)), name)
    except ValueError:
        raise InvalidInput(f"'{name}' is a moment with its zone, as 2026-11-22T08:00:00+02:00") from None
