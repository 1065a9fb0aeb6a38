"""The one place that sees both sides: builds the archive's parts from the configuration, and starts it safely.

Starting fails closed: a schema that is newer, a ledger the database contradicts, a place that is not allowed or a missing
key stop the program with the mend. A ledger that is merely ahead (a crash between ledger and commit) is followed first; a
database that was put back waits for 'recvault ledger replay'.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from recvault.adapters.folder import FolderObjectStore
from recvault.adapters.ledger_store import ReplicatedLedger
from recvault.adapters.root_keyfile import make_directory
from recvault.adapters.system import SystemClock, SystemEntropy
from recvault.bootstrap.brakes import braking
from recvault.bootstrap.federating import federating
from recvault.bootstrap.granting import granting
from recvault.bootstrap.keys import open_keyring, open_root_key, write_first_kit
from recvault.bootstrap.log import flat, system_acts
from recvault.bootstrap.parts import (
    migrate_schema,
    open_database,
    open_store,
    sealed_backups,
)
from recvault.bootstrap.passkeys import approval_letters, keys
from recvault.bootstrap.services import (
    Parts,
    accounts,
    approvals,
    backups,
    foundation,
    gauges,
    ingest,
    purge,
    reconcile,
    retrieval,
    rules_of_keeping,
    sessions,
    sources,
    stopped,
    sweeper,
)
from recvault.bootstrap.sign_in import KEYS as SIGN_IN_KEYS
from recvault.bootstrap.sign_in import entrance
from recvault.bootstrap.telling import telling
from recvault.config import Config
from recvault.domain.errors import KeyringError, ResidencyViolation
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import KeyKind, Keyring
from recvault.domain.ports.ledger import LedgerStore
from recvault.domain.ports.mail import Mail
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services import certificates as certificate_service
from recvault.services import checkpoints as checkpoint_service
from recvault.services import ledger as ledger_service
from recvault.services.access import Access
from recvault.services.access_review import AccessReview
from recvault.services.accounts import Accounts
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.authorisations import Authorisations
from recvault.services.backup import Backups
from recvault.services.backup_files import SealedBackups
from recvault.services.brakes import Brakes
from recvault.services.break_glass import LocalSignIn
from recvault.services.certificates import Certificates
from recvault.services.checkpoints import Checkpoints
from recvault.services.customers import Customers
from recvault.services.edge_keys import EdgeKeys
from recvault.services.fact_backfill import FactBackfill
from recvault.services.fact_digests import FACTS_KEY
from recvault.services.federation import Federation
from recvault.services.forecast import ForecastGuard
from recvault.services.gauges import Gauges
from recvault.services.grants import Grants
from recvault.services.holds import Holds
from recvault.services.ingest import INDEX_KEY, Ingest
from recvault.services.invitations import Invitations
from recvault.services.key_ends import KeyEnds
from recvault.services.keyring_age import KeyringAge
from recvault.services.keys_ahead import KeysAhead
from recvault.services.ledger import Ledger
from recvault.services.ledger_loss import LedgerLoss
from recvault.services.listening_limits import ListeningLimits
from recvault.services.log_life import LogLife
from recvault.services.log_views import LogViews
from recvault.services.mailing import Mailing
from recvault.services.notices import Notices
from recvault.services.passkeys import Passkeys
from recvault.services.period_keys import PeriodKeys
from recvault.services.places import Places
from recvault.services.proof import Proof
from recvault.services.purge import Purge
from recvault.services.reconcile import Reconcile
from recvault.services.restore import Restore
from recvault.services.retention import Retention
from recvault.services.retention_desk import RetentionDesk
from recvault.services.retention_endings import PurposeEndings
from recvault.services.retention_events import RetentionEvents
from recvault.services.retention_overrides import Overrides
from recvault.services.retrieve import Retrieval
from recvault.services.second_factors import SecondFactors
from recvault.services.sessions import Sessions
from recvault.services.sign_in import SignIn
from recvault.services.sources import Sources
from recvault.services.stopped import Stopped
from recvault.services.streams import Streams
from recvault.services.suspension import Suspensions
from recvault.services.sweep import Sweeper
from recvault.services.system_acts import SystemActs
from recvault.services.training import Training

PERMANENT_KEYS = {
    INDEX_KEY: KeyKind.MAC,
    **SIGN_IN_KEYS,
    FACTS_KEY: KeyKind.MAC,
    certificate_service.SIGNING_KEY: KeyKind.SIGN,
    ledger_service.SIGNING_KEY: KeyKind.SIGN,
    checkpoint_service.SIGNING_KEY: KeyKind.SIGN,
}
"""Keys that live as long as the archive."""

HASH_THREADS = 2
"""Threads that compute one of the two digests of a stream beside its encryption."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Everything the interfaces need. Closing it gives threads and connections back."""

    config: Config
    clock: Clock
    entropy: Entropy
    database: Database
    store: ObjectStore
    keyring: Keyring
    access: Access
    audit: AuditLog
    checkpoints: Checkpoints
    system_acts: SystemActs
    ledger: Ledger
    period_keys: PeriodKeys
    key_ends: KeyEnds
    keys_ahead: KeysAhead
    edge_keys: EdgeKeys
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
    ingest: Ingest
    retrieval: Retrieval
    holds: Holds
    approvals: Approvals
    passkeys: Passkeys
    suspensions: Suspensions
    forecast: ForecastGuard
    brakes: Brakes
    training: Training
    log_views: LogViews
    log_life: LogLife
    purge: Purge
    stopped: Stopped
    restore: Restore
    backups: Backups
    proof: Proof
    reconcile: Reconcile
    sweeper: Sweeper
    accounts: Accounts
    sources: Sources
    sessions: Sessions
    sign_in: SignIn
    factors: SecondFactors
    federation: Federation
    local_sign_in: LocalSignIn
    grants: Grants
    authorisations: Authorisations
    listening: ListeningLimits
    access_review: AccessReview
    certificates: Certificates
    gauges: Gauges
    mailing: Mailing
    notices: Notices
    invitations: Invitations
    resources: ExitStack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resources.close()


