"""How the demo speaks: numbered steps, calm lines; colour only where a terminal looks on. And what it expects.

Nothing is taken for granted: each claim of the walk is an expectation, and the first that does not hold ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from recvault.domain.errors import RecvaultError


class Unmet(RecvaultError):
    """The archive did not do what it promises; the text says what was expected."""

    code = "demo"


def expect(holds: object, what: str) -> None:
    """Returns when it holds; Unmet otherwise."""
    if not holds:
        raise Unmet(f"the demo expected {what}, and it was not so")


class Teller:
    """Writes to the standard output."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._steps = 0

    def title(self, text: str) -> None:
        """The head of the whole."""
        self._console.print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """A numbered step."""
        self._steps += 1
        self._console.print()
        self._console.print(Text(f"{self._steps:2}  {text}", style="bold"))

    def say(self, text: str) -> None:
        """One thing that happened."""
        self._console.print(Text(f"    {text}"))

    def proof(self, text: str) -> None:
        """One thing that was shown to hold."""
        self._console.print(Text("    ok ", style="green"), Text(text), sep="")

    def rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Plain columns."""
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._console.print(Text(("      " + "  ".join(cells)).rstrip()))

    def space(self) -> None:
        """An empty line."""
        self._console.print()
