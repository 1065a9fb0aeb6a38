"""The life of period keys: superseded, emptied, waited for, destroyed; and made before they are needed."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from recvault.adapters.memory_ledger import MemoryLedger
from recvault.domain.access import Role
from recvault.domain.accounts import PeriodKey
from recvault.domain.audit import Act
from recvault.domain.backups import VERIFIED
from recvault.domain.communication import Channel
from recvault.domain.destruction import Stage
from recvault.domain.errors import Conflict, Forbidden, InvalidInput, KeyDestroyed, KeyringError, NotFound
from recvault.domain.ledger import LedgerKind
from recvault.domain.period_keys import KeyState, WaitLimits, may_die
from recvault.services import key_ends
from recvault.services.keys_ahead import ends_of_contacts
from recvault.services.purge import PurgeReport
from recvault.services.retrieve import KeyCache
from tests.support.archives import Parts, World, make_world, memory_parts
from tests.support.troubled_keyring import Killed, TroubledKeyring


@pytest.fixture
def parts() -> Parts:
    made = memory_parts()
    made.keyring = TroubledKeyring(clock=made.clock, entropy=made.entropy, cache_seconds=60)
    return made


@pytest.fixture
def world(parts: Parts) -> World:
    return make_world(parts=parts)


@pytest.fixture
def keyring(parts: Parts) -> TroubledKeyring:
    assert isinstance(parts.keyring, TroubledKeyring)
    return parts.keyring


def day_of(world: World, communication_id: str) -> str:
    with world.archive.database.read() as unit:
        end = unit.communications.get(communication_id).destroy_at
    return end.astimezone(world.archive.config.retention.zone).date().isoformat()


def key_of(world: World, communication_id: str) -> str:
    with world.archive.database.read() as unit:
        return unit.communications.get(communication_id).key_id


def destroy_early(world: World, communication_id: str) -> None:
    """By the do-not-keep mark: the data key moves to tomorrow, and is gone the day after."""
    world.archive.retention.do_not_keep(world.actor(Role.TEAM_LEAD), communication_id)
    world.later(hours=25)
    assert world.archive.purge.run("worker-1").destroyed == [communication_id]


def state(world: World, key_id: str) -> KeyState:
    found = {each.key.key_id: each.state for each in world.archive.key_ends.status()}
    return found.get(key_id, KeyState.DESTROYED)


def verified(world: World, made_at: datetime) -> None:
    with world.archive.database.begin() as unit:
        unit.settings.put(VERIFIED, {"made_at": made_at.isoformat(), "id": "b-1"})
        unit.commit()


def stage(world: World, communication_id: str) -> Stage:
    with world.archive.database.read() as unit:
        return unit.destructions.get(communication_id).stage


def opens(world: World, communication_id: str) -> bool:
    with world.archive.database.read() as unit:
        return len(world.archive.period_keys.unwrap(unit.communications.get(communication_id))) == 32


# --- after an early destruction


def test_neighbours_move_to_the_next_generation_and_the_old_one_dies_after_a_week(world: World) -> None:
    gone, stays = (world.store(ref).id for ref in ("a", "b"))
    day = day_of(world, gone)
    destroy_early(world, gone)
    assert key_of(world, stays) == f"day/{day}/2"
    assert state(world, f"day/{day}/1") is KeyState.WAITING
    with world.archive.database.read() as unit:
        assert unit.communications.wrapped_by([stays])[stays] == (f"day/{day}/1", f"day/{day}/2")
    world.later(days=6, hours=23)
    assert f"day/{day}/1" not in world.archive.purge.settle().keys_destroyed
    world.later(hours=2)
    assert world.archive.purge.settle().keys_destroyed == [f"day/{day}/1"]
    assert stage(world, gone) is Stage.INACCESSIBLE, "a process may still hold the key"
    world.later(seconds=61)
    assert world.archive.purge.settle().completed == [gone]
    assert opens(world, stays)


def test_a_newer_verified_backup_ends_the_wait_and_an_older_one_does_not(world: World) -> None:
    gone, stays = (world.store(ref).id for ref in ("a", "b"))
    day = day_of(world, gone)
    destroy_early(world, gone)
    for before in (timedelta(days=1), timedelta(0), timedelta(minutes=-1)):  # a minute of skew proves nothing yet
        verified(world, world.clock.now() - before)
        assert world.archive.purge.settle().keys_destroyed == []
    verified(world, world.clock.now() + timedelta(days=1))
    assert world.archive.purge.settle().keys_destroyed == [], "a backup of tomorrow is no backup"
    world.later(minutes=10)
    verified(world, world.clock.now())
    assert world.archive.purge.settle().keys_destroyed == [f"day/{day}/1"]
    assert opens(world, stays)


def test_a_day_without_neighbours_loses_its_key_at_once(world: World) -> None:
    gone = world.store("a").id
    day = day_of(world, gone)
    limits = WaitLimits()
    destroy_early(world, gone)
    # Its own move away counts as a departure of something alive, long settled but in no verified backup.
    assert state(world, f"day/{day}/1") is KeyState.WAITING
    world.later(days=limits.longest.days)
    world.archive.purge.settle()
    world.later(seconds=61)
    assert world.archive.purge.settle().completed == [gone]


def test_destructions_of_one_day_are_gathered_while_an_older_generation_waits(world: World) -> None:
    first, second, third, stays = (world.store(ref).id for ref in ("a", "b", "c", "d"))
    day = day_of(world, first)
    destroy_early(world, first)
    destroy_early(world, second)
    destroy_early(world, third)
    assert key_of(world, stays) == f"day/{day}/2", "one re-keying does for several"
    world.later(days=2, hours=11)  # half of the wait since the second was destroyed
    world.archive.purge.settle()
    assert key_of(world, stays) == f"day/{day}/3", "but not for so long that the first of them waits past the limit"
    assert state(world, f"day/{day}/1") is KeyState.WAITING and state(world, f"day/{day}/2") is KeyState.WAITING
    standing = {each.key.key_id: each for each in world.archive.key_ends.status()}[f"day/{day}/2"]
    with world.archive.database.read() as unit:
        assert standing.dies_by == unit.destructions.get(second).shredded_at + timedelta(days=7)
    world.later(days=5)
    world.archive.purge.settle()
    world.later(seconds=61)
    world.archive.purge.settle()
    assert {stage(world, one) for one in (first, second, third)} == {Stage.COMPLETE}
    assert opens(world, stays)


def test_what_comes_after_is_wrapped_under_the_next_generation(world: World) -> None:
    gone, _ = (world.store(ref).id for ref in ("a", "b"))
    ended = world.clock.now()
    day = day_of(world, gone)
    destroy_early(world, gone)
    later = world.store("c", started_at=ended - timedelta(minutes=5), ended_at=ended).id
    assert key_of(world, later) == f"day/{day}/2"
    with world.archive.database.begin() as unit, pytest.raises(Conflict, match="closing"):
        world.archive.period_keys.share(unit, f"day/{day}/1")


# --- when the period is over


def test_a_day_with_survivors_waits_as_well(world: World) -> None:
    held, purged = (world.store(ref).id for ref in ("a", "b"))
    day = day_of(world, held)
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER), reason="claim", review_on=date(2030, 1, 1), communication_id=held
    )
    world.later(days=190)
    assert world.archive.purge.run("worker-1").destroyed == [purged]
    assert key_of(world, held).startswith("frozen/") and state(world, f"day/{day}/1") is KeyState.WAITING
    world.later(minutes=10)
    verified(world, world.clock.now())
    assert world.archive.purge.settle().keys_destroyed == [f"day/{day}/1"]
    world.later(seconds=61)
    assert world.archive.purge.settle().completed == [purged]
    assert opens(world, held)


def test_a_frozen_month_rolls_over_and_its_key_waits(world: World) -> None:
    held = world.store("a").id
    world.archive.holds.place(
        world.actor(Role.PRIVACY_HANDLER), reason="claim", review_on=date(2030, 1, 1), communication_id=held
    )
    world.later(days=190)
    world.archive.purge.run("worker-1")
    month = key_of(world, held)
    world.later(days=32)
    world.archive.purge.settle()
    assert key_of(world, held) > month and state(world, month) is KeyState.WAITING
    world.later(days=8)
    assert month in world.archive.purge.settle().keys_destroyed
    assert opens(world, held)


def test_a_day_that_nothing_left_alive_loses_its_key_at_once(world: World) -> None:
    gone = world.store("a").id
    day = day_of(world, gone)
    world.later(days=190)
    report = world.archive.purge.run("worker-1")
    assert report.destroyed == [gone] and report.keys_destroyed == [f"day/{day}/1"]


class Overtaken(TroubledKeyring):
    """Lets another worker do something just before data keys are re-wrapped, once."""

    first: Callable[[], object] | None = None

    def rewrap_many(
        self, old_id: str, new_id: str, items: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Sequence[bytes | None]:
        overtaking, self.first = self.first, None
        if overtaking is not None:
            overtaking()
        return super().rewrap_many(old_id, new_id, items)


def test_another_worker_ends_the_key_while_its_late_items_are_moved() -> None:
    parts = memory_parts()
    keyring = parts.keyring = Overtaken(clock=parts.clock, entropy=parts.entropy, cache_seconds=60)
    world = make_world(parts=parts)
    with world.archive:
        gone = world.store("a").id
        day = day_of(world, gone)
        world.later(days=190)
        reports: list[PurgeReport] = []
        keyring.first = lambda: reports.append(world.archive.purge.run("worker-2"))
        assert world.archive.key_ends.close_due() == []
        assert [report.destroyed for report in reports] == [[gone]]
        assert state(world, f"day/{day}/1") is KeyState.CLOSING
        world.later(seconds=61)
        assert world.archive.purge.settle().completed == [gone]


def test_a_key_that_is_gone_while_something_lies_under_it_is_told(world: World, keyring: TroubledKeyring) -> None:
    lost = world.store("a").id
    day = day_of(world, lost)
    world.later(days=190)
    keyring.destroy([f"day/{day}/1"])
    with pytest.raises(KeyDestroyed):
        world.archive.key_ends.close_due()


# --- interrupted


def test_killed_anywhere_it_goes_on_and_ends_in_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ends, "PORTION", 4)
    monkeypatch.setattr(key_ends, "EACH", 2)
    died = True
    step = 0
    while died:
        parts = memory_parts()
        keyring = TroubledKeyring(clock=parts.clock, entropy=parts.entropy, cache_seconds=60)
        parts.keyring = keyring
        world = make_world(parts=parts)
        gone, *stay = (world.store(f"call-{number}").id for number in range(7))
        day = day_of(world, gone)
        world.archive.retention.do_not_keep(world.actor(Role.TEAM_LEAD), gone)
        world.later(hours=25)
        keyring.uses_left = step
        died = False
        for span in (
            timedelta(0),
            timedelta(minutes=10),
            timedelta(days=8),
            timedelta(seconds=61),
            timedelta(seconds=61),
        ):
            world.clock.advance(span)
            try:
                world.archive.purge.run("worker-1")
            except Killed:
                died = True
                world.later(seconds=301)  # the lease of what it had claimed
        keyring.uses_left = None
        world.archive.purge.run("worker-2")
        world.later(seconds=61)
        world.archive.purge.run("worker-2")
        assert stage(world, gone) is Stage.COMPLETE, step
        assert {key_of(world, one) for one in stay} == {f"day/{day}/2"}, step
        assert all(opens(world, one) for one in stay)
        with pytest.raises(KeyDestroyed):
            keyring.wrap(f"day/{day}/1", bytes(32), b"")
        step += 1
        world.archive.resources.close()
    assert step > 6


def test_a_place_that_is_away_has_the_end_of_a_key_told_once(
    world: World, parts: Parts, keyring: TroubledKeyring
) -> None:
    world.store("a")
    other = world.store("b", channel=Channel.EMAIL, media_type="message/rfc822").id
    world.later(days=190)
    keyring.away = True
    for _ in range(3):
        with pytest.raises(KeyringError):
            world.archive.purge.run("worker-1")
        world.later(minutes=10)
    keyring.away = False
    world.archive.purge.run("worker-1")
    ledger = parts.ledger
    assert isinstance(ledger, MemoryLedger)
    entries = [json.loads(b64decode(json.loads(envelope)["payload"])) for _, envelope in ledger.read(1)]
    told = [key for entry in entries if entry["kind"] == LedgerKind.KEYS_DESTROYED for key in entry["body"]["keys"]]
    assert told and len(told) == len(set(told))
    assert other


def test_a_data_key_that_does_not_open_keeps_its_key_alive_and_is_told_once(world: World) -> None:
    gone, broken, stays = (world.store(ref).id for ref in ("a", "b", "c"))
    day = day_of(world, gone)
    with world.archive.database.begin() as unit:
        unit.communications.rewrap(broken, key_id=f"day/{day}/1", wrapped_key=bytes(60))
        unit.commit()
    destroy_early(world, gone)
    world.later(days=30)
    world.archive.purge.settle()
    world.archive.purge.settle()
    assert key_of(world, stays) == f"day/{day}/2" and key_of(world, broken) == f"day/{day}/1"
    assert state(world, f"day/{day}/1") is KeyState.SUPERSEDED
    with world.archive.database.read() as unit:
        assert [entry.act for entry in unit.audit.about(broken, 9)].count(Act.STOPPED) == 1


# --- by hand


def test_rekeying_by_hand_is_the_administrators_audited_and_repeatable(world: World) -> None:
    one = world.store("a").id
    day = day_of(world, one)
    for role in (Role.PRIVACY_HANDLER, Role.APPROVER, Role.AUDITOR):
        with pytest.raises(Forbidden):
            world.archive.key_ends.rekey(world.actor(role), day)
    administrator = world.actor(Role.ADMINISTRATOR)
    with pytest.raises(InvalidInput, match="code"):
        world.archive.key_ends.rekey(administrator, day, reason="Matti saw it")
    world.archive.key_ends.rekey(administrator, day, reason="seen")
    assert key_of(world, one) == f"day/{day}/2"
    with world.archive.database.read() as unit:
        (entry,) = (found for found in unit.audit.about(f"day/{day}/1", 9) if found.act is Act.KEY_SUPERSEDED)
    assert entry.actor == administrator.id and entry.detail == {"reason": "seen"}
    world.archive.key_ends.rekey(administrator, day)
    assert key_of(world, one) == f"day/{day}/3"


def test_rekeying_by_hand_refuses_what_is_over_or_unknown(world: World) -> None:
    held = world.store("a").id
    day = day_of(world, held)
    administrator = world.actor(Role.ADMINISTRATOR)
    with pytest.raises(NotFound):
        world.archive.key_ends.rekey(administrator, "2031-01-01")
    world.later(days=190)
    with pytest.raises(Conflict, match="over"):
        world.archive.key_ends.rekey(administrator, day)


# --- ahead


def test_a_place_that_is_away_for_two_days_stops_no_upload(world: World, keyring: TroubledKeyring) -> None:
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"tags": frozenset({world.archive.retention.active().do_not_keep.tag})},
        {"channel": Channel.EMAIL, "media_type": "message/rfc822"},
        {"answered": False},
        {"queue": "myynti", "team": "myynti"},
    )
    world.store("before")
    assert world.archive.keys_ahead.prepare() > 0
    keyring.away = True
    for day in range(3):
        for number, changes in enumerate(kinds):
            world.store(f"call-{day}-{number}", b"RIFF....WAVE", **changes)
        world.later(hours=23)
    world.later(days=2)
    with pytest.raises(KeyringError):
        world.store("too-late")


def test_every_end_the_engine_gives_is_among_those_made_ahead(world: World) -> None:
    zone = world.archive.config.retention.zone
    today = world.clock.now().astimezone(zone).date()
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"answered": False},
        {"channel": Channel.SMS, "media_type": "text/plain"},
    )
    ends = ends_of_contacts(world.archive.retention.active(), today, today + timedelta(days=1), zone)
    for hours in (0, 6, 12, 13):
        for number, changes in enumerate(kinds):
            world_draft = world.store(f"c-{hours}-{number}", b"RIFF....WAVE", **changes)
            assert date.fromisoformat(day_of(world, world_draft.id)) in ends
        world.later(hours=1)


# --- what other processes hold


def test_a_key_counts_as_gone_only_when_no_other_process_can_still_hold_what_it_wrapped(
    world: World, parts: Parts
) -> None:
    gone = world.store("a").id
    day = day_of(world, gone)
    with world.archive.database.read() as unit:
        row = unit.communications.get(gone)
    world.later(days=190)
    other = KeyCache(period_keys=world.archive.period_keys, clock=parts.clock, seconds=parts.keyring.cache_seconds)
    other.data_key(row)  # another process opens it in the moment before
    report = world.archive.purge.run("worker-1")
    assert report.destroyed == [gone] and report.keys_destroyed == [f"day/{day}/1"]
    world.later(seconds=59)
    assert len(other.data_key(row)) == 32, "the other process still plays it"
    assert world.archive.period_keys.gone_since([f"day/{day}/1"]) == {}
    assert world.archive.purge.settle().completed == []
    world.later(seconds=1)
    with pytest.raises(KeyDestroyed):
        other.data_key(row)
    assert world.archive.purge.settle().completed == [gone]


# --- the rule itself

AT = datetime.fromisoformat("2026-11-22T10:00:00+00:00")
KEY = PeriodKey(key_id="day/2027-01-01/1", period="2027-01-01", generation=1, created_at=AT, vacant_at=AT)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("left", "verified_at", "now", "dies"),
    [
        (None, None, AT, True),
        (AT - HOUR, None, AT, False),
        (AT - HOUR, AT - HOUR, AT + HOUR, False),
        (AT - 9 * HOUR, AT - HOUR, AT, True),
        (AT, AT + 3 * timedelta(minutes=1), AT + HOUR, True),
        (AT, AT + timedelta(minutes=1), AT + HOUR, False),
        (AT, None, AT + timedelta(days=7), True),
        (AT, None, AT + timedelta(days=7) - HOUR, False),
        (AT, AT + timedelta(days=300), AT + HOUR, False),
    ],
)
def test_when_a_key_may_die(left: datetime | None, verified_at: datetime | None, now: datetime, dies: bool) -> None:
    assert may_die(KEY, left, verified_at, now, WaitLimits()) is dies
    assert not may_die(replace(KEY, vacant_at=None), left, verified_at, now, WaitLimits())


@pytest.mark.parametrize("longest", [timedelta(0), timedelta(days=8)])
def test_the_wait_is_configured_downwards_only(longest: timedelta) -> None:
    with pytest.raises(ValueError, match="at most 7 days"):
        WaitLimits(longest=longest)
