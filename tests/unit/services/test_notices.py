"""Alarms are told once, each day while they stand, and when they end; whoever looks, and whatever does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from recvault.adapters.mail import MemoryMail
from recvault.domain.access import Role
from recvault.domain.audit import Act
from recvault.domain.backups import VERIFIED
from recvault.domain.communication import Attention
from recvault.domain.errors import DatabaseUnavailable, InvalidInput, MailRefused, MailUnavailable, StoreUnavailable
from recvault.domain.notices import Alarm, DayCounts
from recvault.domain.purpose import Purpose
from recvault.services import notice_texts
from recvault.services.alarms import TaskState
from recvault.services.mailing import AT_ONCE, Mailing
from recvault.services.notices import Notices, NoticeSettings
from tests.support.archives import World, make_world

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WATCHERS = ("a@company.example", "b@company.example")


@dataclass
class Watched:
    """An archive, its mail, and any number of workers that watch it."""

    world: World
    mail: MemoryMail = field(default_factory=MemoryMail)
    settings: NoticeSettings | None = None
    suspended: bool = False

    def notices(self) -> Notices:
        """Another process."""
        archive = self.world.archive
        mailing = Mailing(
            database=archive.database, mail=self.mail, clock=self.world.clock, entropy=archive.entropy, printed=False
        )
        return Notices(
            database=archive.database,
            mailing=mailing,
            gauges=archive.gauges,
            clock=self.world.clock,
            settings=self.settings or base_settings(),
            suspended=lambda now: self.suspended,
        )

    def look(self, *tasks: TaskState, beat: bool = True, notices: Notices | None = None) -> list[str]:
        """One look of one worker; the subjects that went out, each to both watchers."""
        before = len(self.mail.sent)
        if beat:
            self.world.archive.audit.sequence()
            self.world.archive.gauges.beat()
        (notices or self.notices()).watch("w-1", tasks)
        new = self.mail.sent[before:]
        subjects = list(dict.fromkeys(mail.subject for mail in new))
        for subject in subjects:
            assert sorted(mail.recipient for mail in new if mail.subject == subject) == list(WATCHERS)
        return subjects

    def alarms(self) -> list[str]:
        with self.world.archive.database.read() as unit:
            return [alarm.name for alarm in unit.notices.alarms()]


def base_settings() -> NoticeSettings:
    return NoticeSettings(
        alarms_to=WATCHERS,
        digest_to=WATCHERS,
        language="en",
        attention_limit=2,
        desk="https://archive.company.example",
        zone=UTC,
    )


@pytest.fixture
def watched() -> Iterator[Watched]:
    world = make_world()
    yield Watched(world)
    world.archive.resources.close()


def task(watched: Watched, name: str = "purge", **wrong: int) -> TaskState:
    return TaskState(task=name, at=watched.world.clock.now(), wrong=wrong)


# -- a life of an alarm ------------------------------------------------------------------------------------


def test_nothing_is_told_while_all_is_well(watched: Watched) -> None:
    for _ in range(3):
        assert watched.look(task(watched)) == []
        watched.world.later(minutes=1)
    assert watched.alarms() == []


def test_overdue_is_told_at_once_each_day_and_at_its_end(watched: Watched) -> None:
    watched.world.store("call-1")
    watched.world.later(days=190)
    assert watched.look() == ["Archive: alarm began (1)"]
    body = watched.mail.sent[-1].body
    assert "retention period is over: 1. [overdue]" in body and "https://archive.company.example/" in body
    told = []
    for hours in range(1, 50):
        watched.world.later(hours=1)
        told += [(hours, subject) for subject in watched.look()]
    assert told == [(24, "Archive: alarm still stands (1)"), (48, "Archive: alarm still stands (1)")]
    watched.world.archive.purge.run("w-1")
    assert watched.look() == [] and watched.alarms() == ["overdue"]
    watched.world.later(minutes=6)
    assert watched.look() == ["Archive: alarm ended (1)"] and watched.alarms() == []
    watched.world.later(minutes=6)
    assert watched.look() == []


def test_two_workers_send_one_mail(watched: Watched) -> None:
    first, second = watched.notices(), watched.notices()
    watched.world.store("call-1")
    watched.world.later(days=190)
    assert watched.look(notices=first) == ["Archive: alarm began (1)"]
    assert watched.look(notices=second) == []
    watched.world.later(hours=24)
    assert watched.look(notices=second) == ["Archive: alarm still stands (1)"]
    assert watched.look(notices=first) == []


def test_what_one_machine_sees_and_another_does_not_neither_ends_nor_flaps(watched: Watched) -> None:
    told: list[str] = []
    for _ in range(10):
        told += watched.look(task(watched, stopped=3))
        told += watched.look()  # another worker, whose tasks found nothing
        watched.world.later(minutes=1)
    assert told == ["Archive: alarm began (1)"] and watched.alarms() == ["purge/stopped"]


def test_a_task_ends_its_alarm_by_going_well_later(watched: Watched) -> None:
    earlier = task(watched)
    watched.world.later(minutes=1)
    assert watched.look(task(watched, unfinished=2)) == ["Archive: alarm began (1)"]
    assert "Not yet gone from the object store: 2." in watched.mail.sent[-1].body
    watched.world.later(minutes=30)
    assert watched.look(earlier) == []  # what went well before says nothing
    watched.world.later(minutes=1)
    assert watched.look(task(watched, "overdue")) == ["Archive: alarm ended (1)"]


def test_a_task_that_is_never_heard_of_again_ends_its_alarm_in_time(watched: Watched) -> None:
    watched.look(task(watched, came_back=1))
    watched.world.later(hours=23)
    assert watched.look() == []
    watched.world.later(hours=4)
    assert watched.look() == ["Archive: alarm ended (1)"]


def test_a_task_that_keeps_failing(watched: Watched) -> None:
    since = watched.world.clock.now()
    state = TaskState(task="sweep", at=since, wrong={}, failing_since=since)
    assert watched.look(state) == []
    watched.world.later(minutes=11)
    assert watched.look(state) == ["Archive: alarm began (1)"]
    assert "The task sweep has been failing for 11 minutes. [sweep/failed]" in watched.mail.sent[-1].body
    assert watched.look(task(watched, "sweep")) == []  # in the very moment it was seen
    watched.world.later(minutes=1)
    assert watched.look(task(watched, "sweep")) == ["Archive: alarm ended (1)"]


# -- each of them ------------------------------------------------------------------------------------------


def test_a_store_out_of_reach_is_told_after_a_while(watched: Watched) -> None:
    gauges, store = watched.world.archive.gauges, watched.world.archive.store
    gauges._store = GoneStore()  # type: ignore[assignment]
    assert watched.look() == [] and watched.alarms() == ["store"]
    watched.world.later(minutes=3)
    assert watched.look() == ["Archive: alarm began (1)"] and "[store]" in watched.mail.sent[-1].body
    gauges._store = store
    watched.world.later(minutes=6)
    assert watched.look() == ["Archive: alarm ended (1)"]


def test_a_store_that_comes_back_soon_is_not_told_of(watched: Watched) -> None:
    gauges, store = watched.world.archive.gauges, watched.world.archive.store
    gauges._store = GoneStore()  # type: ignore[assignment]
    assert watched.look() == []
    gauges._store = store
    for _ in range(8):
        watched.world.later(minutes=1)
        assert watched.look() == []
    assert watched.alarms() == []


class GoneStore:
    """Answers nothing."""

    def check(self) -> None:
        raise StoreUnavailable("gone; try again")


def test_attention_beyond_the_number(watched: Watched) -> None:
    for number in range(2):
        watched.world.store(f"c-{number}", attention=frozenset({Attention.EMPTY_CONTENT}))
        expected = ["Archive: alarm began (1)"] if number == 1 else []
        assert watched.look() == expected
    assert "Many communications need attention: 2. [attention]" in watched.mail.sent[-1].body


def test_no_worker_and_an_audit_log_that_stands_still(watched: Watched) -> None:
    watched.look()
    watched.world.archive.audit.note(actor="system:test", act=Act.SIGNED_OUT)
    watched.world.later(minutes=11)
    assert watched.look(beat=False) == ["Archive: alarm began (1)"] and "[audit-behind]" in watched.mail.sent[-1].body
    watched.world.later(minutes=2)
    assert watched.look(beat=False) == ["Archive: alarm began (1)"] and "[no-worker]" in watched.mail.sent[-1].body
    assert watched.alarms() == ["audit-behind", "no-worker"]
    watched.look()
    watched.world.later(minutes=6)
    assert watched.look() == ["Archive: alarm ended (2)"]


def test_an_unsigned_policy_is_told_after_14_days_and_its_stops_are_not() -> None:
    watched = Watched(make_world(signed=False))
    stopped = task(watched, stopped_because=1)
    assert watched.look(stopped) == []
    watched.world.later(days=13, hours=23)
    assert watched.look(stopped) == []
    watched.world.later(hours=2)
    assert watched.look(stopped) == ["Archive: alarm began (1)"] and watched.alarms() == ["policy-unsigned"]
    watched.world.archive.retention.sign(watched.world.actor(Role.PRIVACY_HANDLER), watched.world.policy_version)
    watched.world.later(minutes=6)
    assert watched.look() == ["Archive: alarm ended (1)"]
    watched.world.archive.resources.close()


def test_destruction_that_is_suspended(watched: Watched) -> None:
    watched.suspended = True
    assert watched.look(task(watched, stopped_because=1)) == ["Archive: alarm began (1)"]
    assert watched.alarms() == ["destruction-suspended"]


def test_destruction_that_stopped_by_itself(watched: Watched) -> None:
    assert watched.look(task(watched, stopped_because=1)) == ["Archive: alarm began (1)"]
    assert watched.alarms() == ["purge/stopped_because"]


def test_backups_where_they_are_made(watched: Watched) -> None:
    watched.settings = replace(base_settings(), backups=True)
    assert watched.look() == []
    watched.world.later(hours=49)
    assert watched.look() == ["Archive: alarm began (1)"] and "[backup]" in watched.mail.sent[-1].body
    with watched.world.archive.database.begin() as unit:
        unit.settings.put(VERIFIED, {"made_at": watched.world.clock.now().isoformat(), "id": "b-1"})
        unit.commit()
    watched.world.later(minutes=6)
    assert watched.look() == ["Archive: alarm ended (1)"]


def test_a_database_that_is_gone_is_told_without_it_and_ended_with_it(watched: Watched) -> None:
    notices = watched.notices()
    database = watched.world.archive.database
    gone = GoneDatabase()
    notices._database = gone  # type: ignore[assignment]
    watched.world.archive.gauges._database = gone  # type: ignore[assignment]
    told = []
    for _ in range(4):
        told += watched.look(beat=False, notices=notices)
        watched.world.later(minutes=1)
    assert told == ["Archive: alarm began (1)"] and "[database]" in watched.mail.sent[-1].body
    notices._database = watched.world.archive.gauges._database = database
    assert watched.look(notices=notices) == [] and watched.alarms() == ["database"]
    watched.world.later(minutes=6)
    assert watched.look(notices=watched.notices()) == ["Archive: alarm ended (1)"]


class GoneDatabase:
    """Answers nothing."""

    def read(self) -> object:
        raise DatabaseUnavailable("gone; try again")

    begin = read


# -- sending -----------------------------------------------------------------------------------------------


def test_mail_that_cannot_go_out_waits_and_arrives_under_the_same_id(watched: Watched) -> None:
    watched.mail.fault = MailUnavailable("down; later")
    assert watched.look(task(watched, stopped=1)) == []
    mailing = watched.notices()._mailing
    assert mailing.late() == (0, None)
    for _ in range(20):
        watched.world.later(minutes=1)
        assert watched.look(task(watched, stopped=1)) == []
    assert mailing.late() == (2, "mail-unavailable")
    watched.mail.fault = None
    watched.world.later(minutes=15)
    assert watched.look(task(watched, stopped=1)) == ["Archive: alarm began (1)"] and mailing.late() == (0, None)
    assert len({mail.message_id for mail in watched.mail.sent}) == 2


def test_a_refused_mail_is_tried_each_hour_and_forgotten_after_a_week(watched: Watched) -> None:
    watched.mail.fault = MailRefused("no; mend it")
    watched.look(task(watched, stopped=1))
    mailing = watched.notices()._mailing
    watched.world.later(minutes=59)
    assert mailing.send_waiting("w-1").put_off == 0
    watched.world.later(minutes=2)
    report = mailing.send_waiting("w-1")
    assert (report.put_off, report.faults) == (2, ("mail-refused",))
    watched.world.later(days=7)
    assert mailing.send_waiting("w-1").given_up == 2 and mailing.late() == (0, None)


def test_one_mail_that_is_refused_does_not_hold_up_the_next(watched: Watched) -> None:
    mail = RefusesFirst()
    watched.mail = mail
    notices = watched.notices()
    notices.watch("w-1", [task(watched, stopped=1)])
    assert [one.recipient for one in mail.sent] == [WATCHERS[1]]


class RefusesFirst(MemoryMail):
    """Has something against one recipient."""

    def send(self, message: object) -> None:
        if message.recipient == WATCHERS[0]:  # type: ignore[attr-defined]
            raise MailRefused("no; mend the address")
        super().send(message)  # type: ignore[arg-type]


def test_a_server_out_of_reach_is_asked_once_a_go(watched: Watched) -> None:
    asked: list[object] = []

    class Down(MemoryMail):
        def send(self, message: object) -> None:
            asked.append(message)
            raise MailUnavailable("down; later")

    watched.mail = Down()
    watched.settings = replace(base_settings(), alarms_to=tuple(f"{n}@company.example" for n in range(AT_ONCE)))
    report = watched.notices().watch("w-1", [task(watched, stopped=1)]).sending
    assert (report.put_off, len(asked)) == (AT_ONCE, 1)


def test_a_test_message(watched: Watched) -> None:
    notices = watched.notices()
    notices.test("someone@company.example")
    assert watched.mail.sent[0].subject == "Archive: test message"
    with pytest.raises(InvalidInput):
        notices.test("some one")


# -- digest ------------------------------------------------------------------------------------------------


def test_the_digest_counts_from_one_to_the_next(watched: Watched) -> None:
    world, notices = watched.world, watched.notices()
    world.clock.set(datetime(2026, 11, 22, 6, 0, tzinfo=UTC))
    world.archive.audit.sequence()
    assert notices.digest() is None  # from here on is counted
    world.store("call-1")
    world.store("call-2")
    world.archive.audit.sequence()
    world.clock.set(datetime(2026, 11, 22, 7, 29, tzinfo=UTC))
    assert notices.digest() is None
    world.clock.set(datetime(2026, 11, 22, 7, 31, tzinfo=UTC))
    assert watched.notices().digest() == "2026-11-22" and notices.digest() is None
    notices.watch("w-1")
    mail = watched.mail.sent[0]
    assert len(watched.mail.sent) == 2 and mail.subject == "Archive: the day in numbers"
    assert lines(mail.body)["received"] == "2" and "From 2026-11-22 at 06:00 to 2026-11-22 at 07:31:" in mail.body
    world.clock.set(datetime(2026, 11, 23, 9, 0, tzinfo=UTC))  # late: the worker was away
    assert notices.digest() == "2026-11-23"
    notices.watch("w-1")
    digests = [mail for mail in watched.mail.sent if "numbers" in mail.subject]
    assert len(digests) == 4 and lines(digests[-1].body)["received"] == "0"


def test_what_the_digest_counts(watched: Watched) -> None:
    world, notices = watched.world, watched.notices()
    first = world.store("call-1")
    world.later(days=2)  # under another day's key than what is held
    held = world.store("call-2")
    world.archive.audit.sequence()
    notices.digest()
    privacy = world.actor(Role.PRIVACY_HANDLER)
    world.archive.holds.place(
        privacy, reason="a claim", review_on=(world.clock.now() + 30 * DAY).date(), communication_id=held.id
    )
    world.archive.retrieval.open(world.actor(Role.VERIFIER), first.id, Purpose.VERIFICATION, reason="complaint")
    world.later(days=190)
    world.archive.purge.run("w-1")
    world.later(seconds=61)
    world.archive.purge.run("w-1")
    world.later(seconds=1)  # what happens in the very moment belongs to the next day
    world.archive.audit.sequence()
    world.archive.gauges.beat()
    assert notices.digest() is not None
    notices.watch("w-1")
    (body, *_) = [mail.body for mail in watched.mail.sent if "numbers" in mail.subject]
    told = lines(body)
    assert told == {
        "received": "0",
        "opened": "1",
        "destroyed": "1",
        "certificates (content out of reach)": "1",
        "certificates (complete)": "1",
        "need attention": "0",
        "holds": "1",
        "overdue": "0",
        "alarms that stand": "0",
        "mails not sent": "0",
    }


def lines(body: str) -> dict[str, str]:
    return {line[:40].strip(): line[40:].strip() for line in body.splitlines() if line.startswith("  ")}


def test_two_workers_make_one_digest(watched: Watched) -> None:
    world = watched.world
    world.clock.set(datetime(2026, 11, 22, 8, 0, tzinfo=UTC))
    first, second = watched.notices(), watched.notices()
    first.digest()
    world.clock.set(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
    with world.archive.database.read() as unit:
        state = unit.settings.get("digest")
    assert first.digest() == "2026-11-23"
    with world.archive.database.begin() as unit:  # as if the second had read before the first wrote
        assert state is not None
        unit.settings.put("digest", state)
        unit.commit()
    assert second.digest() is None
    second.watch("w-2")
    assert len([mail for mail in watched.mail.sent if "numbers" in mail.subject]) == 2


def test_without_recipients_there_is_no_digest_and_alarms_stand_all_the_same(watched: Watched) -> None:
    watched.settings = replace(base_settings(), alarms_to=(), digest_to=())
    notices = watched.notices()
    assert notices.digest() is None
    look = notices.watch("w-1", [task(watched, stopped=1)])
    assert look.began == ("purge/stopped",) and "no-worker" in watched.alarms() and watched.mail.sent == []


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", notice_texts.LANGUAGES)
def test_every_alarm_has_words(language: str) -> None:
    from recvault.domain.notices import AlarmCode
    from recvault.interfaces.tasks import ALARMING

    words = notice_texts.LANGUAGES[language]
    assert set(words.alarms) == {code.value for code in AlarmCode}
    assert set(words.tasks) >= (ALARMING - {"violations"}) | {"failed"}
    now = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)
    names = [*words.alarms, *(f"purge/{what}" for what in words.tasks), "new/unheard"]
    alarms = [Alarm(name=name, began_at=now, seen_at=now, count=7) for name in names]
    groups = {"began": alarms, "stands": alarms[:1], "ended": alarms[:2]}
    subject, body = notice_texts.alarm_mail(words, groups, desk="https://x.example", zone=UTC)
    assert "{" not in subject + body and all(f"[{name}]" in body for name in names)
    counts = DayCounts(received=1, opened=2, destroyed=3, certified=4, completed=5, holds=6, audit_size=7)
    standing = {"attention": 1, "overdue": None, "alarms": 0, "unsent": 0}
    _, day = notice_texts.digest_mail(
        words, counts, standing, since=now - DAY, until=now, desk="https://x.example", zone=UTC
    )
    assert "{" not in day and "?" in day
