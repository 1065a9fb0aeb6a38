"""Sources: their tokens' hashes and the client certificates they are bound to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, delete, select, update

from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import Session
from recvault.adapters.database.tables import source_certificates, sources
from recvault.adapters.database.types import TEXT
from recvault.domain.accounts import Source, SourceCertificate

_CERTIFICATE = ("fingerprint", "added_at", "not_after")

# Asked at every upload; made once, because making a statement costs as much as running it.
_WITH_CERTIFICATES: Select[Any] = select(
    *sources.c, *(source_certificates.c[name].label(f"certificate_{name}") for name in _CERTIFICATE)
).select_from(sources.outerjoin(source_certificates, source_certificates.c.source_id == sources.c.id))
_BY_TOKEN = _WITH_CERTIFICATES.where(sources.c.token_hash == bindparam("hash"))
_SHARED = select(sources).where(sources.c.id == bindparam("source", type_=TEXT)).with_for_update(read=True)


class SourceRows:
    """The part of accounts that knows the sources."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_source(self, source: Source) -> None:
        """See the port."""
        self._session.insert(sources, {name: value for name, value in asdict(source).items() if name in sources.c})

    def source_by_token(self, token_hash: bytes) -> Source | None:
        """See the port."""
        return next(iter(_together(self._session.rows(_BY_TOKEN, {"hash": token_hash}))), None)

    def share_source(self, source_id: str) -> Source:
        """See the port. NotFound when unknown."""
        row = self._session.first(_SHARED, {"source": source_id})
        if row is None:
            raise missing("source")
        return Source(**row._mapping)

    def source_by_name(self, name: str) -> Source | None:
        """See the port."""
        return next(iter(_together(self._session.rows(_WITH_CERTIFICATES.where(sources.c.name == name)))), None)

    def sources(self) -> list[Source]:
        """See the port."""
        found = _together(self._session.rows(_WITH_CERTIFICATES))
        return sorted(found, key=lambda source: (source.name.casefold(), source.id))

    def revoke_source(self, source_id: str, at: datetime) -> None:
        """The first revocation stands. NotFound when unknown."""
        if not self._session.change(
            update(sources).where(sources.c.id == source_id, sources.c.revoked_at.is_(None)).values(revoked_at=at)
        ):
            self.share_source(source_id)

    def add_certificate(self, source_id: str, certificate: SourceCertificate) -> None:
        """See the port. Conflict when the source is not stored, too."""
        self._session.insert(source_certificates, {"source_id": source_id, **asdict(certificate)})

    def remove_certificate(self, source_id: str, fingerprint: bytes) -> bool:
        """See the port."""
        mine = (source_certificates.c.source_id == source_id, source_certificates.c.fingerprint == fingerprint)
        return bool(self._session.change(delete(source_certificates).where(*mine)))


def _together(rows: Sequence[Row[Any]]) -> list[Source]:
    """A row for each certificate of each source, at least one for each source."""
    found: dict[str, Row[Any]] = {}
    certificates: dict[str, list[SourceCertificate]] = {}
    for row in rows:
        found.setdefault(row.id, row)
        if row.certificate_fingerprint is not None:
            values = {name: getattr(row, f"certificate_{name}") for name in _CERTIFICATE}
            certificates.setdefault(row.id, []).append(SourceCertificate(**values))
    return [
        Source(
            **{column.name: getattr(row, column.name) for column in sources.c},
            certificates=tuple(sorted(certificates.get(row.id, ()), key=lambda one: (one.added_at, one.fingerprint))),
        )
        for row in found.values()
    ]
