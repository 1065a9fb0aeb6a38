"""Port to a folder of files that are taken in as they lie there; nothing in it is ever changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Folder(Protocol):
    """Regular files below one folder, named by the parts of their path. Symbolic links are never followed."""

    def size(self, parts: Sequence[str]) -> int:
        """Bytes of a file. NotFound when there is none; InvalidInput when it is a link, no regular file, or unreadable."""

    def read(self, parts: Sequence[str]) -> Iterator[bytes]:
        """Its content in blocks; errors as for :meth:`size`."""

    def walk(self) -> Iterator[tuple[str, ...]]:
        """Every file below the folder, links as well, in no particular order; InvalidInput for an unreadable folder."""
