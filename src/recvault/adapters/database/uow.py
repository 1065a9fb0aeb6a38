"""One transaction and its repositories, made when first asked for and all on the same session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from recvault.adapters.database.access_records import SqlAuthorisations, SqlListening, SqlReviews
from recvault.adapters.database.accounts import SqlAccounts
from recvault.adapters.database.attempts import SqlAttempts
from recvault.adapters.database.audit import SqlAuditLog
from recvault.adapters.database.brakes import SqlBrakes
from recvault.adapters.database.communications import SqlCommunications
from recvault.adapters.database.destructions import SqlDestructions
from recvault.adapters.database.factors import SqlFactors
from recvault.adapters.database.federation import SqlFederation
from recvault.adapters.database.holds import SqlHolds
from recvault.adapters.database.invitations import SqlInvitations
from recvault.adapters.database.log_seals import LogSeals
from recvault.adapters.database.notices import SqlNotices
from recvault.adapters.database.passkeys import SqlPasskeys
from recvault.adapters.database.period_keys import SqlPeriodKeys
from recvault.adapters.database.policies import SqlPolicies
from recvault.adapters.database.proposals import SqlProposals
from recvault.adapters.database.register import SqlRegister
from recvault.adapters.database.restoration import SqlRestoration
from recvault.adapters.database.retention import SqlRetention
from recvault.adapters.database.session import Session
from recvault.adapters.database.sessions import SqlSessions
from recvault.adapters.database.settings import SqlSettings


class SqlUnitOfWork:
    """Implements the port's ``UnitOfWork``; begun and ended by :class:`engine.SqlDatabase`."""

    def __init__(self, session: Session, *, clock: Callable[[Session], datetime], seals: LogSeals | None) -> None:
        self._session = session
        self._seals = seals
        self._clock = clock

    @cached_property
    def communications(self) -> SqlCommunications:
        """Stored communications."""
        return SqlCommunications(self._session)

    @cached_property
    def register(self) -> SqlRegister:
        """Customers, agents, guard rows."""
        return SqlRegister(self._session)

    @cached_property
    def holds(self) -> SqlHolds:
        """Holds."""
        return SqlHolds(self._session)

    @cached_property
    def proposals(self) -> SqlProposals:
        """What needs a second person."""
        return SqlProposals(self._session)

    @cached_property
    def brakes(self) -> SqlBrakes:
        """What stops automatic destruction."""
        return SqlBrakes(self._session)

    @cached_property
    def restoration(self) -> SqlRestoration:
        """Rows that came back with a restored database."""
        return SqlRestoration(self._session)

    @cached_property
    def period_keys(self) -> SqlPeriodKeys:
        """Rows of day keys and frozen-month keys."""
        return SqlPeriodKeys(self._session)

    @cached_property
    def destructions(self) -> SqlDestructions:
        """Tombstones and certificates."""
        return SqlDestructions(self._session)

    @cached_property
    def audit(self) -> SqlAuditLog:
        """Audit entries and their chain."""
        return SqlAuditLog(self._session, seals=self._seals)

    @cached_property
    def accounts(self) -> SqlAccounts:
        """Sources and people."""
        return SqlAccounts(self._session)

    @cached_property
    def sessions(self) -> SqlSessions:
        """Sessions and API tokens of people."""
        return SqlSessions(self._session)

    @cached_property
    def passkeys(self) -> SqlPasskeys:
        """Passkeys, challenges, assertions over approvals."""
        return SqlPasskeys(self._session)

    @cached_property
    def factors(self) -> SqlFactors:
        """Second factors, and notices about them."""
        return SqlFactors(self._session)

    @cached_property
    def attempts(self) -> SqlAttempts:
        """Counters of failed sign-ins."""
        return SqlAttempts(self._session)

    @cached_property
    def federation(self) -> SqlFederation:
        """People of issuers, sign-ins under way, break-glass accounts."""
        return SqlFederation(self._session)

    @cached_property
    def policies(self) -> SqlPolicies:
        """Retention policies by version."""
        return SqlPolicies(self._session)

    @cached_property
    def notices(self) -> SqlNotices:
        """Alarms that stand and mails that wait."""
        return SqlNotices(self._session)

    @cached_property
    def invitations(self) -> SqlInvitations:
        """Invitations to set a password."""
        return SqlInvitations(self._session)

    @cached_property
    def settings(self) -> SqlSettings:
        """Named facts and the ledger head."""
        return SqlSettings(self._session)

    @cached_property
    def retention(self) -> SqlRetention:
        """Statutory overrides, ended purposes, facts of rows."""
        return SqlRetention(self._session, log=self.audit)

    @cached_property
    def listening(self) -> SqlListening:
        """How much people looked and listened."""
        return SqlListening(self._session)

    @cached_property
    def authorisations(self) -> SqlAuthorisations:
        """What two people authorised until a moment."""
        return SqlAuthorisations(self._session)

    @cached_property
    def reviews(self) -> SqlReviews:
        """Confirmed reviews of access."""
        return SqlReviews(self._session)

    def now(self) -> datetime:
        """See the port."""
        return self._clock(self._session)

    def commit(self) -> None:
        """Makes it durable; see :meth:`session.Session.commit`."""
        self._session.commit()
