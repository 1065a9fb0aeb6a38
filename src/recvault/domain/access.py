"""Who may do what: one table of grants, and ``decide`` over it.

Roles add up: a person may do what any of their roles, inside its scope and dates, allows. Content opens only for an access
purpose that the role carries and that is still live for the communication; nothing here grants by default. The table is
the whole truth: an act without a row in ``TABLE`` is refused to everybody.

Left to others: authentication, second factors, case references (``services.retrieve``), two-person approvals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from recvault.domain.communication import Communication, State, VisibleSet
from recvault.domain.ids import require_aware
from recvault.domain.purpose import Purpose


class Role(StrEnum):
    """The roles of DESIGN. ``SOURCE`` is a machine."""

    SOURCE = "source"
    AGENT = "agent"
    VERIFIER = "verifier"
    TRAINER = "trainer"
    TRAINEE = "trainee"
    TEAM_LEAD = "team_lead"
    PRIVACY_HANDLER = "privacy_handler"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Action(StrEnum):
    """Acts, as ``scope:resource:action``."""

    INGEST = "communication:content:ingest"
    SEARCH = "communication:index:search"
    VIEW = "communication:index:view"
    OPEN = "communication:content:open"
    DO_NOT_KEEP = "communication:retention:do-not-keep"
    RELEASE = "communication:training:release"
    HOLD_PLACE = "hold:hold:place"
    HOLD_RELEASE = "hold:hold:release"
    HOLD_LIST = "hold:hold:list"
    RETENTION_EVENT = "communication:retention:event"
    RETENTION_READ = "communication:retention:read"
    PURPOSE_END = "communication:retention:end-purpose"
    STATUTORY_OVERRIDE = "communication:retention:override"
    DESTRUCTION_SUSPEND = "destruction:run:suspend"
    DESTRUCTION_CONFIRM = "destruction:run:confirm"
    SWEEP_RESUME = "store:sweep:resume"
    APPROVAL_DECIDE = "approval:proposal:decide"
    APPROVAL_LIST = "approval:proposal:list"
    REGISTER_READ = "register:customer:read"
    REGISTER_WRITE = "register:customer:write"
    DIRECTORY_READ = "register:agent:read"
    CERTIFICATE_READ = "destruction:certificate:read"
    AUDIT_READ = "audit:log:read"
    ACCOUNT_MANAGE = "account:account:manage"
    POLICY_SIGN = "policy:policy:sign"
    KEY_REKEY = "key:key:rekey"
    ROLE_GRANT = "account:role:grant"
    BREAK_GLASS = "account:role:break-glass"
    ACCESS_REVIEW = "account:access:review"
    ACCESS_CONFIRM = "account:access:confirm"
    DISCLOSE = "disclosure:authority:propose"


class ScopeKind(StrEnum):
    """How far a grant reaches."""

    ALL = "all"
    TEAMS = "teams"
    QUEUES = "queues"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """``values`` are team or queue names; empty for ``ALL``."""

    kind: ScopeKind = ScopeKind.ALL
    values: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if (self.kind is ScopeKind.ALL) == bool(self.values):
            raise ValueError("a scope names teams or queues, or is 'all' and names none")

    def contains(self, communication: Communication) -> bool:
        """Whether the communication's team or queue (as stamped at its time) lies inside."""
        if self.kind is ScopeKind.ALL:
            return True
        return (communication.team if self.kind is ScopeKind.TEAMS else communication.queue) in self.values


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """One role of one account, from inclusive, until exclusive (UTC; None is open). ``origin``: ``oidc:NAME`` when an issuer
    gave it, which also takes it away; None when it was given here."""

    role: Role
    scope: Scope = Scope()
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    origin: str | None = None

    def live(self, now: datetime) -> bool:
        """Whether the grant counts at ``now``."""
        now = require_aware(now, "now")
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts: a person's account (``agent_id`` when linked to the agents' directory) or a source. ``proved_at``: when the
    person last proved a factor in the session that acts; None without a session (API tokens, the command line)."""

    id: str
    grants: tuple[Grant, ...]
    agent_id: str | None = None
    source_id: str | None = None
    person: str | None = None
    agent_until: datetime | None = None
    proved_at: datetime | None = None

    @property
    def who(self) -> str:
        """The person behind the account: two accounts with the same are not two people."""
        return self.person or self.id

    def is_agent(self, agent_id: str | None, now: datetime) -> bool:
        """Whether the person is this agent of the directory, which an agent who left is not."""
        left = self.agent_until is not None and self.agent_until <= require_aware(now, "now")
        return agent_id is not None and agent_id == self.agent_id and not left

    def roles(self, now: datetime) -> frozenset[Role]:
        """The roles that count at ``now``."""
        return frozenset(g.role for g in self.grants if g.live(now))


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What the act touches: the communication if any, what is true of it, and whether it was released to this actor."""

    communication: Communication | None = None
    restricted: bool = False
    released_to_actor: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How one role may do one act. ``purposes`` are the access purposes it may name (empty: the act asks none, and for
    content that means never); ``own`` limits to the actor's own calls, ``released`` to what was released to them."""

    purposes: frozenset[Purpose] = frozenset()
    own: bool = False
    released: bool = False


