"""Everything that goes wrong, at random, until it is told to stop: processes are killed, the store goes away, is slow, breaks
off, confirms what it did not do, the database crashes and comes back; purges run all the while, and some are killed."""

from __future__ import annotations

import random
import threading
from collections import Counter

from tests.soak.installation import Installation, start
from tests.support.lying_proxy import Fault, Request

CHANCE = 0.01
"""Of a fault at any single request to the store."""


class Trouble:
    """``happened`` counts by kind; faults of single requests are counted by the proxy."""

    def __init__(self, made: Installation, seed: int, *, pause: tuple[float, float]) -> None:
        self._made = made
        self._pause = pause
        self._chance = random.Random(f"trouble-{seed}")
        self._per_request = random.Random(f"requests-{seed}")
        self._stop = threading.Event()
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        made.proxy.choose = self._choose
        self._threads = [
            threading.Thread(target=self._guarded, args=(act,), daemon=True) for act in (self._mischief, self._purges)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all of it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(180)
        self._made.proxy.choose = None
        assert not self.broken, self.broken

    def _guarded(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except (OSError, RuntimeError, AssertionError) as fault:
            self.broken.append(repr(fault))
            raise

    def _choose(self, request: Request) -> Fault | None:
        """Called under the proxy's lock."""
        if self._per_request.random() >= CHANCE:
            return None
        kinds = ["refuse", "hang_up", "cut_answer", "late"]
        if request.is_put:
            kinds += ["cut_upload", "drop_put"]
        elif request.is_deletion:
            kinds += ["keep", "keep"]
        elif request.method == "GET":
            kinds += ["short_answer"]
        return Fault(kind=self._per_request.choice(kinds), seconds=self._per_request.uniform(0.1, 3.0))

    def _mischief(self) -> None:
        acts = [self._kill_api, self._kill_api, self._kill_worker, self._store_away, self._store_slow, self._database]
        bag: list[object] = []
        while not self._stop.wait(self._chance.uniform(*self._pause)):
            if not bag:  # every kind comes before one comes again
                bag = self._chance.sample(acts, len(acts))
            bag.pop()()  # type: ignore[operator]

    def _kill_api(self) -> None:
        name = self._chance.choice([name for name in self._made.kept if name.startswith("api")])
        self._made.kept[name].kill()
        self.happened["API killed"] += 1

    def _kill_worker(self) -> None:
        self._made.kept["worker"].kill()
        self.happened["worker killed"] += 1

    def _store_away(self) -> None:
        with self._made.proxy.with_fault("hang_up"):
            self._stop.wait(self._chance.uniform(1, 5))
        self.happened["store away"] += 1

    def _store_slow(self) -> None:
        with self._made.proxy.with_fault("late", seconds=self._chance.uniform(0.3, 4.0)):
            self._stop.wait(self._chance.uniform(2, 6))
        self.happened["store slow"] += 1

    def _database(self) -> None:
        self._made.restart_database()
        self.happened["database crashed"] += 1

    def _purges(self) -> None:
        """One after the other, a third of them killed on the way."""
        with (self._made.home / "purges.log").open("ab") as log:
            while not self._stop.wait(self._chance.uniform(1, 4)):
                purge = start(self._made.home, log.fileno(), "purge", "--now")
                if self._chance.random() < 0.34:
                    self._stop.wait(self._chance.uniform(1.0, 3.0))
                    if purge.poll() is None:
                        purge.kill()
                        self.happened["purge killed"] += 1
                purge.wait(150)
                self.happened["purges"] += 1