def initialise(config: Config, *, recovery_kit: Path | None = None) -> Path:
    """Makes a new archive: root key, keyring with its permanent keys, schema, policy. Returns the recovery kit's path.

    Repeating it is harmless: what exists stays as it is.
    """
    make_directory(config.data.directory)
    make_directory(config.ledger.second_directory)
    if config.store.kind == "folder":
        FolderObjectStore(config.store.path, create=True).close()
    store = open_store(config)
    ReplicatedLedger(store, config.ledger.second_directory, create=True)
    store.close()
    kit = recovery_kit or config.keyring.root_key_file.with_name("recvault-recovery-kit.txt")
    root = open_root_key(config, create=True)
    keyring = open_keyring(config, SystemClock(), SystemEntropy(), root, create=True)
    for key_id, kind in PERMANENT_KEYS.items():
        keyring.ensure(key_id, kind)
    if not kit.exists() and not keyring.backup_confirmed():
        write_first_kit(config, kit, keyring, root)
    migrate_schema(config)
    with build(config) as archive:
        archive.retention.activate(config.retention.policy_file.read_text(encoding="utf-8"))
        archive.fact_backfill.settle()
        archive.edge_keys.current()
    return kit


def build(config: Config, *, clock: Clock | None = None, entropy: Entropy | None = None) -> Archive:
    """The archive on the parts that the configuration names."""
    clock = clock or SystemClock()
    entropy = entropy or SystemEntropy()
    with ExitStack() as opened:
        database = open_database(config)
        opened.callback(database.close)
        store = open_store(config)
        opened.callback(store.close)
        archive = assemble(
            config,
            database=database,
            store=store,
            keyring=open_keyring(config, clock, entropy, open_root_key(config)),
            ledger_store=ReplicatedLedger(store, config.ledger.second_directory),
            clock=clock,
            entropy=entropy,
        )
        archive.resources.push(opened.pop_all())
    return archive


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
    base = foundation(parts)
    database.guard(base.ledger)
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
        assertions=keyed.assertions, letters=approval_letters(config, told.mailing),
    )  # fmt: skip
    return Archive(
        config=config,
        clock=clock,
        entropy=entropy,
        database=database,
        store=store,
        keyring=keyring,
        access=base.access,
        audit=base.audit,
        checkpoints=base.checkpoints,
        system_acts=system_acts(parts, base.audit),
        ledger=base.ledger,
        period_keys=base.period_keys,
        key_ends=base.key_ends,
        keys_ahead=KeysAhead(
            period_keys=base.period_keys, retention=custody.retention, clock=clock, zone=config.retention.zone
        ),
        edge_keys=EdgeKeys(database=database, keyring=keyring, audit=base.audit, clock=clock),
        retention=custody.retention,
        retention_events=custody.retention_events,
        retention_desk=custody.retention_desk,
        purpose_endings=custody.purpose_endings,
        overrides=custody.overrides,
        fact_backfill=custody.fact_backfill,
        ledger_loss=custody.ledger_loss,
        keyring_age=custody.keyring_age,
        customers=custody.customers,
        places=custody.places,
        ingest=ingest(parts, base, custody),
        retrieval=retrieval(parts, base),
        log_views=LogViews(database=database, access=base.access, audit=base.audit),
        log_life=LogLife(
            database=database,
            retention=custody.retention,
            audit=base.audit,
            clock=clock,
            zone=config.retention.zone,
            obstacle=ending.obstacle,
        ),
        holds=custody.holds,
        approvals=deciding,
        passkeys=keyed.passkeys,
        training=Training(database=database, retention=custody.retention, audit=base.audit, clock=clock),
        purge=ending,
        stopped=stopped(parts, base, custody),
        suspensions=brakes.suspensions,
        forecast=brakes.forecast,
        brakes=brakes.brakes,
        restore=custody.restore,
        backups=backups(parts, base),
        proof=Proof(database=database, keyring=keyring, audit=base.audit),
        reconcile=reconcile(parts, base, custody, ending, sweeping),
        sweeper=sweeping,
        accounts=accounts(parts, base, entering, door.passwords),
        sources=sources(parts, base),
        sessions=entering,
        sign_in=door.sign_in,
        factors=door.factors,
        federation=elsewhere.federation,
        local_sign_in=elsewhere.local,
        grants=who.grants,
        authorisations=who.authorisations,
        listening=who.listening,
        access_review=who.review,
        certificates=custody.certificates,
        gauges=numbers,
        mailing=told.mailing,
        notices=told.notices,
        invitations=told.invitations,
        resources=resources,
    )


