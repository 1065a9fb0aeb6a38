"""The declared schema: every table under one name. The migrations are its history; a test holds the two
equal.
"""

from __future__ import annotations

from recvault.adapters.database.metadata import metadata
from recvault.adapters.database.tables_access import access_reviews, authorisations, listened_customers, listening
from recvault.adapters.database.tables_approvals import forecasts, proposals, suspensions
from recvault.adapters.database.tables_communications import (
    ERASED,
    attention,
    claims,
    communication_keys,
    communications,
    key_departures,
    period_keys,
    playback_grants,
    purposes,
    releases,
    streams,
    tags,
)
from recvault.adapters.database.tables_evidence import (
    batch_certificates,
    destruction_keys,
    destructions,
    hold_items,
    holds,
    ledger_head,
)
from recvault.adapters.database.tables_federation import (
    break_glass,
    federated_identities,
    federated_logouts,
    federated_sessions,
    federated_sign_ins,
)
from recvault.adapters.database.tables_log import (
    audit_checkpoints,
    audit_ended,
    audit_entries,
    audit_head,
    audit_tiles,
)
from recvault.adapters.database.tables_notices import alarms, invitations, mails
from recvault.adapters.database.tables_passkeys import approval_assertions, passkey_challenges, passkeys
from recvault.adapters.database.tables_register import (
    agent_memberships,
    agents,
    contact_persons,
    contact_points,
    customers,
    policies,
    role_grant_scopes,
    role_grants,
    settings,
    source_certificates,
    sources,
    tokens,
    users,
)
from recvault.adapters.database.tables_retention import ending_items, endings, overrides
from recvault.adapters.database.tables_sign_in import change_notices, recovery_codes, sign_in_attempts, totp

__all__ = [
    "ERASED",
    "access_reviews",
    "agent_memberships",
    "agents",
    "alarms",
    "approval_assertions",
    "attention",
    "audit_checkpoints",
    "audit_ended",
    "audit_entries",
    "audit_head",
    "audit_tiles",
    "authorisations",
    "batch_certificates",
    "break_glass",
    "change_notices",
    "claims",
    "communication_keys",
    "communications",
    "contact_persons",
    "contact_points",
    "customers",
    "destruction_keys",
    "destructions",
    "ending_items",
    "endings",
    "federated_identities",
    "federated_logouts",
    "federated_sessions",
    "federated_sign_ins",
    "forecasts",
    "hold_items",
    "holds",
    "invitations",
    "key_departures",
    "ledger_head",
    "listened_customers",
    "listening",
    "mails",
    "metadata",
    "overrides",
    "passkey_challenges",
    "passkeys",
    "period_keys",
    "playback_grants",
    "policies",
    "proposals",
    "purposes",
    "recovery_codes",
    "releases",
    "role_grant_scopes",
    "role_grants",
    "settings",
    "sign_in_attempts",
    "source_certificates",
    "sources",
    "streams",
    "suspensions",
    "tags",
    "tokens",
    "totp",
    "users",
]
