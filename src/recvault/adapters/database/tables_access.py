"""Tables of how much was listened to, of authorisations to hand content out, and of reviews of access.

No foreign key leads from ``listening`` and ``access_reviews``: they outlive what they count, for as long as a review looks
back. They hold ids and numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import CheckConstraint, Column, Index, Integer, Named, Table, TypedColumns

from recvault.adapters.database.metadata import metadata
from recvault.adapters.database.types import TEXT, CanonicalJson, Moment


class ListeningColumns(TypedColumns):
    person: Named[str] = Column(TEXT, primary_key=True)
    hour: Named[datetime] = Column(Moment, primary_key=True)
    looks: Named[int] = Column(Integer)
    verification: Named[int] = Column(Integer)
    training: Named[int] = Column(Integer)
    request: Named[int] = Column(Integer)
    authority: Named[int] = Column(Integer)


# One row for each person and hour that saw an act: ``looks`` are searches and views, the others openings by purpose.
listening = Table("listening", metadata, ListeningColumns, Index("ix_listening_hour", "hour", "person"))


class ListenedCustomerColumns(TypedColumns):
    person: Named[str] = Column(TEXT, primary_key=True)
    day: Named[datetime] = Column(Moment, primary_key=True)
    customer_id: Named[str] = Column(TEXT, primary_key=True)


listened_customers = Table(
    "listened_customers", metadata, ListenedCustomerColumns, Index("ix_listened_customers_day", "day")
)


class AuthorisationColumns(TypedColumns):
    id: Named[str] = Column(TEXT, primary_key=True)
    kind: Named[str] = Column(TEXT)
    subject: Named[str] = Column(TEXT)
    holder: Named[str] = Column(TEXT)
    approved_by: Named[str] = Column(TEXT)
    issued_at: Named[datetime] = Column(Moment)
    valid_until: Named[datetime] = Column(Moment)
    ended_at: Named[datetime | None] = Column(Moment)
    covers: Named[Mapping[str, object] | None] = Column(CanonicalJson, nullable=True)


# ``id`` is the proposal's. ``kind`` is checked by the program only, as in ``proposals``.
authorisations = Table(
    "authorisations",
    metadata,
    AuthorisationColumns,
    CheckConstraint("issued_at < valid_until", name="ends"),
    Index("ix_authorisations_holder", "holder", "valid_until"),
)


class AccessReviewColumns(TypedColumns):
    week: Named[str] = Column(TEXT, primary_key=True)
    reviewer: Named[str] = Column(TEXT, primary_key=True)
    digest: Named[str] = Column(TEXT)
    unusual: Named[int] = Column(Integer)
    confirmed_at: Named[datetime] = Column(Moment)


# ``week`` is its ISO 8601 name (2026-W47); ``digest`` the SHA-256 of the report that was confirmed.
access_reviews = Table("access_reviews", metadata, AccessReviewColumns)
