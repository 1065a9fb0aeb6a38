"""Compares what was said with what was recorded, by ear as far as a program has one.

A recording passes when the speech is found in it twice over: by the rise and fall of its energy, and, in its
loudest quarter of a second, sample by sample. Everything is 16-bit mono, 8000 samples a second; sox decodes.
"""

from __future__ import annotations

import array
import dataclasses
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

RATE = 8000  # samples per second
STEP = 160  # samples of one energy value: 20 ms
WINDOW = RATE // 4  # samples compared one by one
SEARCH = 3 * STEP  # samples either way that the finer comparison looks around


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Where speech lies in a recording (seconds), and how alike they are there (1.0: the same)."""

    at: float
    rhythm: float
    waveform: float


def decode(file: Path) -> array.array[int]:
    """The samples of a WAV, Ogg Vorbis or raw A-law (`.alaw`, `.al`) file."""
    headerless = ["-t", "al", "-r", str(RATE), "-c", "1"] if file.suffix in {".alaw", ".al"} else []
    command = ["sox", "-V1", *headerless, str(file), "-t", "s16", "-L", "-r", str(RATE), "-c", "1", "-"]
    return array.array("h", subprocess.run(command, check=True, capture_output=True).stdout)


def likeness(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's coefficient of two sequences of one length; 0.0 when either is constant."""
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    da, db = [x - mean_a for x in a], [x - mean_b for x in b]
    scale = math.sqrt(sum(x * x for x in da) * sum(x * x for x in db))
    return sum(x * y for x, y in zip(da, db, strict=True)) / scale if scale else 0.0


def energy(samples: Sequence[int]) -> list[float]:
    """Root mean square of every 20 ms."""
    return [math.sqrt(sum(s * s for s in samples[i : i + STEP]) / STEP) for i in range(0, len(samples) - STEP, STEP)]


def _spoken_part(samples: array.array[int]) -> array.array[int]:
    loud = [i for i, e in enumerate(energy(samples)) if e > 200]
    if not loud:
        raise AssertionError("the speech file is silent: does espeak-ng work here?")
    return samples[loud[0] * STEP : (loud[-1] + 1) * STEP]


def find(speech: array.array[int], recording: array.array[int]) -> Match:
    """The place in `recording` that is most like the spoken part of `speech`."""
    spoken = _spoken_part(speech)
    want, have = energy(spoken), energy(recording)
    places = range(len(have) - len(want) + 1)
    if not places:
        raise AssertionError(f"the recording ({len(recording) / RATE:.1f} s) is shorter than what was said")
    rhythm, at = max((likeness(want, have[i : i + len(want)]), i) for i in places)
    loudest = max(range(0, len(spoken) - WINDOW, STEP), key=lambda i: sum(abs(s) for s in spoken[i : i + WINDOW]))
    piece = spoken[loudest : loudest + WINDOW]
    around = at * STEP + loudest
    starts = range(max(0, around - SEARCH), min(len(recording) - WINDOW, around + SEARCH))
    waveform = max((likeness(piece, recording[i : i + WINDOW]) for i in starts), default=0.0)
    return Match(at=at * STEP / RATE, rhythm=rhythm, waveform=waveform)
