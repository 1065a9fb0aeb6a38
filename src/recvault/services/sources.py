"""Sources: systems that send communications, and the token and client certificates by which each is known.

Keeps: a token is shown once and stored as a hash; a revoked source is refused at once, uploads under way included. The token
of a source that is bound to certificates counts only together with one of them that has not ended; what is refused for that
stands in the log, once an hour for each source and reason, because a host that lacks its certificate asks for ever.

Left to others: TLS and the proof of the certificate's key are the proxy's; whom to believe that a certificate was shown
(``http.client_certificates``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from recvault.domain.accounts import Source, SourceCertificate
from recvault.domain.audit import Act
from recvault.domain.errors import CertificateRequired, Conflict, NotAuthenticated, NotFound
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.tokens import RANDOM_BYTES, Prefix, compose, require_form, token_hash
from recvault.services.audit_log import AuditLog
from recvault.services.people import require_name

PER_SOURCE = 10
"""Certificates of one source: the one in use, the next, and those of a few more hosts."""
TOLD_EVERY = timedelta(hours=1)


class Sources:
    """Makes and revokes sources, and tells which one stands behind a token."""

    def __init__(self, *, database: Database, audit: AuditLog, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._told: dict[tuple[str, str], datetime] = {}

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
            source = _named(unit, name)
            if source.revoked_at is None:
                unit.accounts.revoke_source(source.id, self._clock.now())
                self._audit.record(unit, actor=by, act=Act.SOURCE_REVOKED, target=source.id)
            unit.commit()
        return source

    def all(self) -> list[Source]:
        """All sources, in name order."""
        with self._database.read() as unit:
            return unit.accounts.sources()

    # --- client certificates

    def bind(self, name: str, fingerprint: bytes, *, not_after: datetime | None, by: str) -> Source:
        """The source's token counts from now on only together with this certificate, or another it is bound to.
        ``fingerprint``: SHA-256 of its DER. Conflict when it is bound to it, or to too many."""
        now = self._clock.now()
        with self._database.begin() as unit:
            source = _named(unit, name)
            if len(source.certificates) >= PER_SOURCE:
                raise Conflict(f"a source has at most {PER_SOURCE} certificates; remove one that is not in use first")
            if any(one.fingerprint == fingerprint for one in source.certificates):
                raise Conflict("the source is bound to this certificate already")
            made = SourceCertificate(fingerprint=fingerprint, added_at=now, not_after=not_after)
            unit.accounts.add_certificate(source.id, made)
            self._record(unit, by, Act.CERTIFICATE_ADDED, source, fingerprint)
            unit.commit()
        return self.named(name)

    def unbind(self, name: str, fingerprint: bytes, *, by: str) -> Source:
        """The certificate opens nothing from now on; with the last one gone the token alone counts again. NotFound."""
        with self._database.begin() as unit:
            source = _named(unit, name)
            if not unit.accounts.remove_certificate(source.id, fingerprint):
                raise NotFound("the source is not bound to this certificate; see 'recvault source certificate list'")
            self._record(unit, by, Act.CERTIFICATE_REMOVED, source, fingerprint)
            unit.commit()
        return self.named(name)

    def named(self, name: str) -> Source:
        """By name; NotFound."""
        with self._database.read() as unit:
            return _named(unit, name)

    def _record(self, unit: UnitOfWork, by: str, act: Act, source: Source, fingerprint: bytes) -> None:
        left = len(_named(unit, source.name).certificates)
        detail = {"fingerprint": fingerprint.hex(), "bound_to": left}
        self._audit.record(unit, actor=by, act=act, target=source.id, detail=detail)

    # --- coming in

    def whose(self, token: str, *, certificate: bytes | None) -> Source:
        """The source behind a bearer token, which came with the client certificate of this fingerprint (None: with none);
        NotAuthenticated when the token is unknown or revoked, CertificateRequired when the source is bound to others."""
        source = self.of_token(token)
        if source.certificates:
            self._require_bound(source, certificate)
        return source

    def _require_bound(self, source: Source, certificate: bytes | None) -> None:
        shown = [one for one in source.certificates if one.fingerprint == certificate]
        if certificate is None:
            reason, text = "missing", "this source also has to show its client certificate; give it to the hook"
        elif not shown:
            reason, text = "unknown", "the client certificate is none of this source's; add it or give the right one"
        elif shown[0].ended(self._clock.now()):
            reason, text = "ended", "the source's client certificate is past its end; make a new one and add it"
        else:
            return
        self._note_refusal(source, reason)
        raise CertificateRequired(text)

    def _note_refusal(self, source: Source, reason: str) -> None:
        now = self._clock.now()
        last = self._told.get((source.id, reason))
        if last is None or not timedelta(0) <= now - last < TOLD_EVERY:
            self._audit.note(
                actor="system:sources", act=Act.SOURCE_REFUSED, target=source.id, detail={"certificate": reason}
            )
            self._told[source.id, reason] = now

    def of_token(self, token: str) -> Source:
        """The source behind a token on the archive's own machine, where no TLS shows a certificate; NotAuthenticated when it
        is unknown or revoked."""
        require_form(token)
        with self._database.look() as unit:
            source = unit.accounts.source_by_token(token_hash(token))
        if source is None or source.revoked_at is not None:
            raise NotAuthenticated("the source's token is unknown or revoked; ask for a new one")
        return source


def _named(unit: UnitOfWork, name: str) -> Source:
    source = unit.accounts.source_by_name(name)
    if source is None:
        raise NotFound("there is no source of this name; see 'recvault source list'")
    return source
