"""What a measurement is, how two sides are taken in turns, and how the outcome is shown.

``ratio`` is the median of ours through the median of the reference; ``spread`` holds the lowest and the highest ratio of a
single turn, so that noise of the machine can be seen.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LEAST_TURNS = 2

Take = Callable[[], float]
"""One turn: does the work and returns its figure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What to reach: ``least`` or ``most`` for the ratio, ``least_value`` or ``most_value`` for the figure itself."""

    least: float | None = None
    most: float | None = None
    most_value: float | None = None
    least_value: float | None = None

    def text(self) -> str:
        """As the table shows it."""
        if self.least is not None:
            return f"ratio >= {self.least:g}"
        if self.most is not None:
            return f"ratio <= {self.most:g}"
        if self.least_value is not None:
            return f"value >= {self.least_value:g}"
        return f"value <= {self.most_value:g}"

    def met(self, *, value: float, ratio: float) -> bool:
        """Whether it was reached."""
        return (
            (self.least is None or ratio >= self.least)
            and (self.most is None or ratio <= self.most)
            and (self.most_value is None or value <= self.most_value)
            and (self.least_value is None or value >= self.least_value)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One line of the table and of ``results.json``; ``goal`` and ``met`` are None where nothing is to be reached."""

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float
    ratio: float
    goal: str | None
    met: bool | None
    n: int
    spread: tuple[float, float]


def compare(
    name: str,
    *,
    unit: str,
    ours: Take,
    reference: str,
    bare: Take,
    turns: int,
    seconds: float,
    goal: Goal | None = None,
    warm: bool = True,
) -> Result:
    """Takes both sides in turns, after one of each that does not count: at most ``turns``, and no further ones (but two)
    when ``seconds`` have passed."""
    if warm:
        ours(), bare()
    began = time.monotonic()
    pairs: list[tuple[float, float]] = []
    while len(pairs) < turns and (len(pairs) < LEAST_TURNS or time.monotonic() < began + seconds):
        pairs.append((ours(), bare()))
    return judged(name, unit=unit, reference=reference, pairs=pairs, goal=goal)


def judged(
    name: str, *, unit: str, reference: str, pairs: Sequence[tuple[float, float]], goal: Goal | None = None
) -> Result:
    """The medians of pairs already taken."""
    value = statistics.median(ours for ours, _ in pairs)
    reference_value = statistics.median(bare for _, bare in pairs)
    ratios = [ours / bare for ours, bare in pairs]
    ratio = value / reference_value
    return Result(
        name=name,
        value=_short(value),
        unit=unit,
        reference=reference,
        reference_value=_short(reference_value),
        ratio=_short(ratio),
        goal=goal.text() if goal else None,
        met=goal.met(value=value, ratio=ratio) if goal else None,
        n=len(pairs),
        spread=(_short(min(ratios)), _short(max(ratios))),
    )


def write(results: Sequence[Result], path: Path) -> None:
    """All of them as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")


HEAD = ("measure", "value", "reference", "", "ratio", "spread", "goal", "met", "n")


def line(result: Result) -> tuple[str, ...]:
    """The cells of one result."""
    return (
        result.name,
        f"{result.value:g} {result.unit}",
        result.reference,
        f"{result.reference_value:g}",
        f"{result.ratio:.2f}",
        f"{result.spread[0]:.2f}-{result.spread[1]:.2f}",
        result.goal or "",
        "" if result.met is None else "yes" if result.met else "NO",
        str(result.n),
    )


def table(results: Sequence[Result]) -> str:
    """All of them in columns."""
    rows = [HEAD, *(line(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
