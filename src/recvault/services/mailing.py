"""Sending mail: what waits in the database, and what is sent at once.

Keeps: a mail is in one worker's hands at a time; a mail that cannot be sent holds up nothing but itself, is tried again
under the same id, and is forgotten after a week. What is confidential is never written down: it is sent at once or not
at all. No error repeats an address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from recvault.domain.errors import MailPutOff, MailUnavailable, RecvaultError
from recvault.domain.ids import uuid7
from recvault.domain.notices import QueuedMail
from recvault.domain.ports.database import Database
from recvault.domain.ports.mail import Mail, OutgoingMail
from recvault.domain.ports.system import Clock, Entropy

LEASE = timedelta(minutes=15)
"""For how long a mail is in the hands of the worker that sends it."""
AT_ONCE = 5
"""Mails sent in one go: with the longest time-outs still within the lease."""
KEEPING = timedelta(days=7)
"""How long an unsent mail is tried, and the id of a sent one remembered."""
LATE = timedelta(minutes=15)
"""After this a mail that waits is told of."""
LONGEST_PAUSE = timedelta(minutes=15)
"""Between attempts at a server that puts off."""
REFUSED_PAUSE = timedelta(hours=1)
"""Between attempts at a server that refuses until somebody mends something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """What one go came to. ``faults``: codes of what kept mails back."""

    sent: int = 0
    put_off: int = 0
    given_up: int = 0
    faults: tuple[str, ...] = ()


class Mailing:
    """Sends. ``printed``: whether mail only goes to log and console, because no server is configured."""

    def __init__(self, *, database: Database, mail: Mail, clock: Clock, entropy: Entropy, printed: bool) -> None:
        self._database = database
        self._mail = mail
        self._clock = clock
        self._entropy = entropy
        self.printed = printed

    def letters(self, recipients: Sequence[str], subject: str, body: str) -> list[QueuedMail]:
        """One for each, made now."""
        now = self._clock.now()
        return [
            QueuedMail(id=uuid7(now, self._entropy.bytes(10)), recipient=to, subject=subject, body=body, created_at=now)
            for to in recipients
        ]

    def send_waiting(self, worker: str) -> Sending:
        """Sends what is due; a server that is out of reach puts off the rest without being asked again."""
        now = self._clock.now()
        with self._database.begin() as unit:
            given_up = unit.notices.give_up(now - KEEPING)
            mails = unit.notices.claim(now=now, until=now + LEASE, by=worker, limit=AT_ONCE)
            unit.commit()
        faults: list[str] = []
        unreachable: RecvaultError | None = None
        for mail in mails:
            fault = unreachable or self.attempt(mail)
            away = isinstance(fault, MailUnavailable) and not isinstance(fault, MailPutOff)
            unreachable = fault if away else None
            self._note(mail, worker, fault)
            if fault is not None:
                faults.append(fault.code)
        return Sending(
            sent=len(mails) - len(faults),
            put_off=len(faults),
            given_up=given_up,
            faults=tuple(sorted(set(faults))),
        )

    def attempt(self, mail: QueuedMail) -> RecvaultError | None:
        """Tries to send it; the error when it does not go out."""
        try:
            self.send(mail)
        except RecvaultError as fault:
            return fault
        return None

    def send(self, mail: QueuedMail, *, confidential: bool = False) -> None:
        """Now; errors as of :class:`Mail`."""
        self._mail.send(
            OutgoingMail(
                recipient=mail.recipient,
                subject=mail.subject,
                body=mail.body,
                message_id=mail.id,
                date=mail.created_at,
                confidential=confidential,
            )
        )

    def check(self) -> str:
        """What the mail server answers, in a few words; errors as of :class:`Mail`."""
        return self._mail.check()

    def late(self) -> tuple[int, str | None]:
        """How many mails have waited too long, and the newest code of an error among them."""
        with self._database.read() as unit:
            return unit.notices.unsent(self._clock.now() - LATE)

    def _note(self, mail: QueuedMail, worker: str, fault: RecvaultError | None) -> None:
        now = self._clock.now()
        with self._database.begin() as unit:
            if fault is None:
                unit.notices.sent(mail.id, at=now)
            else:
                unit.notices.put_off(mail.id, by=worker, until=now + _pause(mail, fault), fault=fault.code)
            unit.commit()


def _pause(mail: QueuedMail, fault: RecvaultError) -> timedelta:
    if isinstance(fault, MailUnavailable):
        return min(timedelta(minutes=mail.attempts + 1), LONGEST_PAUSE)
    return REFUSED_PAUSE
