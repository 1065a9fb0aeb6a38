"""Outgoing mail, put together from the words of a language (``notice_words``).

Keeps: numbers, codes, times of day and links only; a text has no room for anything personal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from recvault.domain.notices import Alarm, DayCounts
from recvault.services.notice_words import FI, Words
from recvault.services.notice_words_en import EN

LANGUAGES: Mapping[str, Words] = {"fi": FI, "en": EN}


def moment(words: Words, at: datetime, zone: tzinfo) -> str:
    """Day and time of day in the archive's zone."""
    return words.moment.format(at=at.astimezone(zone))


def alarm_mail(
    words: Words,
    groups: Mapping[str, Sequence[Alarm]],
    *,
    desk: str,
    zone: tzinfo,
) -> tuple[str, str]:
    """Subject and text. ``groups``: alarms by ``began``, ``stands``, ``ended``; empty groups are left out."""
    told = {getattr(words, name): alarms for name, alarms in groups.items() if alarms}
    subject = ", ".join(f"{heading} ({len(alarms)})" for heading, alarms in told.items())
    lines: list[str] = []
    for heading, alarms in told.items():
        lines.append(f"{words.alarm.capitalize()} {heading}:")
        for alarm in alarms:
            what, mend = _told(words, alarm)
            lines.append(f"* {what} [{alarm.name}]")
            lines.append(f"  {words.since.capitalize()} {moment(words, alarm.began_at, zone)}.")
            if heading != words.ended:
                lines.append(f"  {words.mend}: {mend}.")
        lines.append("")
    return f"{words.archive}: {words.alarm} {subject}", "\n".join([*lines, *_foot(words, desk)])


def digest_mail(
    words: Words,
    counts: DayCounts,
    standing: Mapping[str, int | None],
    *,
    since: datetime,
    until: datetime,
    desk: str,
    zone: tzinfo,
) -> tuple[str, str]:
    """Subject and text of a day. ``standing``: numbers of this moment by name; None where a part did not answer."""
    numbers: dict[str, int | None] = {
        "received": counts.received,
        "opened": counts.opened,
        "destroyed": counts.destroyed,
        "certified": counts.certified,
        "completed": counts.completed,
        "holds": counts.holds,
        **standing,
    }
    width = max(len(told) for told in words.counts.values())
    period = words.period.format(since=moment(words, since, zone), until=moment(words, until, zone))
    lines = [period, ""]
    for name, told in words.counts.items():
        number = numbers[name]
        lines.append(f"  {told.ljust(width)}  {'?' if number is None else number:>8}")
    return f"{words.archive}: {words.digest}", "\n".join([*lines, "", *_foot(words, desk)])


def test_mail(words: Words) -> tuple[str, str]:
    """Subject and text that show that mail arrives."""
    return f"{words.archive}: {words.test[0]}", f"{words.test[1]}\n\n{words.nothing_personal}\n"


def invitation_mail(words: Words, *, link: str, until: datetime, zone: tzinfo) -> tuple[str, str]:
    """Subject and text that let one person in; the text is confidential."""
    text = words.invitation[1].format(link=link, until=moment(words, until, zone))
    return f"{words.archive}: {words.invitation[0]}", f"{text}\n"


def proposal_mail(
    words: Words, told: tuple[str, str], *, link: str, kind: str, until: datetime, zone: tzinfo
) -> tuple[str, str]:
    """Subject and text about a proposal: ``told`` is one of the two that ``words`` have."""
    text = told[1].format(link=link, kind=kind, until=moment(words, until, zone))
    return f"{words.archive}: {told[0]}", f"{text}\n\n{words.nothing_personal}\n"


def _told(words: Words, alarm: Alarm) -> tuple[str, str]:
    task, _, what = alarm.name.rpartition("/")
    known = words.tasks.get(what) if task else words.alarms.get(alarm.name)
    title, mend = known or (words.other, words.tasks["failed"][1])
    return title.format(count=alarm.count, task=task, what=what), mend


def _foot(words: Words, desk: str) -> list[str]:
    return [f"{words.look}: {desk}/", words.nothing_personal, ""]
