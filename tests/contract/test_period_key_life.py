"""Any order of uploads, holds, early destructions, days, re-keyings, crashes and backups, on both databases.

After every step: what lives opens with today's keyring, also from a fresh verified backup; what is certified *complete* opens
from no copy ever taken; a copy of any age opens what lives, unless its data key went to another key since; and every key that
was ever seen to wrap something is remembered. In the end every destruction is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from recvault.adapters.database import SqlDatabase
from recvault.adapters.memory_ledger import MemoryLedger
from recvault.adapters.memory_objects import MemoryObjectStore
from recvault.adapters.system import FixedClock, SystemEntropy
from recvault.domain.access import Role
from recvault.domain.backups import VERIFIED
from recvault.domain.communication import Communication
from recvault.domain.destruction import Stage
from recvault.domain.errors import Conflict, KeyDestroyed, NotFound
from recvault.domain.holds import Hold
from tests.contract import database_kit as kit
from tests.support.archives import Parts, SteadyDatabase, World, configuration, make_world
from tests.support.troubled_keyring import Killed, TroubledKeyring

EXAMPLES = int(os.environ.get("KEY_LIFE_EXAMPLES", "3"))
FRESH = timedelta(days=3)
"""How old a verified backup may be and still open all that lives: less than half of the longest wait."""


@dataclass
class Copy:
    """A database as it was."""

    taken_at: datetime
    rows: dict[str, Communication]
    verified: bool = field(default=False)


@pytest.fixture(params=kit.ON_DISK)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        opened.__class__ = SteadyDatabase
        yield opened


class Life(RuleBasedStateMachine):
    """One archive from its beginning. ``database`` is emptied first."""

    database: SqlDatabase

    @initialize()
    def begin(self) -> None:
        kit.clear(self.database)
        clock = FixedClock()
        self.database.clock = clock  # type: ignore[attr-defined]
        entropy = SystemEntropy()
        self.keyring = TroubledKeyring(clock=clock, entropy=entropy, cache_seconds=60)
        parts = Parts(
            clock=clock,
            entropy=entropy,
            database=self.database,
            store=MemoryObjectStore(clock=clock.now),
            keyring=self.keyring,
            ledger=MemoryLedger(),
            config=configuration(),
        )
        self.world: World = make_world(parts=parts, keep_database=True)
        self.copies: list[Copy] = []
        self.seen: dict[str, set[str]] = {}
        self.holds: list[Hold] = []
        self.count = 0

    @rule(age=st.integers(150, 181), many=st.integers(1, 3))
    def upload(self, age: int, many: int) -> None:
        started = self.world.clock.now() - timedelta(days=age)
        for _ in range(many):
            self.count += 1
            self.world.store(f"call-{self.count}", started_at=started, ended_at=started + timedelta(minutes=4))

    @precondition(lambda self: self.alive())
    @rule(pick=st.integers(0, 99))
    def hold(self, pick: int) -> None:
        one = sorted(self.alive())[pick % len(self.alive())]
        handler = self.world.actor(Role.PRIVACY_HANDLER)
        placed = self.world.archive.holds.place(
            handler, reason="claim", review_on=date(2031, 1, 1), communication_id=one
        )
        self.holds.append(placed.hold)

    @precondition(lambda self: self.holds)
    @rule()
    def release(self) -> None:
        self.world.release(self.holds.pop())

    @precondition(lambda self: self.alive())
    @rule(pick=st.integers(0, 99))
    def end_early(self, pick: int) -> None:
        one = sorted(self.alive())[pick % len(self.alive())]
        self.world.archive.retention.do_not_keep(self.world.actor(Role.TEAM_LEAD), one)

    @rule(hours=st.sampled_from([1, 11, 26, 80]))
    def time_passes(self, hours: int) -> None:
        self.world.later(hours=hours)

    @rule(uses=st.integers(0, 12))
    def killed(self, uses: int) -> None:
        self.keyring.uses_left = uses
        try:
            self.world.archive.purge.run("worker-1")
        except Killed:
            self.world.later(seconds=301)
        self.keyring.uses_left = None

    @rule()
    def work(self) -> None:
        self.world.archive.purge.run("worker-2")

    @precondition(lambda self: self.alive())
    @rule(pick=st.integers(0, 99))
    def rekey(self, pick: int) -> None:
        row = sorted(self.alive().values(), key=lambda row: row.id)[pick % len(self.alive())]
        try:
            self.world.archive.key_ends.rekey(self.world.actor(Role.ADMINISTRATOR), row.key_id.split("/")[1])
        except (Conflict, NotFound):
            assert row.key_id.split("/")[1] < self.world.clock.now().date().isoformat()

    @rule(verified=st.booleans())
    def back_up(self, verified: bool) -> None:
        copy = Copy(taken_at=self.world.clock.now(), rows=self.alive())
        self.copies.append(copy)
        if verified:
            self.world.later(minutes=20)
            copy.verified = True
            with self.database.begin() as unit:
                unit.settings.put(VERIFIED, {"made_at": copy.taken_at.isoformat(), "id": "b"})
                unit.commit()

    # --- what holds

    @invariant()
    def what_lives_opens(self) -> None:
        alive = self.alive()
        for row in alive.values():
            assert self.opens(row)
            self.seen.setdefault(row.id, set()).add(row.key_id)
        with self.database.read() as unit:
            history = unit.communications.wrapped_by(list(alive))
        assert all(self.seen[one] <= set(history[one]) for one in alive)
        now = self.world.clock.now()
        for copy in self.copies:
            newest = copy.verified and now - copy.taken_at < FRESH
            for one in copy.rows.keys() & alive.keys():
                assert self.opens(copy.rows[one]) or (alive[one].key_id != copy.rows[one].key_id and not newest)

    @invariant()
    def what_is_complete_opens_from_no_copy(self) -> None:
        for one in self.complete():
            assert not any(self.opens(copy.rows[one]) for copy in self.copies if one in copy.rows)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for _ in range(3):
            self.world.later(days=8)
            self.world.archive.purge.run("worker-3")
        self.world.later(seconds=61)
        self.world.archive.purge.run("worker-3")
        self.what_lives_opens()
        self.what_is_complete_opens_from_no_copy()
        with self.database.read() as unit:
            tombs = unit.destructions.recent(1000)
            frozen = {key.key_id for key in unit.period_keys.living() if key.key_id.startswith("frozen/")}
        assert all(tomb.stage is Stage.COMPLETE or set(tomb.key_ids) & frozen for tomb in tombs)
        self.world.archive.resources.close()

    def alive(self) -> dict[str, Communication]:
        with self.database.read() as unit:
            ids = unit.communications.existing_ids(
                [one for key in unit.period_keys.living() for one in unit.communications.ids_under_key(key.key_id, 999)]
            )
            return {row.id: row for row in unit.communications.find(ids)}

    def complete(self) -> list[str]:
        with self.database.read() as unit:
            return [tomb.communication_id for tomb in unit.destructions.recent(1000) if tomb.stage is Stage.COMPLETE]

    def opens(self, row: Communication) -> bool:
        try:
            return len(self.world.archive.period_keys.unwrap(row)) == 32
        except KeyDestroyed:
            return False


def test_any_order_of_events_keeps_what_lives_and_loses_what_is_gone(database: SqlDatabase) -> None:
    run_state_machine_as_test(
        type("LifeOnDatabase", (Life,), {"database": database}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
