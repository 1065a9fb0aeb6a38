"""Retention policies by version. Their texts are never changed or deleted: rows are explained by them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import policies
from recvault.domain.accounts import SignedPolicy
from recvault.domain.errors import Conflict

_p = policies.c
_ACTIVE_VERSION = select(_p.version).order_by(_p.activated_at.desc(), _p.version.desc()).limit(1)


class SqlPolicies:
    """Implements the port's ``Policies``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, policy: SignedPolicy) -> None:
        """See the port. The same version with the same text is activated anew unless it is active; its
        signature stays.
        """
        self._session.insert_missing(policies, [asdict(policy)])
        stored = self.get(policy.version)
        if stored.text != policy.text:
            raise Conflict(
                "this version of the policy is stored with another text; give this text a version of its own"
            )
        if stored.activated_at < policy.activated_at and self.active() != stored:
            self._session.change(
                update(policies).where(_p.version == policy.version).values(activated_at=policy.activated_at)
            )

    def active(self) -> SignedPolicy | None:
        """See the port."""
        row = self._session.first(select(policies).order_by(_p.activated_at.desc(), _p.version.desc()).limit(1))
        return None if row is None else SignedPolicy(**row._mapping)

    def active_version(self) -> str | None:
        """See the port."""
        return next(iter(self._session.column(_ACTIVE_VERSION)), None)

    def get(self, version: str) -> SignedPolicy:
        """See the port."""
        row = self._session.first(select(policies).where(_p.version == version))
        if row is None:
            raise missing("version of the retention policy")
        return SignedPolicy(**row._mapping)

    def sign(self, version: str, *, by: str, at: datetime) -> None:
        """NotFound when unknown; Conflict when it is signed (the first signature stands)."""
        if not self._session.change(
            update(policies).where(_p.version == version, _p.signed_at.is_(None)).values(signed_by=by, signed_at=at)
        ):
            self.get(version)
            raise Conflict("this version of the retention policy is signed already; its first signature stands")
