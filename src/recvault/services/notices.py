"""Telling people how the archive fares: alarms when something begins to be wrong, each day while it is, and when it
ends; a digest of counts every day.

Keeps: a mail is queued in the transaction that changes the alarm, so that of any number of workers one mails; it is sent
afterwards, outside of it. Counts, codes and links only. A database that is gone cannot be written to: each worker then
mails by itself, and leaves the alarm behind when it is back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, tzinfo

from recvault.domain.notices import Alarm, AlarmCode, QueuedMail
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.system import Clock
from recvault.services import alarms, notice_texts
from recvault.services.alarms import Sights, TaskState
from recvault.services.gauges import Gauges
from recvault.services.mailing import LATE, Mailing, Sending

DIGEST = "digest"
"""The setting that says up to where the last digest counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeSettings:
    """Who hears what. ``attention_limit``: so many communications that need attention are an alarm. ``desk``: the
    address of the desk, without a slash at its end. ``backups``: whether this archive makes backups."""

    alarms_to: tuple[str, ...] = ()
    digest_to: tuple[str, ...] = ()
    digest_at: time = time(7, 30)
    language: str = "fi"
    attention_limit: int = 50
    desk: str
    zone: tzinfo
    backups: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look came to: names of the alarms that people are told of, and what became of mails."""

    began: tuple[str, ...] = ()
    stand: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    sending: Sending = field(default_factory=Sending)


class Notices:
    """Looks and tells. ``suspended``: whether somebody has suspended destruction; ``more``: what else is to be told."""

    def __init__(
        self,
        *,
        database: Database,
        mailing: Mailing,
        gauges: Gauges,
        clock: Clock,
        settings: NoticeSettings,
        suspended: Callable[[datetime], bool],
        more: Callable[[UnitOfWork, datetime], Sights] | None = None,
    ) -> None:
        self._database = database
        self._mailing = mailing
        self._gauges = gauges
        self._clock = clock
        self._settings = settings
        self._suspended = suspended
        self._more = more
        self._words = notice_texts.LANGUAGES[settings.language]
        self._gone: Alarm | None = None

    # --- alarms

    def watch(self, worker: str, tasks: Iterable[TaskState] = ()) -> Look:
        """Looks at everything once, queues what is to be told, and sends what waits. DatabaseUnavailable when the
        database goes away meanwhile; the next look repeats it."""
        now, tasks = self._clock.now(), tuple(tasks)
        values = self._gauges.read()
        if not values["database_reachable"]:
            return self._without_database(now)
        suspended = self._suspended(now)
        with self._database.begin() as unit:
            self._after_database(unit)
            seen = alarms.of_gauges(values, attention_limit=self._settings.attention_limit)
            seen |= alarms.of_rows(unit, now, suspended=suspended, backups=self._settings.backups)
            if self._more is not None:
                seen |= self._more(unit, now)
            seen |= alarms.of_tasks(tasks, now)
            if suspended or alarms.is_unsigned(unit):
                seen = alarms.without_stops(seen)
            groups = _compare(unit, seen, tasks, now)
            if any(groups.values()):
                unit.notices.queue(self._alarm_mails(groups))
            unit.commit()
        began, stand, ended = (tuple(alarm.name for alarm in groups[kind]) for kind in ("began", "stands", "ended"))
        return Look(began=began, stand=stand, ended=ended, sending=self._mailing.send_waiting(worker))

    def _without_database(self, now: datetime) -> Look:
        gone = self._gone or Alarm(name=AlarmCode.DATABASE, began_at=now, seen_at=now, count=1)
        self._gone = gone = replace(gone, seen_at=now)
        if not alarms.is_to_tell(gone, now):
            return Look()
        mails = self._alarm_mails({"began" if gone.told_at is None else "stands": [gone]})
        faults = [fault.code for mail in mails if (fault := self._mailing.attempt(mail))]
        if not mails or len(faults) < len(mails):
            self._gone = replace(gone, told_at=now)
        sending = Sending(sent=len(mails) - len(faults), put_off=len(faults), faults=tuple(sorted(set(faults))))
        return Look(began=(gone.name,), sending=sending)

    def _after_database(self, unit: UnitOfWork) -> None:
        """What was told without it stands from now on like any other, and so is ended once, whoever was watching."""
        if self._gone is not None and self._gone.told_at is not None:
            unit.notices.begin(self._gone)
        self._gone = None

    def _alarm_mails(self, groups: Mapping[str, Sequence[Alarm]]) -> list[QueuedMail]:
        subject, body = notice_texts.alarm_mail(self._words, groups, desk=self._settings.desk, zone=self._settings.zone)
        return self._mailing.letters(self._settings.alarms_to, subject, body)

    # --- digest

    def digest(self) -> str | None:
        """Queues the digest once its time has come; the day it is for, None when there is nothing to do. Counts run from
        digest to digest, so that nothing is left out or told twice; the first begins where digests were switched on."""
        if not self._settings.digest_to:
            return None
        now = self._clock.now()
        day = self._day(now)
        with self._database.read() as unit:
            last = unit.settings.get(DIGEST)
        if last is not None and str(last["day"]) >= day:
            return None
        standing = {} if last is None else self._standing()
        with self._database.begin() as unit:
            if last is None:
                size = unit.audit.head().size
            else:
                since = datetime.fromisoformat(str(last["at"]))
                counts = unit.notices.counts(since=since, until=now, audit_size=int(str(last["audit_size"])))
                size = counts.audit_size
                standing |= {"alarms": len(unit.notices.alarms()), "unsent": unit.notices.unsent(now - LATE)[0]}
                subject, body = notice_texts.digest_mail(
                    self._words, counts, standing,
                    since=since, until=now, desk=self._settings.desk, zone=self._settings.zone,
                )  # fmt: skip
                if not unit.notices.queue(self._digest_mails(day, subject, body, now)):
                    return None  # another worker was faster, and its counts are the ones that are told
            unit.settings.put(DIGEST, {"day": day, "at": now.isoformat(), "audit_size": size})
            unit.commit()
        return None if last is None else day

    def _day(self, now: datetime) -> str:
        """The day whose digest is the newest that is due."""
        local = now.astimezone(self._settings.zone)
        due = local.time() >= self._settings.digest_at
        return (local.date() if due else local.date() - timedelta(days=1)).isoformat()

    def _standing(self) -> dict[str, int | None]:
        values = self._gauges.read()
        names = {"attention": "needs_attention", "overdue": "overdue"}
        return {name: int(values[gauge]) if gauge in values else None for name, gauge in names.items()}

    def _digest_mails(self, day: str, subject: str, body: str, now: datetime) -> list[QueuedMail]:
        """Their ids are the same whoever makes them."""
        return [
            QueuedMail(
                id=f"digest-{day}-{hashlib.sha256(to.encode()).hexdigest()[:16]}",
                recipient=to,
                subject=subject,
                body=body,
                created_at=now,
            )
            for to in dict.fromkeys(self._settings.digest_to)
        ]

    # --- by hand

    def test(self, address: str) -> None:
        """Sends a test message now; MailUnavailable, MailRefused, InvalidInput for what is no address."""
        (mail,) = self._mailing.letters((address,), *notice_texts.test_mail(self._words))
        self._mailing.send(mail)


def _compare(unit: UnitOfWork, sights: Sights, tasks: Sequence[TaskState], now: datetime) -> dict[str, list[Alarm]]:
    """Brings the alarms that stand into step with what is seen; those that people are to hear of, by kind."""
    standing = {alarm.name for alarm in unit.notices.alarms()}
    for name, count in sorted(sights.items()):
        if name in standing:
            unit.notices.see(name, at=now, count=count)
        elif count is not None:
            unit.notices.begin(Alarm(name=name, began_at=now, seen_at=now, count=count))
    groups: dict[str, list[Alarm]] = {"began": [], "stands": [], "ended": []}
    for alarm in unit.notices.alarms():
        if alarm.name not in sights:
            if alarms.is_over(alarm, tasks, now) and unit.notices.end(alarm) and alarm.told_at is not None:
                groups["ended"].append(alarm)
        elif sights[alarm.name] is not None and alarms.is_to_tell(alarm, now) and unit.notices.tell(alarm, now):
            groups["began" if alarm.told_at is None else "stands"].append(alarm)
    return groups
