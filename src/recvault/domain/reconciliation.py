"""What reconciliation compares, and what it finds: rows, objects, keys and certificates that do not belong together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Difference(StrEnum):
    """What does not fit. The text of each and its mend stand in :data:`TOLD`."""

    ROW_WITHOUT_OBJECT = "row-without-object"
    OBJECT_DIFFERS = "object-differs"
    OBJECT_WITHOUT_ROW = "object-without-row"
    STREAM_LEFT_BEHIND = "stream-left-behind"
    OPEN_UPLOAD = "open-upload"
    KEY_WITHOUT_ROW = "key-without-row"
    KEY_MISSING = "key-missing"
    KEY_PAST_ITS_DAY = "key-past-its-day"
    CERTIFICATE_MISSING = "certificate-missing"
    DATA_KEY_DAMAGED = "data-key-damaged"
    FACTS_ALTERED = "facts-altered"


TOLD = {
    Difference.ROW_WITHOUT_OBJECT: (
        "a stored communication whose object is not in the store",
        "put it back from the store's own copies; --repair marks the communication for a person",
    ),
    Difference.OBJECT_DIFFERS: (
        "an object of another length than was sealed",
        "put the version that the row names back from the store's own copies; --repair marks it for a person",
    ),
    Difference.OBJECT_WITHOUT_ROW: (
        "ciphertext that no row names and no key opens, of an upload that never committed",
        "--repair lets the sweeper delete it now",
    ),
    Difference.STREAM_LEFT_BEHIND: (
        "a stream, or an older version of one, that its communication does not name",
        "--repair deletes it: the row names what counts",
    ),
    Difference.OPEN_UPLOAD: ("parts of an upload that was never finished", "--repair lets the sweeper abort it now"),
    Difference.KEY_WITHOUT_ROW: (
        "a living period key that the database does not know, so that nothing would end it",
        "--repair writes its row; it then ends as every other",
    ),
    Difference.KEY_MISSING: (
        "a period key that the database calls living and the keyring does not have",
        "no program mends this: put the newest keyring back from a replica, see docs/KEYS.md",
    ),
    Difference.KEY_PAST_ITS_DAY: (
        "a key whose period ended days ago and that is still alive",
        "--repair closes it as the worker would; a keyring place that is away must be mounted first",
    ),
    Difference.CERTIFICATE_MISSING: (
        "a destruction without its certificate, that no row would take up again",
        "--repair looks for its objects again and certifies what is absent",
    ),
    Difference.DATA_KEY_DAMAGED: (
        "a data key that its period key does not open: the row was damaged or edited",
        "put the row back from a backup; until then the period key lives on; --repair marks it for a person",
    ),
    Difference.FACTS_ALTERED: (
        "facts or an end of retention that were not authenticated: the row was edited, or put back to what it once was",
        "compare it with a backup, then 'recvault purge resume' takes it as it is; --repair stops its destruction",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One difference. ``subject`` is a random id, a key id or an object's name, and may be logged; ``mended`` is set by a
    repair that did it."""

    difference: Difference
    subject: str
    mended: bool = False


@dataclass(kw_only=True, slots=True)
class Reconciliation:
    """One comparison: how many rows, objects and keys were looked at; every kind is counted, the first ``kept`` findings of
    each kind are named."""

    rows: int = 0
    objects: int = 0
    keys: int = 0
    counts: Counter[Difference] = field(default_factory=Counter)
    mended: Counter[Difference] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    kept: int = 1000

    def add(self, difference: Difference, subject: str, *, mended: bool = False) -> None:
        """Counts one, and names it while there are not too many."""
        self.counts[difference] += 1
        self.mended[difference] += mended
        if self.counts[difference] <= self.kept:
            self.findings.append(Finding(difference=difference, subject=subject, mended=mended))
