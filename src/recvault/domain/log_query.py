"""What an auditor asks of the log: by person, by what it is about, by customer, by act, by time; and what may end there.

Entries name accounts, communications and customers by random ids: whoever reads them sees pseudonyms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from recvault.domain.audit import Act, Entry
from recvault.domain.ids import require_aware

MOST = 1000
"""Entries of one answer, at most."""

NEVER_ENDS = frozenset({Act.ENTRIES_ENDED, Act.TREE_BEGUN, Act.LOG_CONTINUED})
"""Acts that the verification of the tree itself rests on; they name nothing but counts."""

LIVES_WITH_COMMUNICATION = frozenset(
    {Act.STORED, Act.STORED_AGAIN, Act.CONFLICT, Act.STORED_AFTER_LOSS, Act.RETENTION_MOVED}
)
"""Acts that tell how a communication came in and what moved its end: kept while it is stored, however long that is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogQuery:
    """All that is given must hold. ``since`` is inclusive, ``until`` exclusive; ``after`` is the (at, id) of the last entry
    of the answer before, newest first. ``customer_id``: entries about the customer or a communication of theirs that is
    still stored (what was destroyed is linked to nobody any more)."""

    actor: str | None = None
    target: str | None = None
    customer_id: str | None = None
    acts: frozenset[Act] = field(default_factory=frozenset)
    purpose: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 100

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, require_aware(moment, name))
        if not 1 <= self.limit <= MOST:
            raise ValueError(f"an answer has 1 to {MOST} entries")

    @property
    def asked_by(self) -> list[str]:
        """The names of what was given, for the entry that tells of the reading."""
        names = ("actor", "target", "customer_id", "acts", "purpose", "since", "until")
        return [name for name in names if getattr(self, name)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endable:
    """A sequenced entry that may end once it is old enough."""

    index: int
    id: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundEntry:
    """An entry and its index in the tree; None while the sequencer has not come by."""

    entry: Entry
    index: int | None
