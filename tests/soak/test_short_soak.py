"""At the ceiling with everything going wrong, and then the count. A short form for every test run; ``make soak`` runs it for
half an hour (``SOAK_MINUTES``), with other chances each time (``SOAK_SEED``)."""

from __future__ import annotations

import os
import time

import pytest

from tests.servers.ceph import Ceph
from tests.soak.installation import installation
from tests.soak.load import Book, Load
from tests.soak.reckoning import Count, come_to_rest, reckon
from tests.soak.trouble import Trouble

SECONDS = float(os.environ.get("SOAK_MINUTES", "0.6")) * 60
SEED = int(os.environ.get("SOAK_SEED", "1"))


@pytest.mark.slow
@pytest.mark.s3
@pytest.mark.postgresql
@pytest.mark.timeout(SECONDS * 2 + 400)
@pytest.mark.usefixtures("postgresql")
def test_acknowledged_is_stored_is_readable_and_due_is_gone_is_certified(ceph: Ceph) -> None:
    book = Book()
    with installation(ceph) as made:
        load = Load(made, book, SEED)
        begun = time.monotonic()
        trouble = Trouble(made, SEED, pause=(1.0, 4.0) if SECONDS < 300 else (3.0, 20.0))
        time.sleep(SECONDS)
        load.stop()
        trouble.stop()
        load.join(90)
        seconds = time.monotonic() - begun
        come_to_rest(made, 120)
        count = reckon(made, book)
        happened = dict(trouble.happened)
        happened |= {f"store: {kind}": number for kind, number in made.proxy.struck.items()}
        broken = [line for kept in made.kept.values() for line in kept.log() if line.get("event") in BROKEN]
    show(count, happened, book, seconds)
    assert not count.wrong, count.wrong[:20]
    assert not broken, "\n".join(str(line.get("exception") or line)[-3000:] for line in broken[:5])
    assert len(book.acknowledged) > 20 and trouble.happened["purges"]


BROKEN = ("unexpected fault", "tick broke")
"""Events of a fault of the program."""


def show(count: Count, happened: dict[str, int], book: Book, seconds: float) -> None:
    """The table, for whoever runs it with -s."""
    lines = [f"{seconds:.0f} seconds with seed {SEED}, {len(book.acknowledged) / seconds:.1f} recordings a second", ""]
    lines += [f"{name:<42}{number:>8}" for name, number in count.rows]
    lines += ["", "what went wrong on purpose"]
    lines += [f"  {name:<40}{number:>8}" for name, number in sorted(happened.items())]
    lines += ["", "answers"]
    lines += [f"  {name:<40}{number:>8}" for name, number in sorted((book.answers + book.faults).items())]
    print("\n" + "\n".join(lines))
