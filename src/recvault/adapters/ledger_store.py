"""The ledger's two places: the object store, and a directory of its own on another disk.

Invariants: an entry is durable in both before ``append`` returns; nothing is ever replaced or deleted; the
numbers have no gap; reading compares both places and every version in the store, so that an entry altered
in one place is never served. A hole in one place is bridged in reading and filled only by ``heal``, which
a person or the start asks for. Names are ``ledger/000000000012`` in both places.

Left to others: signatures and the chain (``services.ledger``), and one writer at a time (the database's
ledger head).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from recvault.adapters.root_keyfile import make_directory, sync_directory, write_private
from recvault.domain.errors import InvalidInput, LedgerFailure, StoreUnavailable, Unavailable
from recvault.domain.ports.objects import ObjectExists, ObjectStore, ObjectVersion

PREFIX = "ledger/"

DIGITS = 12
"""Of a sequence number in a name, so that order by name is order by number."""

_NAME = re.compile(rf"ledger/([0-9]{{{DIGITS}}})")


def entry_name(sequence: int) -> str:
    """The name of an entry in both places; InvalidInput below 1 or above 12 digits."""
    if not 1 <= sequence < 10**DIGITS:
        raise InvalidInput(f"a ledger entry is numbered from 1 to {10**DIGITS - 1}, not {sequence}")
    return f"{PREFIX}{sequence:0{DIGITS}d}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copies:
    """What the two places hold under one number; None where it is missing."""

    sequence: int
    in_store: bytes | None
    in_directory: bytes | None

    def agreed(self) -> bytes:
        """The bytes both hold, or the one that has them; LedgerFailure."""
        if self.in_store is None or self.in_directory is None:
            found = self.in_directory if self.in_store is None else self.in_store
            if found is None:
                raise _gap(self.sequence)
            return found
        if self.in_store != self.in_directory:
            raise LedgerFailure(
                f"the two places of the ledger hold different entries {self.sequence}: one was altered; see "
                "which verifies, keep the other as evidence, and put the right one back"
            )
        return self.in_store


class ReplicatedLedger:
    """See ``domain.ports.ledger.LedgerStore``. ``second`` must exist unless ``create`` makes it (mode
    0700): a directory that is missing later is a disk that is not mounted.

    Errors: LedgerFailure, StoreUnavailable and StoreError of the store, Unavailable for the directory.
    """

    def __init__(self, primary: ObjectStore, second: Path, *, create: bool = False) -> None:
        if create:
            make_directory(second)
        self._primary = primary
        self._second = second
        self._known = 0  # the highest number met so far: where the next look begins

    def append(self, sequence: int, envelope: bytes) -> None:
        """See the port. Repeating it after a fault completes the place that missed it."""
        name = entry_name(sequence)
        self._require_second()
        if sequence > 1 and not self._exists(sequence - 1):
            raise _gap(sequence - 1)
        try:
            self._primary.put_small(name, envelope)
        except ObjectExists:
            _require_same(sequence, self._from_store(sequence), envelope)
        self._put_file(sequence, envelope)

    def read(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """See the port."""
        for copies in self._walk(first):
            yield copies.sequence, copies.agreed()

    def last(self) -> int:
        """See the port."""
        self._known = self._highest(self._known) or (self._highest(0) if self._known else 0)
        return self._known

    def heal(self, first: int = 1) -> int:
        """Copies what one place lacks from the other and returns how many entries; LedgerFailure where
        neither has it or they differ. Repeating it is harmless.
        """
        healed = 0
        for copies in self._walk(first):
            envelope = copies.agreed()
            if copies.in_store is None:
                self._primary.put_small(entry_name(copies.sequence), envelope)
            if copies.in_directory is None:
                self._put_file(copies.sequence, envelope)
            healed += copies.in_store is None or copies.in_directory is None
        return healed

    def _walk(self, first: int) -> Iterator[_Copies]:
        """Every number from ``first`` to the last one in either place."""
        sequence = max(first, 1)
        last_in_directory = self._highest_file(0)
        for number, in_store in self._stored(sequence):
            while sequence < number:
                yield _Copies(sequence=sequence, in_store=None, in_directory=self._from_directory(sequence))
                sequence += 1
            yield _Copies(sequence=number, in_store=in_store, in_directory=self._from_directory(number))
            sequence = number + 1
        for number in range(sequence, last_in_directory + 1):
            yield _Copies(sequence=number, in_store=None, in_directory=self._from_directory(number))

    def _highest(self, known: int) -> int:
        """The highest number from ``known`` on that is really there, 0 when none is."""
        in_store = max((number for number, _ in self._listed(max(known, 1))), default=0)
        return max(in_store, self._highest_file(known))

    # -- the object store ------------------------------------------------------------------------------------

    def _listed(self, first: int) -> Iterator[tuple[int, list[ObjectVersion]]]:
        """Numbers from ``first`` on with their versions. A delete marker hides nothing: its versions are
        still read.
        """
        after = entry_name(first - 1) if first > 1 else ""
        versions = (v for v in self._primary.list_versions(PREFIX, after=after) if not v.is_delete_marker)
        for name, group in groupby(versions, key=lambda version: version.name):
            match = _NAME.fullmatch(name)
            if match and int(match[1]) >= first:
                yield int(match[1]), list(group)

    def _stored(self, first: int) -> Iterator[tuple[int, bytes]]:
        for number, versions in self._listed(first):
            yield number, self._content(number, versions)

    def _content(self, sequence: int, versions: list[ObjectVersion]) -> bytes:
        contents = {self._whole(sequence, version) for version in versions}
        if len(contents) != 1:
            raise LedgerFailure(
                f"the object store holds different versions of ledger entry {sequence}: two archives write "
                "one ledger, or one was altered; see which verifies and stop the other writer"
            )
        return contents.pop()

    def _whole(self, sequence: int, version: ObjectVersion) -> bytes:
        """The bytes of a version, as many as the store lists: a cut answer must not pass for an altered entry."""
        content = b"".join(self._primary.get(version.name, version.version_id))
        if len(content) != version.length:
            raise StoreUnavailable(
                f"the object store gave {len(content)} of the {version.length} bytes of ledger entry {sequence}; ask "
                "again, and check any proxy before it"
            )
        return content

    def _from_store(self, sequence: int) -> bytes | None:
        number, content = next(self._stored(sequence), (0, None))
        return content if number == sequence else None

    # -- the directory ---------------------------------------------------------------------------------------

    def _file(self, sequence: int) -> Path:
        return self._second / entry_name(sequence)

    def _from_directory(self, sequence: int) -> bytes | None:
        try:
            return self._file(sequence).read_bytes()
        except FileNotFoundError:
            self._require_second()
            return None
        except OSError as fault:
            raise self._unavailable(fault) from fault

    def _put_file(self, sequence: int, envelope: bytes) -> None:
        self._require_second()
        file = self._file(sequence)
        new = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
            new.unlink(missing_ok=True)
            write_private(new, envelope)
            try:
                os.link(new, file)  # refuses to replace, where a rename would not
            except FileExistsError:
                _require_same(sequence, file.read_bytes(), envelope)
            finally:
                new.unlink()
            sync_directory(file.parent)
            sync_directory(self._second)
        except OSError as fault:
            raise self._unavailable(fault) from fault

    def _highest_file(self, known: int) -> int:
        """From a known number on entries follow each other, so the next ones are tried; from 0 the directory
        is read.
        """
        self._require_second()
        try:
            if known and self._file(known).exists():
                while self._file(known + 1).exists():
                    known += 1
                return known
            names = [file.name for file in (self._second / PREFIX).iterdir()]
        except FileNotFoundError:
            return 0
        except OSError as fault:
            raise self._unavailable(fault) from fault
        return max((int(name) for name in names if _NAME.fullmatch(PREFIX + name)), default=0)

    def _exists(self, sequence: int) -> bool:
        return self._file(sequence).exists() or self._from_store(sequence) is not None

    def _require_second(self) -> None:
        if not self._second.is_dir():
            raise Unavailable(f"the ledger's second place {self._second} is not there; mount its disk")

    def _unavailable(self, fault: OSError) -> Unavailable:
        return Unavailable(
            f"the ledger's second place {self._second} cannot be used: {fault.strerror}; it must be a "
            "mounted, writable directory on a file system with hard links, with space left"
        )


def _require_same(sequence: int, found: bytes | None, envelope: bytes) -> None:
    if found != envelope:
        raise LedgerFailure(
            f"ledger entry {sequence} exists with other content; replay the ledger before writing to it"
        )


def _gap(sequence: int) -> LedgerFailure:
    return LedgerFailure(
        f"ledger entry {sequence} is in neither place: entries were lost; put the ledger's places back from "
        "their copies"
    )
