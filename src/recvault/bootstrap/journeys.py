"""Puts the journeys together: taking in, opening, destroying, deciding, comparing, and who may come in.

Each is made of the parts, the foundation and the rules of keeping (``bootstrap.services``); nothing here opens or decides
anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from recvault.bootstrap.parts import (
    access_rules,
    approval_rules,
    ingest_limits,
    purge_limits,
    sealed_backups,
)
from recvault.bootstrap.services import Custody, Foundation, Parts, clocks
from recvault.domain.approvals import ProposalKind
from recvault.domain.listening import Limits, UnusualRule
from recvault.services.accounts import Accounts
from recvault.services.approval_letters import ApprovalLetters
from recvault.services.approval_rules import Handler
from recvault.services.approvals import Approvals
from recvault.services.assertions import Assertions
from recvault.services.authorisations import Authorisations
from recvault.services.backup import Backups
from recvault.services.brakes import Brakes
from recvault.services.gauges import Gauges
from recvault.services.grounds import Grounds
from recvault.services.ingest import Ingest
from recvault.services.listening_limits import ListeningLimits
from recvault.services.lost_rows import LostRows
from recvault.services.passwords import Passwords
from recvault.services.purge import Purge
from recvault.services.reconcile import Reconcile
from recvault.services.retrieve import KeyCache, Retrieval
from recvault.services.sessions import SessionLimits, Sessions
from recvault.services.sources import Sources
from recvault.services.stopped import Stopped
from recvault.services.suspension import Suspensions
from recvault.services.sweep import Sweeper


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
    rules = access_rules(parts.config)
    return Retrieval(
        database=parts.database,
        streams=parts.streams,
        keys=KeyCache(period_keys=base.period_keys, clock=parts.clock, seconds=parts.config.keyring.cache_seconds),
        audit=base.audit,
        clock=parts.clock,
        entropy=parts.entropy,
        rules=rules,
        limits=listening_limits(parts),
        grounds=Grounds(
            rules=rules,
            authorisations=authorisations(parts, base),
        ),
    )


def authorisations(parts: Parts, base: Foundation) -> Authorisations:
    """What two people authorise."""
    return Authorisations(database=parts.database, access=base.access, audit=base.audit, clock=parts.clock)


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
