"""The collection of all tables, how their constraints are named, and two short ways to declare what many
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, MetaData, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, allowed: type[StrEnum]) -> CheckConstraint:
    """Only the members' values may stand in the column."""
    values = ", ".join(f"'{member.value}'" for member in allowed)
    return CheckConstraint(f"{column} IN ({values})", name=column)


def index_where(name: str, *columns: str, where: str, unique: bool = False, include: Sequence[str] = ()) -> Index:
    """A partial index, on both databases; on PostgreSQL it carries the columns of ``include`` besides."""
    return Index(
        name,
        *columns,
        unique=unique,
        sqlite_where=text(where),
        postgresql_where=text(where),
        postgresql_include=list(include),
    )