def database_of(config: Config) -> Database:
    """The database that a configuration names, for who looks through a copy; close it afterwards."""
    return open_database(config)


def backups_without_database(config: Config) -> SealedBackups:
    """What seals, lists and puts back backups where the database is away, waits, or is not there yet."""
    clock, entropy = SystemClock(), SystemEntropy()
    keyring = open_keyring(config, clock, entropy, open_root_key(config))
    return sealed_backups(config, keyring=keyring, clock=clock, entropy=entropy)


def start(archive: Archive, *, demo: bool = False) -> None:
    """What must hold before anything is served: schema, keys, recovery kit stored, ledger followed, place allowed."""
    migrate_schema(archive.config)
    archive.restore.stand()  # before anything is read from a database that may have been put back
    archive.keyring_age.require_newest()
    archive.retention.adopt(archive.config.retention.policy_file.read_text(encoding="utf-8"))
    archive.checkpoints.ready()
    archive.fact_backfill.prepare()
    for key_id, kind in SIGN_IN_KEYS.items():
        archive.keyring.ensure(key_id, kind)
    for key_id in PERMANENT_KEYS:
        archive.keyring.info(key_id)
    if not demo and not archive.keyring.backup_confirmed():
        raise KeyringError(
            "the recovery kit is not confirmed; store it away from this machine, then run 'recvault keys confirm-backup'"
        )
    archive.federation.note_rules()
    archive.overrides.settle_replayed()
    archive.purpose_endings.settle_replayed()
    if faults := archive.places.check():
        raise ResidencyViolation("the archive does not start here: " + "; ".join(faults))
    archive.system_acts.started(flat(archive.config))