_VERIFY = Rule(purposes=frozenset({Purpose.VERIFICATION}))
_TRAIN = Rule(purposes=frozenset({Purpose.TRAINING}))
_BOTH = Rule(purposes=frozenset({Purpose.VERIFICATION, Purpose.TRAINING}))
_REQUEST = Rule(purposes=frozenset({Purpose.REQUEST, Purpose.AUTHORITY}))
_ANY = Rule()

TABLE: Mapping[Action, Mapping[Role, Rule]] = {
    Action.INGEST: {Role.SOURCE: _ANY},
    Action.SEARCH: {
        Role.VERIFIER: _VERIFY,
        Role.TRAINER: _TRAIN,
        Role.TEAM_LEAD: _BOTH,
        Role.PRIVACY_HANDLER: _REQUEST,
    },
    Action.VIEW: {
        Role.AGENT: Rule(purposes=frozenset({Purpose.VERIFICATION}), own=True),
        Role.VERIFIER: _VERIFY,
        Role.TRAINER: _TRAIN,
        Role.TRAINEE: Rule(purposes=frozenset({Purpose.TRAINING}), released=True),
        Role.TEAM_LEAD: _BOTH,
        Role.PRIVACY_HANDLER: _REQUEST,
    },
    Action.OPEN: {
        Role.AGENT: Rule(purposes=frozenset({Purpose.VERIFICATION}), own=True),
        Role.VERIFIER: _VERIFY,
        Role.TRAINER: _TRAIN,
        Role.TRAINEE: Rule(purposes=frozenset({Purpose.TRAINING}), released=True),
        Role.TEAM_LEAD: _BOTH,
        Role.PRIVACY_HANDLER: _REQUEST,
    },
    Action.DO_NOT_KEEP: {
        Role.AGENT: Rule(own=True),
        Role.TEAM_LEAD: _ANY,
        Role.PRIVACY_HANDLER: _ANY,
    },
    Action.RELEASE: {Role.TRAINER: _TRAIN},
    Action.HOLD_PLACE: {Role.PRIVACY_HANDLER: _ANY},
    Action.HOLD_RELEASE: {Role.PRIVACY_HANDLER: _ANY},
    Action.HOLD_LIST: {Role.PRIVACY_HANDLER: _ANY, Role.AUDITOR: _ANY, Role.APPROVER: _ANY},
    # What follows proposes: a second person decides, except that one person may suspend for some days.
    # Case and customer systems tell of events as an administrator's account; an objection is the privacy handler's.
    Action.RETENTION_EVENT: {Role.PRIVACY_HANDLER: _ANY, Role.ADMINISTRATOR: _ANY},
    Action.RETENTION_READ: {Role.PRIVACY_HANDLER: _ANY, Role.APPROVER: _ANY, Role.AUDITOR: _ANY},
    Action.PURPOSE_END: {Role.PRIVACY_HANDLER: _ANY},
    Action.STATUTORY_OVERRIDE: {Role.PRIVACY_HANDLER: _ANY},
    Action.DESTRUCTION_SUSPEND: {Role.PRIVACY_HANDLER: _ANY, Role.ADMINISTRATOR: _ANY},
    Action.DESTRUCTION_CONFIRM: {Role.PRIVACY_HANDLER: _ANY},
    Action.SWEEP_RESUME: {Role.PRIVACY_HANDLER: _ANY, Role.ADMINISTRATOR: _ANY},
    Action.APPROVAL_DECIDE: {Role.APPROVER: _ANY},
    Action.APPROVAL_LIST: {
        Role.PRIVACY_HANDLER: _ANY,
        Role.APPROVER: _ANY,
        Role.AUDITOR: _ANY,
        Role.ADMINISTRATOR: _ANY,
    },
    # Not for trainers: who reads the register can tell from it whose call it is that masking hides.
    Action.REGISTER_READ: {
        Role.VERIFIER: _ANY,
        Role.TEAM_LEAD: _ANY,
        Role.PRIVACY_HANDLER: _ANY,
        Role.ADMINISTRATOR: _ANY,
    },
    Action.DIRECTORY_READ: {
        Role.VERIFIER: _ANY,
        Role.TRAINER: _ANY,
        Role.TEAM_LEAD: _ANY,
        Role.PRIVACY_HANDLER: _ANY,
        Role.ADMINISTRATOR: _ANY,
    },
    Action.REGISTER_WRITE: {Role.PRIVACY_HANDLER: _ANY, Role.ADMINISTRATOR: _ANY},
    Action.CERTIFICATE_READ: {Role.PRIVACY_HANDLER: _ANY, Role.AUDITOR: _ANY, Role.APPROVER: _ANY},
    Action.AUDIT_READ: {Role.AUDITOR: _ANY},
    Action.ACCOUNT_MANAGE: {Role.ADMINISTRATOR: _ANY},
    Action.POLICY_SIGN: {Role.PRIVACY_HANDLER: _ANY},
    Action.KEY_REKEY: {Role.ADMINISTRATOR: _ANY},
    # Roles that open content or approve are only proposed by it (``needs_approval``).
    Action.ROLE_GRANT: {Role.ADMINISTRATOR: _ANY},
    Action.BREAK_GLASS: {Role.PRIVACY_HANDLER: _ANY, Role.ADMINISTRATOR: _ANY},
    Action.ACCESS_REVIEW: {Role.TEAM_LEAD: _ANY, Role.AUDITOR: _ANY},
    Action.ACCESS_CONFIRM: {Role.TEAM_LEAD: _ANY},
    Action.DISCLOSE: {Role.PRIVACY_HANDLER: _ANY},
}

