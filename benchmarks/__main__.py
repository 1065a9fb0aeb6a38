"""``python -m benchmarks [PART...]``: measures, prints a table, writes ``benchmarks/out/results.json``.

``QUICK=1`` takes fewer turns. Parts: sealing, memory, ingest, reading, acts, purge, length (not when quick), rekeying, claims
(all of them by default); ``GROUND=embedded`` or ``GROUND=cluster`` leaves the other out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import acts, at_length, grounds, purging, reading, rekeying, results, sealing, uploading
from benchmarks.results import Result
from tests.servers import run

OUT = Path(__file__).parent / "out" / "results.json"
PARTS = ("sealing", "memory", "ingest", "reading", "acts", "purge", "length", "rekeying", "claims")
GROUNDS = {"cluster": grounds.cluster, "embedded": grounds.embedded}


def measured(parts: frozenset[str], chosen: list[str], directory: Path, *, quick: bool) -> Iterator[Result]:
    """Everything asked for, one result after the other."""
    if "sealing" in parts:
        yield from sealing.measure(quick=quick)
    for name in chosen if parts - {"sealing"} else ():
        with GROUNDS[name](directory / name) as ground:
            if "memory" in parts:
                yield uploading.memory(ground)
            with grounds.serving(ground):
                if "ingest" in parts:
                    yield from uploading.measure(ground, quick=quick)
                if "reading" in parts:
                    yield from reading.measure(ground, quick=quick)
            if "acts" in parts:
                yield from acts.measure(ground, quick=quick)
            if "purge" in parts:
                yield from purging.measure(ground, quick=quick)
            if "length" in parts and name == "cluster" and not quick:
                yield from at_length.measure(ground)
            if "rekeying" in parts:
                yield from rekeying.measure(ground, quick=quick)
            if "claims" in parts and name == "cluster":
                yield from purging.claims(ground, quick=quick)


def main() -> int:
    """0 when all was measured, whether or not the goals were met; 2 for a mistake in the command."""
    parts = frozenset(sys.argv[1:]) or frozenset(PARTS)
    chosen = [name for name in GROUNDS if os.environ.get("GROUND", name) == name]
    if parts - set(PARTS) or not chosen:
        print(f"parts: {', '.join(PARTS)}; GROUND: {', '.join(GROUNDS)}", file=sys.stderr)
        return 2
    os.environ.setdefault("CEPH_STORE", "bluestore")  # on the disk, as the database is
    done: list[Result] = []
    run.begin()
    try:
        with tempfile.TemporaryDirectory(prefix="rvb-") as directory:
            for result in measured(parts, chosen, Path(directory), quick=bool(os.environ.get("QUICK"))):
                done.append(result)
                print("  ".join(results.line(result)), file=sys.stderr, flush=True)
    except run.MissingServer as missing:
        print(missing, file=sys.stderr)
        return 2
    finally:
        run.end()
        if done:
            results.write(done, OUT)
            print(results.table(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
