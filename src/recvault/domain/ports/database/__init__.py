"""Port to the database: units of work and the repositories inside them.

``with database.begin() as unit:`` is one transaction; leaving without ``unit.commit()`` rolls back. On PostgreSQL writers
run READ COMMITTED and lock rows; on SQLite every write transaction starts with BEGIN IMMEDIATE, so that the locking
calls below have nothing left to do. Lock order, everywhere: guard rows (customers, then contact points, by id), then
communications by id, then period keys by id, then the ledger head.

Errors: DatabaseUnavailable when it cannot be reached or a commit's outcome is unknown; Conflict for broken uniqueness.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from recvault.domain.incarnation import Outlook, Witness
from recvault.domain.ports.database.accounts import Accounts, Policies, Sessions, Settings
from recvault.domain.ports.database.approvals import Proposals
from recvault.domain.ports.database.brakes import Brakes
from recvault.domain.ports.database.communications import Communications
from recvault.domain.ports.database.evidence import Destructions, Holds, PeriodKeys
from recvault.domain.ports.database.factors import Attempts, Factors
from recvault.domain.ports.database.federation import Federation
from recvault.domain.ports.database.grants import Authorisations, Listening, Reviews
from recvault.domain.ports.database.log import AuditLog
from recvault.domain.ports.database.notices import Invitations, Notices
from recvault.domain.ports.database.passkeys import Passkeys
from recvault.domain.ports.database.register import Register
from recvault.domain.ports.database.restoration import Restoration
from recvault.domain.ports.database.retention import RetentionRecords
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Entropy

__all__ = [
    "Accounts",
    "Attempts",
    "AuditLog",
    "Authorisations",
    "Brakes",
    "Communications",
    "Database",
    "Destructions",
    "Factors",
    "Federation",
    "Holds",
    "Invitations",
    "Judge",
    "Listening",
    "Notices",
    "Passkeys",
    "PeriodKeys",
    "Policies",
    "Proposals",
    "Register",
    "Restoration",
    "RetentionRecords",
    "Reviews",
    "Sessions",
    "Settings",
    "UnitOfWork",
]


class Judge(Protocol):
    """Decides whether a database may be served. ``outlook`` is asked before the witness is read, so that a ledger that grows
    meanwhile does not make the database look behind."""

    def outlook(self) -> Outlook: ...

    def judge(self, witness: Witness, outlook: Outlook) -> None:
        """Raises DatabaseBehind or LedgerFailure."""


class UnitOfWork(Protocol):
    """One transaction and its repositories."""

    @property
    def communications(self) -> Communications: ...
    @property
    def register(self) -> Register: ...
    @property
    def holds(self) -> Holds: ...
    @property
    def proposals(self) -> Proposals: ...
    @property
    def brakes(self) -> Brakes: ...
    @property
    def restoration(self) -> Restoration: ...
    @property
    def period_keys(self) -> PeriodKeys: ...
    @property
    def destructions(self) -> Destructions: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def passkeys(self) -> Passkeys: ...
    @property
    def factors(self) -> Factors: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def federation(self) -> Federation: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def invitations(self) -> Invitations: ...
    @property
    def retention(self) -> RetentionRecords: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def listening(self) -> Listening: ...
    @property
    def authorisations(self) -> Authorisations: ...
    @property
    def reviews(self) -> Reviews: ...

    def now(self) -> datetime:
        """The database's clock, UTC (on SQLite the machine's): the moment of asking, not of the transaction's begin."""

    def commit(self) -> None:
        """Makes it durable; DatabaseUnavailable when the outcome is unknown (look it up, never undo)."""


class Database(Protocol):
    """Where rows live."""

    def begin(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that may write."""

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that only reads (one snapshot)."""

    def guard(self, judge: Judge) -> None:
        """From here on each connection's database is judged once, before it is first used: one that was put back or lags
        serves nothing (DatabaseBehind) until it has been replayed."""

    def seal_log(self, keyring: Keyring, entropy: Entropy) -> None:
        """From here on entries of the log are sealed and opened with keys of this keyring. Before, none is written
        (AuditFailure)."""

    def unjudged(self) -> AbstractContextManager[None]:
        """This thread's units go unjudged within the block: for the replay, and for looking at what is wrong."""

    def witness(self) -> Witness:
        """What the database says of itself, never judged."""

    def look(self) -> AbstractContextManager[UnitOfWork]:
        """For single statements that read: each sees what is committed when it runs, so that two of them may see
        different states. Cheaper than :meth:`read`, and a lost connection is replaced under it. Writing in it fails."""

    def now(self) -> datetime:
        """The database's clock, UTC (on SQLite the machine's)."""

    def check(self) -> None:
        """Cheap reachability; DatabaseUnavailable."""

    def close(self) -> None:
        """Gives connections back."""
