"""Which key of the keyring an entry of the audit log lies under: one for each calendar month (UTC) and series.

Keeps: the key follows from the entry's act and time alone. Entries that live with a communication
(``log-kept/2026-11``) and those that never end, which hold counts alone (``log-counts/2026-11``), have series of their
own, so that they keep no other entry's key (``log-entries/2026-11``) alive. A key is over a day after its month: no
transaction that could still write under it is that old.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recvault.domain.audit import MOVES_ENDS, Act
from recvault.domain.ids import require_aware
from recvault.domain.log_query import LIVES_WITH_COMMUNICATION, NEVER_ENDS

SERIES = ("log-entries/", "log-kept/", "log-counts/")
"""What the ids of log keys begin with."""

GRACE = timedelta(days=1)
"""After the end of a month until its keys may die."""

NAMES_COMMUNICATION = LIVES_WITH_COMMUNICATION | MOVES_ENDS | {Act.ITEM_RESUMED, Act.POLICY_APPLIED}
"""Acts of the archive on a communication whose target stands in clear beside the seal, because the database itself joins
them with what is stored. They tell no more than the communication's own row in the same backup."""


def log_key(act: Act, at: datetime) -> str:
    """The id of the key (kind MAC) that an entry's seal is made from."""
    moment = require_aware(at, "at")
    return f"{_series(act)}{moment.year:04}-{moment.month:02}"


def _series(act: Act) -> str:
    ending, kept, counts = SERIES
    if act in NEVER_ENDS:
        return counts
    return kept if act in LIVES_WITH_COMMUNICATION else ending


def month_of(key_id: str) -> tuple[datetime, datetime]:
    """The month of a log key, its end exclusive; ValueError."""
    begin = datetime.strptime(key_id.rpartition("/")[2], "%Y-%m").replace(tzinfo=UTC)
    return begin, _next(begin)


def is_over(key_id: str, now: datetime) -> bool:
    """Whether nothing is written under the key any more."""
    return month_of(key_id)[1] + GRACE <= now


def coming(now: datetime) -> tuple[str, ...]:
    """The keys of this month and of the next."""
    begin = require_aware(now, "now")
    return tuple(f"{series}{month:%Y-%m}" for month in (begin, _next(begin)) for series in SERIES)


def _next(moment: datetime) -> datetime:
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
