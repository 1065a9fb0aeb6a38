"""The archive as the interfaces see it: every service by name, and what closing it gives back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from recvault.config import Config
from recvault.domain.ports.database import Database
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.objects import ObjectStore
from recvault.domain.ports.system import Clock, Entropy
from recvault.services.access import Access
from recvault.services.access_review import AccessReview
from recvault.services.accounts import Accounts
from recvault.services.approvals import Approvals
from recvault.services.audit_log import AuditLog
from recvault.services.authorisations import Authorisations
from recvault.services.backup import Backups
from recvault.services.brakes import Brakes
from recvault.services.break_glass import LocalSignIn
from recvault.services.certificates import Certificates
from recvault.services.checkpoints import Checkpoints
from recvault.services.customers import Customers
from recvault.services.edge_keys import EdgeKeys
from recvault.services.fact_backfill import FactBackfill
from recvault.services.federation import Federation
from recvault.services.forecast import ForecastGuard
from recvault.services.gauges import Gauges
from recvault.services.grants import Grants
from recvault.services.holds import Holds
from recvault.services.ingest import Ingest
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
from recvault.services.suspension import Suspensions
from recvault.services.sweep import Sweeper
from recvault.services.system_acts import SystemActs
from recvault.services.training import Training


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
    log_keys: LogKeys
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
