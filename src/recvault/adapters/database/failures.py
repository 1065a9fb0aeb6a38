"""What the driver's failures mean to the rest of the archive.

Invariants: an error that leaves the adapter carries no SQL text, no parameter and no value of a row (drivers
quote the offending key in their messages, and error texts end up in logs); for the same reason the driver's
own exception is not even chained: :func:`attempt` raises after it has been let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    PendingRollbackError,
    ProgrammingError,
    ResourceClosedError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recvault.domain.errors import (
    ConfigurationError,
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    RecvaultError,
)

T = TypeVar("T")

_NO_SCHEMA = frozenset({"42P01", "42703"})
_READ_ONLY = frozenset({"25006"})
_BUSY = frozenset({"55P03", "57014", "40P01", "40001"})
_NOT_PERMITTED = frozenset({"42501", "28000", "28P01"})
_UNIQUE, _FOREIGN, _CHECK = "unique", "foreign key", "rule"
_KINDS = {
    "23505": _UNIQUE,
    "23503": _FOREIGN,
    "23514": _CHECK,
    "23502": _CHECK,
    "SQLITE_CONSTRAINT_UNIQUE": _UNIQUE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": _UNIQUE,
    "SQLITE_CONSTRAINT_FOREIGNKEY": _FOREIGN,
}


def attempt(call: Callable[[], T]) -> T:
    """The call's result; its database failure comes out as one of ours, without the driver's words."""
    try:
        return call()
    except SQLAlchemyError as error:
        failure = _meaning(error)
    except (OverflowError, UnicodeError) as error:
        failure = _unfit(type(error).__name__)
    raise failure


def attempt_commit(call: Callable[[], None]) -> None:
    """Like :func:`attempt`, for COMMIT: unless the database says that it refused, nobody knows."""
    try:
        return call()
    except IntegrityError as error:
        failure = _meaning(error)
    except SQLAlchemyError as error:
        failure = DatabaseUnavailable(
            "the database did not confirm the commit, so its outcome is unknown"
            f" ({_code(error)}): look up what was stored before doing it again, and undo nothing"
        )
    raise failure


def missing(what: str) -> NotFound:
    """For a row that should be there; the id stays out of the text."""
    return NotFound(f"there is no such {what}; check the id")


def _code(error: BaseException) -> str:
    original = error.orig if isinstance(error, StatementError) else None
    code = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    return str(code or type(original or error).__name__)


def _meaning(error: SQLAlchemyError) -> RecvaultError:
    code = _code(error)
    if isinstance(error, IntegrityError):
        return _conflict(error, code)
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(
            "every database connection of this process is in use; try again, or raise the pool size"
        )
    if isinstance(error, PendingRollbackError | ResourceClosedError):
        return _outage(code)
    if isinstance(error, DataError) or not isinstance(error, DBAPIError):
        return _unfit(code)
    return _refusal(error, code) or _outage(code)


def _refusal(error: DBAPIError, code: str) -> RecvaultError | None:
    """What asking again does not mend: the schema, the rights, or this program is wrong."""
    if code in _NO_SCHEMA or "no such table" in str(error.orig) or "no such column" in str(error.orig):
        return ConfigurationError("the database lacks the tables of this version; run `recvault init` to migrate it")
    if code in _NOT_PERMITTED:
        return ConfigurationError(
            f"the database refuses its user ({code}); check user and password, and grant it the tables"
        )
    if isinstance(error, ProgrammingError):
        return RecvaultError(f"the database does not understand this version's statements ({code}); report it")
    return None


def _outage(code: str) -> DatabaseUnavailable:
    if code in _READ_ONLY or code.startswith("SQLITE_READONLY"):
        return DatabaseUnavailable(
            f"the database takes no writes here ({code}); write in a unit that began for writing, on the primary server,"
            " to a file that is writable"
        )
    if code in _BUSY or code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return DatabaseUnavailable(f"the database is busy and gave up waiting ({code}); try again")
    return DatabaseUnavailable(
        f"the database cannot be reached or failed ({code}); check that it runs and has room, then try again"
    )


def _unfit(code: str) -> InvalidInput:
    """A NUL or half a surrogate pair in a text, a number that is too large, a moment without a zone."""
    return InvalidInput(f"a value cannot be stored in the database as it is ({code}); leave it out or mend it")


def _conflict(error: IntegrityError, code: str) -> Conflict:
    kind = _KINDS.get(code, _CHECK)
    where = _place(error)
    if kind == _UNIQUE:
        return Conflict(f"there is such a row already ({where}); look it up instead of adding it again")
    if kind == _FOREIGN:
        return Conflict(
            f"it names something that is not stored, or is still named by something that is ({where});"
            " store the first, or remove the second, before"
        )
    return Conflict(f"the database's own rules forbid such a row ({where}); nothing was stored")


def _place(error: IntegrityError) -> str:
    """The constraint's name (PostgreSQL) or the columns (SQLite): names of the schema, never a value."""
    diagnostics = getattr(error.orig, "diag", None)
    if diagnostics is not None:
        return str(diagnostics.constraint_name or diagnostics.column_name or diagnostics.table_name)
    return str(error.orig).rpartition(" failed: ")[2] or "constraint"
