"""One mail as a value: nothing of it can become a header, and a secret goes to a console only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog

from recvault.adapters.mail import MemoryMail, PrintedMail
from recvault.domain.errors import InvalidInput, MailRefused, MailUnavailable
from recvault.domain.ports.mail import ADDRESS_LENGTH, BODY_LENGTH, OutgoingMail, mail_address

MAIL = OutgoingMail(
    recipient="a.b+c@company.example",
    subject="Arkisto: hälytys",
    body="Rivi.\n\nToinen: https://archive.company.example/destructions\n",
    message_id="01-a",
    date=datetime(2026, 11, 22, tzinfo=UTC),
)


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "@b", "a@", "a b@company.example", "a@company..example", "a@-company.example", "a@company.example.",
        "a@company.example\n", "a@company.example\r\nBcc: b@company.example", "a@company.example,b@company.example",
        "A <a@company.example>", "<a@company.example>", '"a b"@company.example', "a@[192.0.2.1]", "ä@company.example",
        "a@yhtiö.example", "a..b@company.example", ".a@company.example", "a@company.example;x", "a\x00@company.example",
        "a" * 65 + "@company.example", "a@" + "b" * 60 + ".x" * ADDRESS_LENGTH,
    ],
)  # fmt: skip
def test_what_is_not_one_plain_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"name@company\.example"):
        mail_address(address)
    with pytest.raises(InvalidInput):
        replace(MAIL, recipient=address)


@pytest.mark.parametrize("address", ["a@b", "A.B@Company.Example", "x_y-z+1@xn--yhti-8qa.example"])
def test_a_plain_address_is_kept_as_it_is(address: str) -> None:
    assert mail_address(address) == address


@pytest.mark.parametrize(
    "subject", ["", "a\nBcc: b@company.example", "a\rb", "a\r\n b", "a\x00", "a\x85b", "a\u2028b", "\ud800", "x" * 201]
)
def test_a_subject_is_one_line(subject: str) -> None:
    with pytest.raises(InvalidInput, match="subject"):
        replace(MAIL, subject=subject)


@pytest.mark.parametrize("body", ["a\rb", "a\x00b", "a\x1bb", "\ud800", "x" * (BODY_LENGTH + 1)])
def test_a_text_is_plain_lines(body: str) -> None:
    with pytest.raises(InvalidInput, match="text of a mail"):
        replace(MAIL, body=body)


@pytest.mark.parametrize("message_id", ["", "a b", "a>\r\nX: y", "a@b", "a..b", "-a", "ä", "a" * 101])
def test_a_message_id_is_plain(message_id: str) -> None:
    with pytest.raises(InvalidInput, match="message id"):
        replace(MAIL, message_id=message_id)


def test_a_date_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        replace(MAIL, date=datetime(2026, 11, 22))  # noqa: DTZ001


def test_a_console_gets_it_all() -> None:
    lines: list[str] = []
    PrintedMail(lines.append).send(replace(MAIL, confidential=True))
    assert lines[:2] == ["to: a.b+c@company.example", "subject: Arkisto: hälytys"]
    assert lines[3:] == ["Rivi.", "", "Toinen: https://archive.company.example/destructions"]


def test_the_log_gets_the_text_but_no_address_and_no_secret() -> None:
    printed = PrintedMail()
    with structlog.testing.capture_logs() as said:
        printed.send(MAIL)
        with pytest.raises(MailRefused, match="console"):
            printed.send(replace(MAIL, confidential=True))
    (line,) = said
    assert line["about"] == MAIL.subject and len(line["lines"]) == 2
    assert MAIL.recipient not in str(said)
    assert "no server" in printed.check()


def test_the_one_in_memory_keeps_or_fails() -> None:
    mail = MemoryMail()
    mail.send(MAIL)
    mail.fault = MailUnavailable("down; try again")
    for act in (lambda: mail.send(MAIL), mail.check):
        with pytest.raises(MailUnavailable):
            act()
    mail.fault = None
    assert mail.sent == [MAIL] and mail.check()
