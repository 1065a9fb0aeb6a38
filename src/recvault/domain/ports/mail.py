"""Port to outgoing mail: one short text to one recipient.

Keeps: nothing of a message can end a header and begin another (RFC 5322, 2.2; CWE-93), whatever it was made from.
Left to others: who gets mail and what it says (services), the sender's address and the wire (adapters).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from recvault.domain.errors import InvalidInput
from recvault.domain.ids import require_aware

_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOMS})@(?P<domain>{_LABEL}(?:\.{_LABEL})*)", re.ASCII)
_MESSAGE_ID = re.compile(r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*", re.ASCII)

ADDRESS_LENGTH = 254
"""Characters of an address (RFC 5321, 4.5.3.1.3, without the angle brackets); 64 of them before the @."""
SUBJECT_LENGTH = 200
"""Characters of a subject."""
BODY_LENGTH = 20_000
"""Characters of a text."""


def mail_address(text: str) -> str:
    """The address as it was given; InvalidInput unless it is one plain ``name@domain`` (RFC 5321, 4.1.2: a dot-string
    and a domain; neither quoted names nor address literals nor anything beyond ASCII)."""
    found = _ADDRESS.fullmatch(text)
    if found is None or len(text) > ADDRESS_LENGTH or len(found["local"]) > 64:
        raise InvalidInput(
            "a mail address is written as name@company.example, alone and in plain letters (a domain with others in its "
            "xn-- form)"
        )
    return text


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingMail:
    """One plain text to one recipient.

    ``message_id`` is what stands before the @ of Message-ID: the same for every attempt at the same mail, so that whoever
    gets it twice can tell. ``confidential``: the text carries a secret (a link that lets somebody in), so it may go to
    its recipient or to a person at a console, and into no log.
    InvalidInput for anything that could become a header of its own, or that no mail program shows.
    """

    recipient: str
    subject: str
    body: str
    message_id: str
    date: datetime
    confidential: bool = False

    def __post_init__(self) -> None:
        mail_address(self.recipient)
        if not 1 <= len(self.subject) <= SUBJECT_LENGTH or _unprintable(self.subject):
            raise InvalidInput(f"a subject is one line of 1 to {SUBJECT_LENGTH} printable characters; write another")
        if len(self.body) > BODY_LENGTH or _unprintable(self.body.replace("\n", "")):
            raise InvalidInput(f"the text of a mail has at most {BODY_LENGTH} printable characters; write another")
        if len(self.message_id) > 100 or not _MESSAGE_ID.fullmatch(self.message_id):
            raise InvalidInput("a message id has 1 to 100 letters and digits, with single dots or dashes between them")
        object.__setattr__(self, "date", require_aware(self.date, "date"))


class Mail(Protocol):
    """Where mail goes out."""

    def send(self, message: OutgoingMail) -> None:
        """Hands it over for delivery, once it returns.

        MailUnavailable when the same may succeed later (it may even have gone out: send it again under the same id),
        MailPutOff of it when only this mail has to wait; MailRefused when something has to be mended first.
        """

    def check(self) -> str:
        """Goes as far as it can without sending, and tells in a few words what answers; errors as for ``send``."""


def _unprintable(text: str) -> bool:
    """Whether there are control characters, line ends of any kind, or half surrogate pairs."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
