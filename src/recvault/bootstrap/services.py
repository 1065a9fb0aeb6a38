"""Puts together what everything rests on and the rules of keeping; the journeys are ``bootstrap.journeys``.

A new service goes into the group whose parts it needs; nothing here opens or decides anything.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from recvault import __version__
from recvault.bootstrap.log import checkpoint_rules, outlets
from recvault.bootstrap.parts import (
    declared_place,
    other_places,
    residency_policy,
)
from recvault.config import Config
from recvault.domain.period_keys import WaitLimits
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.audit_log import AuditLog
from recvault.services.certificates import Certificates, Issuer
from recvault.services.checkpoints import Checkpoints
from recvault.services.clocks import Clocks
from recvault.services.customers import Customers
from recvault.services.fact_backfill import FactBackfill
from recvault.services.fact_digests import FactDigests
from recvault.services.holds import Holds
from recvault.services.key_ends import KeyEnds
from recvault.services.keyring_age import KeyringAge
from recvault.services.ledger import Ledger
from recvault.services.ledger_loss import LedgerLoss
from recvault.services.period_keys import PeriodKeys
from recvault.services.places import Places
from recvault.services.restore import Restore
from recvault.services.retention import Retention
from recvault.services.retention_desk import RetentionDesk
from recvault.services.retention_endings import PurposeEndings
from recvault.services.retention_events import RetentionEvents
from recvault.services.retention_overrides import Overrides
from recvault.services.signed_policies import SignedPolicies
from recvault.services.streams import Streams


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What every service is made from."""

    config: Config
    database: Database
    store: ObjectStore
    keyring: Keyring
    ledger_store: LedgerStore
    clock: Clock
    entropy: Entropy
    streams: Streams
    resources: ExitStack


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """What the other services rest on."""

    access: Access
    audit: AuditLog
    checkpoints: Checkpoints
    ledger: Ledger
    period_keys: PeriodKeys
    key_ends: KeyEnds


@dataclass(frozen=True, kw_only=True)
class Custody:
    """The rules of keeping: how long, for whom, where, and what stops a destruction."""

    retention: Retention
    retention_events: RetentionEvents
    retention_desk: RetentionDesk
    purpose_endings: PurposeEndings
    overrides: Overrides
    fact_backfill: FactBackfill
    ledger_loss: LedgerLoss
    keyring_age: KeyringAge
    customers: Customers
    places: Places
    certificates: Certificates
    holds: Holds
    restore: Restore


class _Moving(TypedDict):
    """What every service that moves ends is made from."""

    database: Database
    retention: Retention
    access: Access
    audit: AuditLog


def foundation(parts: Parts) -> Foundation:
    """Audit log and its checkpoints, ledger, period keys, access."""
    audit = AuditLog(database=parts.database, clock=parts.clock, entropy=parts.entropy)
    checkpoints = Checkpoints(
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        audit=audit,
        clock=parts.clock,
        rules=checkpoint_rules(parts.config),
        outlets=outlets(parts.config, parts.resources),
    )
    ledger = Ledger(
        database=parts.database, store=parts.ledger_store, keyring=parts.keyring, clock=parts.clock, audit=audit
    )
    period_keys = PeriodKeys(
        database=parts.database,
        keyring=parts.keyring,
        audit=audit,
        clock=parts.clock,
        zone=parts.config.retention.zone,
    )
    access = Access(clock=parts.clock)
    key_ends = KeyEnds(
        database=parts.database,
        keyring=parts.keyring,
        period_keys=period_keys,
        ledger=ledger,
        audit=audit,
        access=access,
        clock=parts.clock,
        zone=parts.config.retention.zone,
        limits=WaitLimits(longest=timedelta(hours=parts.config.keyring.superseded_wait_hours)),
    )
    return Foundation(
        access=access,
        audit=audit,
        checkpoints=checkpoints,
        ledger=ledger,
        period_keys=period_keys,
        key_ends=key_ends,
    )


def issuer(config: Config) -> Issuer:
    """Who signs certificates of destruction."""
    return Issuer(
        controller=config.controller.name,
        business_id=config.controller.business_id,
        version=__version__,
        backups_kept=timedelta(days=config.backup.keep_days) if config.backup.directory is not None else None,
    )


def places(parts: Parts, base: Foundation) -> Places:
    """Where content, keys and copies are, and whether they may be there."""
    return Places(
        store=parts.store,
        declared=declared_place(parts.config),
        others=other_places(parts.config),
        policy=residency_policy(parts.config),
        audit=base.audit,
        clock=parts.clock,
        interval=timedelta(minutes=parts.config.residency.check_interval_minutes),
    )


def _holds(parts: Parts, base: Foundation) -> Holds:
    return Holds(
        database=parts.database,
        ledger=base.ledger,
        access=base.access,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
    )


def rules_of_keeping(parts: Parts, base: Foundation) -> Custody:
    """Retention, customers, places, certificates, holds."""
    config, zone = parts.config, parts.config.retention.zone
    digests = FactDigests(keyring=parts.keyring)
    retention = Retention(
        database=parts.database,
        period_keys=base.period_keys,
        signatures=SignedPolicies(ledger=base.ledger),
        digests=digests,
        access=base.access,
        audit=base.audit,
        clock=parts.clock,
        zone=zone,
    )
    certificates = Certificates(keyring=parts.keyring, entropy=parts.entropy, issuer=issuer(config))
    moving: _Moving = {
        "database": parts.database,
        "retention": retention,
        "access": base.access,
        "audit": base.audit,
    }
    events = RetentionEvents(**moving, ledger=base.ledger, clock=parts.clock, entropy=parts.entropy, zone=zone)
    return Custody(
        retention=retention,
        retention_events=events,
        retention_desk=RetentionDesk(**moving, clock=parts.clock, zone=zone),
        purpose_endings=PurposeEndings(**moving, ledger=base.ledger, clock=parts.clock),
        overrides=Overrides(**moving, ledger=base.ledger, zone=zone),
        fact_backfill=FactBackfill(**moving, keyring=parts.keyring, digests=digests, clock=parts.clock),
        customers=Customers(
            database=parts.database,
            events=events,
            access=base.access,
            audit=base.audit,
            clock=parts.clock,
            entropy=parts.entropy,
        ),
        places=places(parts, base),
        certificates=certificates,
        restore=Restore(
            database=parts.database,
            store=parts.store,
            keyring=parts.keyring,
            ledger=base.ledger,
            checkpoints=base.checkpoints,
            certificates=certificates,
            audit=base.audit,
            clock=parts.clock,
            entropy=parts.entropy,
        ),
        ledger_loss=LedgerLoss(database=parts.database, ledger=base.ledger, audit=base.audit),
        keyring_age=KeyringAge(database=parts.database, keyring=parts.keyring, ledger=base.ledger, audit=base.audit),
        holds=_holds(parts, base),
    )


def clocks(parts: Parts) -> Clocks:
    """Worker, database and object store must agree on the time."""
    return Clocks(
        clock=parts.clock,
        database=parts.database,
        store=parts.store,
        limit=timedelta(seconds=parts.config.purge.clock_skew_seconds),
    )
