"""Column types that mean the same on PostgreSQL and SQLite.

Invariants: a moment goes in and comes out aware, in UTC, to the microsecond, and sorts by time on both; text
compares by code point on both (never by a locale of the server: identifiers are ordered in Python too); JSON
is stored as canonical text, so that equal values are equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType
from typing_extensions import override

from recvault.domain.ids import canonical_json, require_aware

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PlainText(TypeDecorator[str]):
    """Text that compares by code point. Refuses what PostgreSQL cannot hold (NUL, half a surrogate pair) on SQLite too."""

    impl = Text
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        on_postgresql = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.TEXT(collation="C") if on_postgresql else Text())

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and "\x00" in value:
            raise ValueError("a text must not hold the character NUL")
        return value


TEXT = PlainText()


class Texts(UserDefinedType[Collection[str]]):
    """An array of texts as a parameter to PostgreSQL, which reads it itself (manual, 8.15.2): for a thousand of them that
    takes a tenth of the driver's time."""

    cache_ok = True
    render_bind_cast = True

    @override
    def get_col_spec(self, **_: object) -> str:
        """As a cast names it."""
        return "TEXT[]"

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[Collection[str] | None], str | None]:
        return _array


def _array(texts: Collection[str] | None) -> str | None:
    if texts is None:
        return None
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in texts)
    return '{"' + '","'.join(quoted) + '"}' if texts else "{}"


TEXTS = Texts()


class Moment(TypeDecorator[datetime]):
    """``timestamptz`` on PostgreSQL; on SQLite an INTEGER of microseconds since 1970-01-01 UTC."""

    impl = BigInteger
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(BigInteger())

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        value = require_aware(value, "a stored moment")
        return value if dialect.name == "postgresql" else (value - _EPOCH) // _MICROSECOND

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return _EPOCH + int(value) * _MICROSECOND


class CanonicalJson(TypeDecorator[Mapping[str, object]]):
    """A JSON object as canonical text (:func:`recvault.domain.ids.canonical_json`)."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: Mapping[str, object] | None, dialect: Dialect) -> str | None:
        return None if value is None else canonical_json(value).decode()

    @override
    def process_result_value(self, value: Any, dialect: Dialect) -> Mapping[str, object] | None:
        if value is None:
            return None
        loaded: dict[str, object] = json.loads(value)
        return loaded
