"""Sources: systems that send communications, and the token by which each is known.

Keeps: a token is shown once and stored as a hash; a revoked source is refused at once, uploads under way included.
"""

from __future__ import annotations

from recvault.domain.accounts import Source
from recvault.domain.audit import Act
from recvault.domain.errors import NotAuthenticated, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.tokens import RANDOM_BYTES, Prefix, compose, require_form, token_hash
from recvault.services.audit_log import AuditLog
from recvault.services.people import require_name


class Sources:
    """Makes and revokes sources, and tells which one stands behind a token."""

    def __init__(self, *, database: Database, audit: AuditLog, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy

    def add(
        self, name: str, *, by: str, notice_ref: str | None = None, balancing_ref: str | None = None
    ) -> tuple[Source, str]:
        """A new source and its token, which is shown only now."""
        now = self._clock.now()
        token = compose(Prefix.SOURCE, self._entropy.bytes(RANDOM_BYTES))
        source = Source(
            id=uuid7(now, self._entropy.bytes(10)),
            name=require_name(name),
            token_hash=token_hash(token),
            notice_ref=notice_ref,
            balancing_ref=balancing_ref,
            created_at=now,
        )
        with self._database.begin() as unit:
            unit.accounts.add_source(source)
            self._audit.record(unit, actor=by, act=Act.SOURCE_ADDED, target=source.id)
            unit.commit()
        return source, token

    def revoke(self, name: str, *, by: str) -> Source:
        """Refuses the source's token from now on, uploads under way included."""
        with self._database.begin() as unit:
            source = unit.accounts.source_by_name(name)
            if source is None:
                raise NotFound("there is no source of this name; see 'recvault source list'")
            if source.revoked_at is None:
                unit.accounts.revoke_source(source.id, self._clock.now())
                self._audit.record(unit, actor=by, act=Act.SOURCE_REVOKED, target=source.id)
            unit.commit()
        return source

    def all(self) -> list[Source]:
        """All sources, in name order."""
        with self._database.read() as unit:
            return unit.accounts.sources()

    def whose(self, token: str) -> Source:
        """The source behind a bearer token; NotAuthenticated when unknown or revoked."""
        require_form(token)
        with self._database.look() as unit:
            source = unit.accounts.source_by_token(token_hash(token))
        if source is None or source.revoked_at is not None:
            raise NotAuthenticated("the source's token is unknown or revoked; ask for a new one")
        return source
