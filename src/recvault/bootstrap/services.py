"""Puts the services together, in groups: what everything rests on, the rules of keeping, then the journeys.

A new service goes into the group whose parts it needs; nothing here opens or decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from recvault import __version__
from recvault.bootstrap.log import checkpoint_rules, outlets
from recvault.bootstrap.parts import (
    access_rules,
    approval_rules,
    declared_place,
    ingest_limits,
    other_places,
    purge_limits,
    residency_policy,
    sealed_backups,
)
from recvault.config import Config
from recvault.domain.approvals import ProposalKind
from recvault.domain.listening import Limits, UnusualRule
from recvault.domain.period_keys import WaitLimits
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.accounts import Accounts
from recvault.services.approval_letters import ApprovalLetters
from recvault.services.approval_rules import Handler
from recvault.services.approvals import Approvals
from recvault.services.assertions import Assertions
from recvault.services.audit_log import AuditLog
from recvault.services.authorisations import Authorisations
from recvault.services.backup import Backups
from recvault.services.brakes import Brakes
from recvault.services.certificates import Certificates, Issuer
from recvault.services.checkpoints import Checkpoints
from recvault.services.clocks import Clocks
from recvault.services.customers import Customers
from recvault.services.fact_backfill import FactBackfill
from recvault.services.fact_digests import FactDigests
from recvault.services.gauges import Gauges
from recvault.services.holds import Holds
from recvault.services.ingest import Ingest
from recvault.services.key_ends import KeyEnds
from recvault.services.keyring_age import KeyringAge
from recvault.services.ledger import Ledger
from recvault.services.ledger_loss import LedgerLoss
from recvault.services.listening_limits import ListeningLimits
from recvault.services.lost_rows import LostRows
from recvault.services.passwords import Passwords
from recvault.services.period_keys import PeriodKeys
from recvault.services.places import Places
from recvault.services.purge import Purge
from recvault.services.reconcile import Reconcile
from recvault.services.restore import Restore
from recvault.services.retention import Retention
from recvault.services.retention_desk import RetentionDesk
from recvault.services.retention_endings import PurposeEndings
from recvault.services.retention_events import RetentionEvents
from recvault.services.retention_overrides import Overrides
from recvault.services.retrieve import KeyCache, Retrieval
from recvault.services.sessions import SessionLimits, Sessions
from recvault.services.signed_policies import SignedPolicies
from recvault.services.sources import Sources
from recvault.services.stopped import Stopped
from recvault.services.streams import Streams
from recvault.services.suspension import Suspensions
from recvault.services.sweep import Sweeper


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
        keyring_age=KeyringAge(
            database=parts.database, keyring=parts.keyring, ledger=base.ledger, audit=base.audit
        ),
        holds=Holds(
            database=parts.database,
            ledger=base.ledger,
            access=base.access,
            audit=base.audit,
            clock=parts.clock,
            entropy=parts.entropy,
        ),
    )


def approvals(
    parts: Parts,
    base: Foundation,
    custody: Custody,
    suspensions: Suspensions,
    more: Mapping[ProposalKind, Handler],
    *,
    assertions: Assertions,
    letters: ApprovalLetters,
) -> Approvals:
    """What takes a second person; every kind of proposal has its handler here or in ``more``."""
    handlers: dict[ProposalKind, Handler] = {
        **more,
        ProposalKind.RELEASE_HOLD: custody.holds.carry_out_release,
        ProposalKind.SWEEP_AFTER_RESTORE: custody.restore.sweep_again,
        ProposalKind.ACCEPT_LEDGER_LOSS: custody.ledger_loss.carry_out,
        ProposalKind.EXTEND_SUSPENSION: suspensions.carry_out_extension,
        ProposalKind.END_PURPOSE: custody.purpose_endings.carry_out,
        ProposalKind.STATUTORY_OVERRIDE: custody.overrides.carry_out,
        ProposalKind.SWEEP_AFTER_RESTORE: custody.restore.sweep_again,
    }
    return Approvals(
        database=parts.database,
        access=base.access,
        audit=base.audit,
        clock=parts.clock,
        clocks=clocks(parts),
        entropy=parts.entropy,
        rules=approval_rules(parts.config),
        assertions=assertions,
        letters=letters,
        handlers=handlers,
        followers={
            ProposalKind.RELEASE_HOLD: custody.holds.note_release_of,
            ProposalKind.STATUTORY_OVERRIDE: custody.overrides.note_end_of,
        },
    )


def clocks(parts: Parts) -> Clocks:
    """Worker, database and object store must agree on the time."""
    return Clocks(
        clock=parts.clock,
        database=parts.database,
        store=parts.store,
        limit=timedelta(seconds=parts.config.purge.clock_skew_seconds),
    )


def ingest(parts: Parts, base: Foundation, custody: Custody) -> Ingest:
    """The way in."""
    return Ingest(
        database=parts.database,
        streams=parts.streams,
        keyring=parts.keyring,
        period_keys=base.period_keys,
        retention=custody.retention,
        customers=custody.customers,
        places=custody.places,
        lost_rows=LostRows(
            period_keys=base.period_keys, ledger=base.ledger, audit=base.audit, clock=parts.clock, entropy=parts.entropy
        ),
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        limits=ingest_limits(parts.config),
    )


def retrieval(parts: Parts, base: Foundation) -> Retrieval:
    """The way out."""
    return Retrieval(
        database=parts.database,
        streams=parts.streams,
        keys=KeyCache(period_keys=base.period_keys, clock=parts.clock, seconds=parts.config.keyring.cache_seconds),
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        rules=access_rules(parts.config),
        limits=listening_limits(parts),
        authorisations=Authorisations(audit=base.audit, clock=parts.clock),
    )


def listening_limits(parts: Parts) -> ListeningLimits:
    """How much people may look and listen."""
    access = parts.config.access
    return ListeningLimits(
        database=parts.database,
        clock=parts.clock,
        limits=Limits(opens_per_hour=access.opens_per_hour, looks_per_hour=access.searches_per_hour),
        unusual=UnusualRule(least=access.unusual_opens, times=access.unusual_times, customers=access.unusual_customers),
    )


def purge(parts: Parts, base: Foundation, custody: Custody, brakes: Brakes) -> Purge:
    """The end."""
    return Purge(
        database=parts.database,
        store=parts.store,
        period_keys=base.period_keys,
        key_ends=base.key_ends,
        retention=custody.retention,
        ledger=base.ledger,
        certificates=custody.certificates,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        brakes=brakes,
        limits=purge_limits(parts.config),
    )


def stopped(parts: Parts, base: Foundation, custody: Custody) -> Stopped:
    """What the purge stopped."""
    return Stopped(database=parts.database, retention=custody.retention, access=base.access)


def backups(parts: Parts, base: Foundation) -> Backups:
    """What is put back after a loss."""
    config = parts.config
    return Backups(
        database=parts.database,
        sealed=sealed_backups(config, keyring=parts.keyring, clock=parts.clock, entropy=parts.entropy),
        keyring=parts.keyring,
        period_keys=base.period_keys,
        streams=parts.streams,
        ledger=base.ledger,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        keep=timedelta(days=config.backup.keep_days),
        sample=config.backup.sample,
    )


def reconcile(parts: Parts, base: Foundation, custody: Custody, purge_: Purge, sweeper_: Sweeper) -> Reconcile:
    """What compares everything with everything."""
    return Reconcile(
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        key_ends=base.key_ends,
        purge=purge_,
        sweeper=sweeper_,
        retention=custody.retention,
        period_keys=base.period_keys,
        audit=base.audit,
        clock=parts.clock,
        zone=parts.config.retention.zone,
        age=timedelta(hours=parts.config.purge.sweep_age_hours),
    )


def sweeper(parts: Parts, base: Foundation) -> Sweeper:
    """What no row names."""
    return Sweeper(
        database=parts.database,
        store=parts.store,
        audit=base.audit,
        clock=parts.clock,
        age=timedelta(hours=parts.config.purge.sweep_age_hours),
        clock_skew=timedelta(seconds=parts.config.purge.clock_skew_seconds),
    )


def accounts(parts: Parts, base: Foundation, sessions_: Sessions, passwords: Passwords) -> Accounts:
    """People."""
    return Accounts(
        database=parts.database,
        passwords=passwords,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        sessions=sessions_,
    )


def sources(parts: Parts, base: Foundation) -> Sources:
    """Systems that send."""
    return Sources(database=parts.database, audit=base.audit, clock=parts.clock, entropy=parts.entropy)


def sessions(parts: Parts, base: Foundation) -> Sessions:
    """Sessions and API tokens."""
    return Sessions(
        database=parts.database,
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        limits=SessionLimits(
            idle=timedelta(minutes=parts.config.access.session_idle_minutes),
            absolute=timedelta(hours=parts.config.access.session_absolute_hours),
            api=timedelta(days=parts.config.access.api_token_max_days),
        ),
        second_factor=parts.config.access.second_factor == "required",
    )


def gauges(parts: Parts, custody: Custody) -> Gauges:
    """The gauges."""
    return Gauges(
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        places=custody.places,
        clock=parts.clock,
        overdue_after=timedelta(hours=parts.config.purge.overdue_alarm_hours),
    )
