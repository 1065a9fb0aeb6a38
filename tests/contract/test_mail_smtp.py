"""Mail over SMTP against a real server: TLS both ways, sign-in, refusals now and for good, and a server that is not there."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recvault.adapters.mail import SmtpMail, SmtpSettings
from recvault.domain.errors import ConfigurationError, MailPutOff, MailRefused, MailUnavailable
from recvault.domain.ports.mail import OutgoingMail
from tests.servers.run import free_ports
from tests.support.authority import Authority, make_authority
from tests.support.mail_server import PASSWORD, USER, Postbox, mail_server

MESSAGE = OutgoingMail(
    recipient="valvoja@company.example",
    subject="Arkisto: hälytys: säilytyspaikka",
    body="Tallenteita odottaa tuhoamista.\n\n.\nÅtgärd krävs: förstöringen är stoppad.\n" + "pitkä rivi " * 40,
    message_id="0198-a.1",
    date=datetime(2026, 11, 22, 19, 0, tzinfo=UTC),
)
SECRET = PASSWORD


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certified(authority: Authority) -> ssl.SSLContext:
    return authority.server("localhost")


def settings(box: Postbox, authority: Authority | None = None, **changes: object) -> SmtpSettings:
    base = SmtpSettings(
        host="localhost",
        port=box.port,
        security="none" if authority is None else "starttls",
        sender="Tallennearkisto Ä <arkisto@company.example>",
        ca_file=None if authority is None else authority.file,
        timeout_seconds=3,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_mail_arrives_whole_over_starttls(authority: Authority, certified: ssl.SSLContext) -> None:
    with mail_server(starttls=certified, sign_in=True) as box:
        SmtpMail(settings(box, authority, user=USER, password=PASSWORD)).send(MESSAGE)
    (mail,) = box.mails
    assert box.envelopes == [("arkisto@company.example", ["valvoja@company.example"])] and box.signed_in == [True]
    assert mail["Subject"] == MESSAGE.subject and mail["To"] == MESSAGE.recipient
    assert mail["From"] == "Tallennearkisto Ä <arkisto@company.example>"
    assert mail["Message-ID"] == "<0198-a.1@company.example>" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == MESSAGE.date
    assert box.text().replace("\r\n", "\n").rstrip("\n") == MESSAGE.body.rstrip("\n")
    assert all(byte < 128 for byte in box.raw[0]) and max(len(line) for line in box.raw[0].splitlines()) <= 998
    assert all(name == "[127.0.0.1]" or name.startswith("[IPv6:") for name in box.greeted)


@pytest.mark.parametrize("left", ["PLAIN", "LOGIN"])
def test_over_tls_from_the_first_byte_with_either_way_to_sign_in(
    authority: Authority, certified: ssl.SSLContext, left: str
) -> None:
    without = ("LOGIN",) if left == "PLAIN" else ("PLAIN",)
    with mail_server(tls=certified, sign_in=True, mechanisms=without) as box:
        mail = SmtpMail(settings(box, authority, security="tls", user=USER, password=PASSWORD))
        mail.send(MESSAGE)
        assert "TLSv1.3, signed in as arkisto" in mail.check()
    assert box.signed_in == [True]


def test_on_loopback_without_tls() -> None:
    with mail_server() as box:
        mail = SmtpMail(settings(box))
        mail.send(MESSAGE)
        assert "without TLS, on loopback, without signing in" in mail.check()
    assert len(box.mails) == 1


def test_without_tls_nothing_but_loopback_is_spoken_to() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # sends nothing; tells our own address
        probe.connect(("192.0.2.1", 9))
        here = str(probe.getsockname()[0])
    with mail_server(host=here) as box, pytest.raises(MailRefused, match="only to loopback"):
        SmtpMail(settings(box, host=here)).send(MESSAGE)
    assert box.mails == [] and box.greeted == []


# -- who the server is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["stranger", "name", "expired", "public"])
def test_a_wrong_certificate_is_refused_before_anything_is_said(
    authority: Authority, tmp_path: Path, security: str, wrong: str
) -> None:
    other = make_authority(tmp_path)
    context = {
        "stranger": lambda: other.server("localhost"),
        "name": lambda: authority.server("mail.company.example", "127.0.0.2"),
        "expired": lambda: authority.server("localhost", expired=True),
        "public": lambda: authority.server("localhost"),
    }[wrong]()
    how = {"starttls": context} if security == "starttls" else {"tls": context}
    with mail_server(sign_in=True, **how) as box:  # type: ignore[arg-type]
        given = settings(box, authority, security=security, user=USER, password=PASSWORD)
        mail = SmtpMail(replace(given, ca_file=None) if wrong == "public" else given)
        for act in (lambda: mail.send(MESSAGE), mail.check):
            with pytest.raises(MailRefused, match=r"not trusted .*mail\.ca_file") as caught:
                act()
            assert SECRET not in str(caught.value)
    assert box.mails == [] and box.signed_in == []


def test_a_server_that_offers_no_starttls_gets_nothing(authority: Authority) -> None:
    with mail_server() as box, pytest.raises(MailRefused, match="offers no STARTTLS"):
        SmtpMail(settings(box, authority, user=USER, password=PASSWORD)).send(MESSAGE)
    assert box.mails == []


def test_the_wrong_kind_of_tls_is_told(authority: Authority, certified: ssl.SSLContext) -> None:
    with mail_server(starttls=certified) as box, pytest.raises(MailRefused, match=r"mail\.security"):
        SmtpMail(settings(box, authority, security="tls")).send(MESSAGE)


def test_a_file_that_holds_no_certificates_is_told(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    with mail_server(starttls=authority.server("localhost")) as box:
        for name in ("empty.pem", "missing.pem"):
            with pytest.raises(ConfigurationError, match=r"mail\.ca_file"):
                SmtpMail(settings(box, authority, ca_file=tmp_path / name)).send(MESSAGE)


# -- who we are --------------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_without_it(authority: Authority, certified: ssl.SSLContext) -> None:
    with mail_server(starttls=certified, sign_in=True) as box:
        mail = SmtpMail(settings(box, authority, user=USER, password="wrong-one"))
        with pytest.raises(MailRefused, match=r"refuses the sign-in \(535 5\.7\.8\); see mail\.user") as caught:
            mail.check()
        assert "wrong-one" not in str(caught.value)


def test_no_known_way_to_sign_in(authority: Authority, certified: ssl.SSLContext) -> None:
    server = mail_server(starttls=certified, sign_in=True, mechanisms=("PLAIN", "LOGIN"))
    with server as box, pytest.raises(MailRefused, match="no sign-in that we know"):
        SmtpMail(settings(box, authority, user=USER, password=PASSWORD)).send(MESSAGE)


def test_who_does_not_sign_in_where_it_is_needed_is_refused(authority: Authority, certified: ssl.SSLContext) -> None:
    server = mail_server(starttls=certified, sign_in=True)
    with server as box, pytest.raises(MailRefused, match=r"refuses the sender \(530"):
        SmtpMail(settings(box, authority)).send(MESSAGE)


# -- what the server says ----------------------------------------------------------------------------------


def test_greylisting_puts_off_and_the_next_attempt_arrives() -> None:
    with mail_server() as box:
        box.answers = ["451 4.7.1 greylisted, valvoja@company.example, come again"]
        mail = SmtpMail(settings(box))
        with pytest.raises(MailPutOff, match=r"puts off the recipient \(451 4\.7\.1\)") as caught:
            mail.send(MESSAGE)
        assert "valvoja" not in str(caught.value) and box.mails == []
        mail.send(MESSAGE)
    assert [mail["Message-ID"] for mail in box.mails] == ["<0198-a.1@company.example>"]


def test_a_refused_recipient_is_told_without_the_address() -> None:
    with mail_server() as box:
        box.answers = ["550 5.1.1 <valvoja@company.example> unknown"]
        with pytest.raises(MailRefused, match=r"refuses the recipient \(550 5\.1\.1\)") as caught:
            SmtpMail(settings(box)).send(MESSAGE)
        assert "valvoja" not in str(caught.value)


@pytest.mark.parametrize(("answer", "kind"), [("452 4.3.1 full", MailPutOff), ("554 5.6.0 no", MailRefused)])
def test_a_message_that_is_put_off_or_refused_at_its_end(answer: str, kind: type[Exception]) -> None:
    with mail_server() as box:
        box.after_data = [answer]
        with pytest.raises(kind, match="the message"):
            SmtpMail(settings(box)).send(MESSAGE)


def test_a_connection_lost_before_the_answer_counts_as_not_sent() -> None:
    with mail_server() as box:
        box.closes = True
        with pytest.raises(MailUnavailable, match="broke off"):
            SmtpMail(settings(box)).send(MESSAGE)
        box.closes = False
        SmtpMail(settings(box)).send(MESSAGE)
    assert len({mail["Message-ID"] for mail in box.mails}) == 1 and len(box.mails) == 2


# -- when there is no server -------------------------------------------------------------------------------


def test_a_server_that_is_down() -> None:
    with pytest.raises(MailUnavailable, match=r"cannot be reached .*mail\.host") as caught:
        SmtpMail(settings(Postbox(free_ports(1)))).send(MESSAGE)
    assert "Connection refused" in str(caught.value)


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(MailUnavailable, match="cannot be reached"):
        SmtpMail(settings(Postbox(25), host="mail.invalid", security="tls")).check()


@pytest.mark.parametrize("greeting", [b"", b"220 hello\r\n", b"x" * 100_000, b"554 go away\r\n", b"421 later\r\n"])
def test_a_server_that_says_nothing_or_nonsense_is_given_up(greeting: bytes) -> None:
    with talking(greeting) as port, pytest.raises((MailUnavailable, MailRefused)):
        SmtpMail(settings(Postbox(port), timeout_seconds=0.5)).send(MESSAGE)


@contextmanager
def talking(greeting: bytes) -> Iterator[int]:
    """Something that says this much and then nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(greeting)
                done.wait(5)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            done.set()
            thread.join()


def test_a_date_of_another_zone_is_told_in_utc() -> None:
    message = replace(MESSAGE, date=MESSAGE.date.astimezone(tz=None))
    made = SmtpMail(settings(Postbox(1))).compose(message)
    assert made["Date"].datetime.utcoffset() == timedelta(0)
