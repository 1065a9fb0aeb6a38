"""Assembles the archive on given parts, subject by subject; opens nothing, decides nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypedDict

from recvault.bootstrap.archive import Archive
from recvault.bootstrap.brakes import braking
from recvault.bootstrap.federating import Federating, federating
from recvault.bootstrap.granting import Granting, granting
from recvault.bootstrap.journeys import (
    accounts,
    approvals,
    backups,
    gauges,
    ingest,
    purge,
    reconcile,
    retrieval,
    sessions,
    sources,
    stopped,
    sweeper,
)
from recvault.bootstrap.log import system_acts
from recvault.bootstrap.passkeys import Keys, approval_letters, keys
from recvault.bootstrap.services import Custody, Foundation, Parts, foundation, rules_of_keeping
from recvault.bootstrap.sign_in import Entrance, entrance
from recvault.bootstrap.telling import Telling, telling
from recvault.config import Config
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.mail import Mail
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.access_review import AccessReview
from recvault.services.accounts import Accounts
from recvault.services.audit_log import AuditLog
from recvault.services.authorisations import Authorisations
from recvault.services.break_glass import LocalSignIn
from recvault.services.certificates import Certificates
from recvault.services.checkpoints import Checkpoints
from recvault.services.customers import Customers
from recvault.services.edge_keys import EdgeKeys
from recvault.services.fact_backfill import FactBackfill
from recvault.services.federation import Federation
from recvault.services.grants import Grants
from recvault.services.holds import Holds
from recvault.services.invitations import Invitations
from recvault.services.key_ends import KeyEnds
from recvault.services.keyring_age import KeyringAge
from recvault.services.keys_ahead import KeysAhead
from recvault.services.ledger import Ledger
from recvault.services.ledger_loss import LedgerLoss
from recvault.services.listening_limits import ListeningLimits
from recvault.services.log_keys import LogKeys
from recvault.services.log_life import LogLife
from recvault.services.log_views import LogViews
from recvault.services.mailing import Mailing
from recvault.services.notices import Notices
from recvault.services.passkeys import Passkeys
from recvault.services.period_keys import PeriodKeys
from recvault.services.places import Places
from recvault.services.proof import Proof
from recvault.services.purge import Purge
from recvault.services.restore import Restore
from recvault.services.retention import Retention
from recvault.services.retention_desk import RetentionDesk
from recvault.services.retention_endings import PurposeEndings
from recvault.services.retention_events import RetentionEvents
from recvault.services.retention_overrides import Overrides
from recvault.services.second_factors import SecondFactors
from recvault.services.sessions import Sessions
from recvault.services.sign_in import SignIn
from recvault.services.sources import Sources
from recvault.services.streams import Streams
from recvault.services.system_acts import SystemActs
from recvault.services.training import Training

HASH_THREADS = 2
"""Threads that compute one of the two digests of a stream beside its encryption."""


class _Kept(TypedDict):
    """The rules of keeping, by the names that the archive has for them."""

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
    holds: Holds
    training: Training
    certificates: Certificates
    restore: Restore


class _Founded(TypedDict):
    """What everything rests on, and what looks at logs and keys."""

    access: Access
    audit: AuditLog
    checkpoints: Checkpoints
    ledger: Ledger
    period_keys: PeriodKeys
    key_ends: KeyEnds
    keys_ahead: KeysAhead
    edge_keys: EdgeKeys
    system_acts: SystemActs
    log_views: LogViews
    log_keys: LogKeys
    log_life: LogLife
    proof: Proof


class _People(TypedDict):
    """Who may come in, by which way, with which rights, and how they are told."""

    sign_in: SignIn
    factors: SecondFactors
    federation: Federation
    local_sign_in: LocalSignIn
    passkeys: Passkeys
    grants: Grants
    authorisations: Authorisations
    listening: ListeningLimits
    access_review: AccessReview
    mailing: Mailing
    notices: Notices
    invitations: Invitations
    accounts: Accounts
    sources: Sources
    sessions: Sessions


def assemble(
    config: Config,
    *,
    database: Database,
    store: ObjectStore,
    keyring: Keyring,
    ledger_store: LedgerStore,
    clock: Clock,
    entropy: Entropy,
    mail: Mail | None = None,
    hasher: PasswordHasher | None = None,
) -> Archive:
    """The archive on given parts (tests give in-memory ones, and a cheaper ``hasher``); opens nothing, decides nothing."""
    resources = ExitStack()
    helper = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="digest")
    resources.callback(helper.shutdown)
    parts = Parts(
        config=config,
        database=database,
        store=store,
        keyring=keyring,
        ledger_store=ledger_store,
        clock=clock,
        entropy=entropy,
        streams=Streams(store=store, helper=helper),
        resources=resources,
    )
    return _joined(parts, mail=mail, hasher=hasher)


def _joined(parts: Parts, *, mail: Mail | None, hasher: PasswordHasher | None) -> Archive:
    parts.database.seal_log(parts.keyring, parts.entropy)
    base = foundation(parts)
    parts.database.guard(base.ledger)
    custody = rules_of_keeping(parts, base)
    brakes = braking(parts, base)
    numbers, entering = gauges(parts, custody), sessions(parts, base)
    ending, sweeping = purge(parts, base, custody, brakes.brakes), sweeper(parts, base)
    who = granting(parts, base, entering)
    elsewhere = federating(parts, base, entering)
    door = entrance(parts, base, entering, local=elsewhere.local, hasher=hasher)
    told = telling(
        parts, base, numbers, door=door, mail=mail, suspended=lambda now: brakes.suspensions.standing(now) is not None,
        more=who.alarms.sights,
    )  # fmt: skip
    keyed = keys(parts, base, entering, door, elsewhere.local)
    deciding = approvals(
        parts, base, custody, brakes.suspensions, who.handlers,
        assertions=keyed.assertions, letters=approval_letters(parts.config, told.mailing),
    )  # fmt: skip
    return Archive(
        **_founded(parts, base, custody, ending),
        **_kept(parts, base, custody),
        **_people(parts, base, entering, door, elsewhere, who, told, keyed),
        config=parts.config,
        clock=parts.clock,
        entropy=parts.entropy,
        database=parts.database,
        store=parts.store,
        keyring=parts.keyring,
        ingest=ingest(parts, base, custody),
        retrieval=retrieval(parts, base),
        approvals=deciding,
        purge=ending,
        stopped=stopped(parts, base, custody),
        suspensions=brakes.suspensions,
        forecast=brakes.forecast,
        brakes=brakes.brakes,
        backups=backups(parts, base),
        reconcile=reconcile(parts, base, custody, ending, sweeping),
        sweeper=sweeping,
        gauges=numbers,
        resources=parts.resources,
    )


def _people(
    parts: Parts,
    base: Foundation,
    entering: Sessions,
    door: Entrance,
    elsewhere: Federating,
    who: Granting,
    told: Telling,
    keyed: Keys,
) -> _People:
    return {
        "sign_in": door.sign_in,
        "factors": door.factors,
        "federation": elsewhere.federation,
        "local_sign_in": elsewhere.local,
        "passkeys": keyed.passkeys,
        "grants": who.grants,
        "authorisations": who.authorisations,
        "listening": who.listening,
        "access_review": who.review,
        "mailing": told.mailing,
        "notices": told.notices,
        "invitations": told.invitations,
        "accounts": accounts(parts, base, entering, door.passwords),
        "sources": sources(parts, base),
        "sessions": entering,
    }


def _founded(parts: Parts, base: Foundation, custody: Custody, ending: Purge) -> _Founded:
    return {
        "access": base.access,
        "audit": base.audit,
        "checkpoints": base.checkpoints,
        "ledger": base.ledger,
        "period_keys": base.period_keys,
        "key_ends": base.key_ends,
        "keys_ahead": KeysAhead(
            period_keys=base.period_keys,
            retention=custody.retention,
            clock=parts.clock,
            zone=parts.config.retention.zone,
        ),
        "edge_keys": EdgeKeys(database=parts.database, keyring=parts.keyring, audit=base.audit, clock=parts.clock),
        "system_acts": system_acts(parts, base.audit),
        "log_views": LogViews(database=parts.database, access=base.access, audit=base.audit),
        "log_keys": LogKeys(
            database=parts.database,
            keyring=parts.keyring,
            ledger=base.ledger,
            audit=base.audit,
            clock=parts.clock,
            obstacle=ending.obstacle,
        ),
        "log_life": LogLife(
            database=parts.database,
            retention=custody.retention,
            audit=base.audit,
            clock=parts.clock,
            zone=parts.config.retention.zone,
            obstacle=ending.obstacle,
        ),
        "proof": Proof(database=parts.database, keyring=parts.keyring, audit=base.audit),
    }


def _kept(parts: Parts, base: Foundation, custody: Custody) -> _Kept:
    return {
        "retention": custody.retention,
        "retention_events": custody.retention_events,
        "retention_desk": custody.retention_desk,
        "purpose_endings": custody.purpose_endings,
        "overrides": custody.overrides,
        "fact_backfill": custody.fact_backfill,
        "ledger_loss": custody.ledger_loss,
        "keyring_age": custody.keyring_age,
        "customers": custody.customers,
        "places": custody.places,
        "holds": custody.holds,
        "training": Training(database=parts.database, retention=custody.retention, audit=base.audit, clock=parts.clock),
        "certificates": custody.certificates,
        "restore": custody.restore,
    }