NEEDS_APPROVAL = frozenset(
    {
        Role.VERIFIER,
        Role.TRAINER,
        Role.TRAINEE,
        Role.TEAM_LEAD,
        Role.PRIVACY_HANDLER,
        Role.APPROVER,
    }
)
"""Roles that open or release content of others, or approve: nobody gives them alone. An agent opens own calls only."""

# Acts that reach a communication: they are bound to its state, its scope and, where the rule names any, a purpose.
_ON_COMMUNICATION = frozenset({Action.VIEW, Action.OPEN, Action.DO_NOT_KEEP, Action.RELEASE})

# These purposes live in a workflow of their own, not on the retention clock of the communication.
_WORKFLOW_PURPOSES = frozenset({Purpose.REQUEST, Purpose.AUTHORITY})


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The outcome; ``reason`` is a stable code for log and problem document, ``by`` the role that allowed it."""

    allowed: bool
    reason: str
    by: Role | None = None


def decide(actor: Actor, action: Action, subject: Subject, purpose: Purpose | None, now: datetime) -> Decision:
    """Allows when one live grant allows; otherwise names the refusal that came closest to allowing."""
    closest = Decision(allowed=False, reason="no-role")
    rank = -1
    for grant in actor.grants:
        rule = TABLE.get(action, {}).get(grant.role)
        if rule is None or not grant.live(now):
            continue
        reason = _refusal(actor, action, rule, grant, subject, purpose, now)
        if reason is None:
            return Decision(allowed=True, reason="granted", by=grant.role)
        if _NEARNESS.index(reason) > rank:
            rank = _NEARNESS.index(reason)
            closest = Decision(allowed=False, reason=reason)
    return closest


# From far to near: the nearest refusal is the one worth telling.
_NEARNESS = (
    "purpose-missing",
    "purpose-not-for-role",
    "no-communication",
    "not-released",
    "not-own",
    "out-of-scope",
    "restricted",
    "destroying",
    "purpose-not-live",
)


def _refusal(
    actor: Actor, action: Action, rule: Rule, grant: Grant, subject: Subject, purpose: Purpose | None, now: datetime
) -> str | None:
    refused = _purpose_refusal(rule, purpose)
    if refused is not None or action not in _ON_COMMUNICATION:
        return refused
    if subject.communication is None:
        return "no-communication"
    return _reach_refusal(actor, rule, grant, subject, subject.communication, now) or _content_refusal(
        action, subject, subject.communication, purpose, now
    )


def _purpose_refusal(rule: Rule, purpose: Purpose | None) -> str | None:
    if not rule.purposes or purpose in rule.purposes:
        return None
    return "purpose-missing" if purpose is None else "purpose-not-for-role"


def _reach_refusal(
    actor: Actor, rule: Rule, grant: Grant, subject: Subject, communication: Communication, now: datetime
) -> str | None:
    if rule.released and not subject.released_to_actor:
        return "not-released"
    if rule.own and not actor.is_agent(communication.agent_id, now):
        return "not-own"
    return None if grant.scope.contains(communication) else "out-of-scope"


def _content_refusal(
    action: Action, subject: Subject, communication: Communication, purpose: Purpose | None, now: datetime
) -> str | None:
    if communication.state is not State.STORED:
        return "destroying"
    if action in (Action.OPEN, Action.RELEASE) and subject.restricted:
        return "restricted"
    if purpose is None or purpose in _WORKFLOW_PURPOSES:
        return None
    return None if purpose in communication.live_purposes(now) else "purpose-not-live"


def reaches(actor: Actor, action: Action, communication: Communication | None, now: datetime) -> bool:
    """Whether a live grant of the act reaches this communication; with None, whether one is limited to nothing. For acts that
    concern a communication without opening it (holds), and those that concern many."""
    grants = [grant for grant in actor.grants if grant.live(now) and grant.role in TABLE.get(action, {})]
    if communication is None:
        return any(grant.scope.kind is ScopeKind.ALL for grant in grants)
    return any(grant.scope.contains(communication) for grant in grants)


def visible_sets(actor: Actor, purpose: Purpose | None, now: datetime) -> tuple[VisibleSet, ...]:
    """What a search of this actor may return, as a union of sets; empty when nothing. With ``purpose`` given, only the
    sets of that purpose."""
    sets: list[VisibleSet] = []
    for grant in actor.grants:
        rule = TABLE[Action.SEARCH].get(grant.role)
        if rule is None or not grant.live(now):
            continue
        wanted = rule.purposes if purpose is None else rule.purposes & {purpose}
        for granted in wanted:
            sets.append(
                VisibleSet(
                    purpose=None if granted in _WORKFLOW_PURPOSES else granted.value,
                    teams=grant.scope.values if grant.scope.kind is ScopeKind.TEAMS else None,
                    queues=grant.scope.values if grant.scope.kind is ScopeKind.QUEUES else None,
                )
            )
    return tuple(dict.fromkeys(sets))


def sees_customer_masked(actor: Actor, purpose: Purpose | None, now: datetime) -> bool:
    """Whether customers' names and numbers are hidden from this actor when acting for ``purpose`` (trainers and
    trainees; the configuration may switch it off). Any other role that reads the register sees them."""
    if purpose is Purpose.TRAINING:
        return True
    return actor.roles(now) <= {Role.TRAINER, Role.TRAINEE}
