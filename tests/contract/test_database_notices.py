"""Alarms, waiting mails and invitations: of two who see the same, one is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recvault.adapters.database import SqlDatabase
from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.errors import Conflict
from recvault.domain.log_tree import edge, grow, leaf_hashes
from recvault.domain.notices import Alarm, Invitation, QueuedMail
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.sessions import Kind
from tests.contract import database_kit as kit
from tests.contract.database_kit import DAY, NOW, USER, destruction, hold, name

MINUTE = timedelta(minutes=1)
ALARM = Alarm(name="store", began_at=NOW, seen_at=NOW, count=1)
MAIL = QueuedMail(id="m-1", recipient="a@company.example", subject="s", body="ä\n", created_at=NOW)
INVITATION = Invitation(hash=b"i" * 32, user_id="user-1", created_at=NOW, expires_at=NOW + 3 * DAY)

on_disk = pytest.mark.parametrize("database", kit.ON_DISK, indirect=True)


@pytest.fixture(params=kit.KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDatabase]:
    for opened in kit.migrated(request.param, request, tmp_path):
        kit.prepare(opened)
        yield opened


def together(database: SqlDatabase, act: Callable[[UnitOfWork], bool], people: int = 4) -> list[bool]:
    """What several answer who do the same in the same moment, each in a transaction of its own."""
    gate = threading.Barrier(people)

    def one(_: int) -> bool:
        gate.wait(10)
        with database.begin() as unit:
            answer = act(unit)
            unit.commit()
        return answer

    with ThreadPoolExecutor(people) as pool:
        return sorted(pool.map(one, range(people)))


# -- alarms ------------------------------------------------------------------------------------------------


def test_an_alarm_begins_is_seen_told_and_ends(database: SqlDatabase) -> None:
    other = replace(ALARM, name="overdue", count=7)
    with database.begin() as unit:
        notices = unit.notices
        assert notices.begin(ALARM) and notices.begin(other) and not notices.begin(replace(ALARM, count=9))
        assert notices.alarms() == [other, ALARM]
        notices.see("store", at=NOW + MINUTE, count=None)
        notices.see("overdue", at=NOW + MINUTE, count=8)
        notices.see("overdue", at=NOW, count=5)  # a slower worker
        notices.see("unknown", at=NOW, count=1)
        seen = replace(ALARM, seen_at=NOW + MINUTE)
        assert notices.alarms() == [replace(other, seen_at=NOW + MINUTE, count=8), seen]
        assert notices.tell(seen, NOW + MINUTE) and not notices.tell(seen, NOW + 2 * MINUTE)
        told = replace(seen, told_at=NOW + MINUTE)
        assert notices.tell(told, NOW + DAY) and not notices.tell(told, NOW + DAY)
        again = replace(told, told_at=NOW + DAY)
        assert notices.alarms()[1] == again
        assert not notices.end(replace(again, seen_at=NOW))  # somebody has seen it since
        assert notices.end(again) and not notices.end(again)
        assert [alarm.name for alarm in notices.alarms()] == ["overdue"]


@on_disk
def test_one_of_many_begins_tells_and_ends(database: SqlDatabase) -> None:
    once = [False, False, False, True]
    assert together(database, lambda unit: unit.notices.begin(ALARM)) == once
    assert together(database, lambda unit: unit.notices.tell(ALARM, NOW)) == once
    told = replace(ALARM, told_at=NOW)
    assert together(database, lambda unit: unit.notices.tell(told, NOW + DAY)) == once
    assert together(database, lambda unit: unit.notices.end(told)) == once


# -- mails -------------------------------------------------------------------------------------------------


def claim(unit: UnitOfWork, minutes: int = 0, by: str = "w-1", limit: int = 10) -> list[QueuedMail]:
    now = NOW + minutes * MINUTE
    return unit.notices.claim(now=now, until=now + 5 * MINUTE, by=by, limit=limit)


def test_a_mail_is_claimed_once_and_again_when_its_claim_is_over(database: SqlDatabase) -> None:
    later = replace(MAIL, id="m-2", created_at=NOW + MINUTE)
    with database.begin() as unit:
        assert unit.notices.queue([later, MAIL]) == 2
        assert unit.notices.queue([replace(MAIL, body="other")]) == 0
        assert claim(unit) == [MAIL] and claim(unit) == []
        assert claim(unit, 1, "w-2") == [later]
        assert claim(unit, 5, "w-2") == [replace(MAIL, attempts=1)]
        assert claim(unit, 60, limit=1) == [replace(later, attempts=1)]


def test_what_was_sent_is_emptied_and_not_queued_again(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.notices.queue([MAIL])
        claim(unit)
        unit.notices.sent("m-1", at=NOW)
        unit.notices.put_off("m-1", by="w-1", until=NOW, fault="x")
        unit.notices.queue([MAIL])
        assert claim(unit, 60) == [] and unit.notices.unsent(NOW + DAY) == (0, None)
        assert unit.notices.give_up(NOW + DAY) == 0
        unit.notices.queue([MAIL])
        assert claim(unit, 60) == [MAIL]


def test_what_could_not_be_sent_waits_and_is_given_up_in_the_end(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.notices.queue([MAIL, replace(MAIL, id="m-2", created_at=NOW + MINUTE)])
        claim(unit, 1)
        unit.notices.put_off("m-1", by="w-2", until=NOW, fault="not ours")
        assert claim(unit, 2) == []
        unit.notices.put_off("m-1", by="w-1", until=NOW + 2 * MINUTE, fault="mail-unavailable")
        assert claim(unit, 1) == [] and claim(unit, 2) == [replace(MAIL, attempts=1)]
        assert unit.notices.unsent(NOW) == (0, None)
        assert unit.notices.unsent(NOW + MINUTE) == (1, "mail-unavailable")
        assert unit.notices.unsent(NOW + DAY) == (2, "mail-unavailable")
        assert unit.notices.give_up(NOW + MINUTE) == 1
        assert unit.notices.unsent(NOW + DAY) == (1, None)


@on_disk
def test_two_workers_never_hold_the_same_mail(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.notices.queue([replace(MAIL, id=f"m-{number}") for number in range(40)])
        unit.commit()
    held: list[str] = []

    def some(unit: UnitOfWork) -> bool:
        held.extend(mail.id for mail in claim(unit, by=threading.current_thread().name))
        return True

    together(database, some)
    while any(claimed := held[:]) and len(held) < 40:  # SKIP LOCKED may leave some for the next round
        together(database, some)
        assert len(held) > len(claimed)
    assert sorted(held) == sorted(f"m-{number}" for number in range(40))


# -- invitations -------------------------------------------------------------------------------------------


def test_an_invitation_is_used_once_and_ends_sessions(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.sessions.add(session := kit.SESSION)
        unit.sessions.add(replace(session, id="session-2", hash=b"a" * 32, kind=Kind.API))
        unit.invitations.put(INVITATION)
        assert unit.invitations.find(b"i" * 32) == INVITATION and unit.invitations.find(b"x" * 32) is None
        assert unit.invitations.use(b"x" * 32, now=NOW, password_hash="new") is None
        assert unit.invitations.use(b"i" * 32, now=NOW + MINUTE, password_hash="new") == "user-1"
        assert unit.accounts.user("user-1") == replace(USER, password_hash="new")
        assert unit.sessions.find(b"s" * 32) == replace(session, revoked_at=NOW + MINUTE)
        api = unit.sessions.find(b"a" * 32)
        assert api is not None and api.revoked_at is None
        assert unit.invitations.find(b"i" * 32) is None
        assert unit.invitations.use(b"i" * 32, now=NOW, password_hash="again") is None
        assert unit.accounts.user("user-1").password_hash == "new"


def test_an_invitation_ends_by_time_by_the_next_one_and_when_withdrawn(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.invitations.put(INVITATION)
        assert unit.invitations.use(b"i" * 32, now=NOW + 3 * DAY, password_hash="late") is None
        newer = replace(INVITATION, hash=b"j" * 32)
        unit.invitations.put(newer)
        assert unit.invitations.find(b"i" * 32) is None and unit.invitations.find(b"j" * 32) == newer
        unit.invitations.withdraw("user-1")
        assert unit.invitations.find(b"j" * 32) is None
        unit.invitations.withdraw("user-1")
        assert unit.accounts.user("user-1") == USER


def test_an_invitation_of_nobody_is_refused(database: SqlDatabase) -> None:
    with database.begin() as unit, pytest.raises(Conflict):
        unit.invitations.put(replace(INVITATION, user_id="nobody"))
        unit.commit()


@on_disk
def test_of_two_who_use_an_invitation_one_succeeds(database: SqlDatabase) -> None:
    with database.begin() as unit:
        unit.invitations.put(INVITATION)
        unit.commit()
    answers = together(database, lambda unit: unit.invitations.use(b"i" * 32, now=NOW, password_hash="p") is not None)
    assert answers == [False, False, False, True]


# -- the day -----------------------------------------------------------------------------------------------


def entries(database: SqlDatabase, *acts: Act) -> None:
    """Audit entries, sequenced."""
    with database.begin() as unit:
        head = unit.audit.head()
        ids = [name(500 + index) for index in range(head.size, head.size + len(acts))]
        leaves = []
        for entry_id, act in zip(ids, acts, strict=True):
            entry = Entry(
                id=entry_id, at=NOW, actor="system:test", act=act, target=None, purpose=None, detail={}, salt=b"s" * 16
            )
            unit.audit.append([(entry, leaf_data(entry))])
            leaves.append(leaf_data(entry))
        unit.audit.sequence(head, ids, grow(head.size, unit.audit.tiles(edge(head.size)), leaf_hashes(leaves)))
        unit.commit()


def test_the_counts_of_a_day(database: SqlDatabase) -> None:
    entries(database, Act.STORED, Act.OPENED, Act.SIGNED_IN)
    with database.read() as unit:
        first = unit.notices.counts(since=NOW - DAY, until=NOW, audit_size=0)
    assert (first.received, first.opened, first.destroyed, first.holds, first.audit_size) == (1, 1, 0, 0, 3)
    entries(database, Act.STORED, Act.STORED, Act.CLOSED)
    with database.begin() as unit:
        unit.holds.add(hold(1))
        unit.holds.add(hold(2))
        unit.holds.release("hold-2", by="user-1", at=NOW)
        unit.destructions.add(
            destruction(1, shredded_at=NOW - 2 * DAY),
            destruction(2, shredded_at=NOW - timedelta(hours=1)),
            destruction(3, shredded_at=NOW),
        )
        unit.commit()
    with database.read() as unit:
        second = unit.notices.counts(since=NOW - DAY, until=NOW, audit_size=first.audit_size)
    assert (second.received, second.opened, second.audit_size) == (2, 0, 6)
    assert (second.destroyed, second.certified, second.completed, second.holds) == (1, 0, 0, 1)
