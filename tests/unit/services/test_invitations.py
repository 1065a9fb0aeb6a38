"""Invitations: a link that sets a password once, mailed or shown, never both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from recvault.adapters.mail import MemoryMail
from recvault.domain.access import Grant, Role
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, InvalidInput, MailUnavailable, NotAuthenticated, NotFound
from recvault.domain.tokens import Prefix
from recvault.services.invitations import Invitations, Issued
from recvault.services.mailing import Mailing
from recvault.services.throttle import Client
from tests.support.archives import World, make_world

OLD, NEW = "pitka ja rauhallinen 7", "  toinen, yhta pitka 8 "
ADDRESS = "maija@company.example"


@dataclass
class Made:
    world: World
    mail: MemoryMail

    def service(self, *, printed: bool = False, desk: str | None = "https://archive.company.example") -> Invitations:
        archive = self.world.archive
        mailing = Mailing(
            database=archive.database, mail=self.mail, clock=self.world.clock, entropy=archive.entropy, printed=printed
        )
        return Invitations(
            database=archive.database,
            passwords=archive.accounts._passwords,
            factors=archive.factors,
            audit=archive.audit,
            mailing=mailing,
            clock=self.world.clock,
            entropy=archive.entropy,
            desk=desk,
            zone=archive.config.retention.zone,
        )

    def acts(self) -> list[str]:
        user = self.world.archive.accounts.user_named("maija")
        with self.world.archive.database.read() as unit:
            return [entry.act.value for entry in unit.audit.about(user.id, 20)]


@pytest.fixture(scope="module")
def made() -> Iterator[Made]:
    world = make_world()
    world.archive.accounts.add_user(
        "maija", display_name="Maija", password=OLD, grants=(Grant(role=Role.VERIFIER),), by="system:test"
    )
    yield Made(world, MemoryMail())
    world.archive.resources.close()


def secret_of(issued: Issued) -> str:
    assert issued.link is not None
    address, _, secret = issued.link.partition("#")
    assert address == "https://archive.company.example/invitation"
    assert secret.startswith(Prefix.INVITATION) and len(secret) == 53
    return secret


def test_the_link_sets_the_password_once_and_ends_sessions(made: Made) -> None:
    service, sign_in = made.service(), made.world.archive.sign_in
    session = sign_in.password("maija", OLD, client=Client()).secret
    secret = secret_of(service.invite("maija", by="system:operator"))
    sign_in.password("maija", OLD, client=Client())  # until it is used, the old one holds
    assert service.redeem(secret, NEW).name == "maija"
    for refused in (
        lambda: sign_in.password("maija", OLD, client=Client()),
        lambda: made.world.archive.sessions.whose(session),
    ):
        with pytest.raises(NotAuthenticated):
            refused()
    sign_in.password("maija", NEW, client=Client())
    with pytest.raises(NotAuthenticated, match="ask an administrator"):
        service.redeem(secret, OLD)
    assert made.acts().count(Act.PASSWORD_SET.value) == 1 and Act.INVITED.value in made.acts()
    assert made.mail.sent == []


def test_a_password_that_is_too_short_leaves_the_invitation(made: Made) -> None:
    service = made.service()
    secret = secret_of(service.invite("maija", by="system:operator"))
    with pytest.raises(InvalidInput, match="12 to 1024"):
        service.redeem(secret, "short")
    service.redeem(secret, NEW)


def test_it_ends_with_time_and_with_the_next(made: Made) -> None:
    service = made.service()
    first = secret_of(service.invite("maija", by="system:operator"))
    second = secret_of(service.invite("maija", by="system:operator"))
    with pytest.raises(NotAuthenticated):
        service.redeem(first, NEW)
    made.world.later(hours=72)
    for secret in (second, "rvi_nothing", ""):
        with pytest.raises(NotAuthenticated):
            service.redeem(secret, NEW)


def test_an_invitation_is_no_other_credential(made: Made) -> None:
    service, archive = made.service(), made.world.archive
    secret = secret_of(service.invite("maija", by="system:operator"))
    with pytest.raises(NotAuthenticated):
        archive.sessions.whose(secret)
    with pytest.raises(NotAuthenticated):
        service.redeem(archive.sessions.issue_token("maija", by="system:operator"), NEW)


def test_a_mailed_link_is_shown_to_nobody_else(made: Made) -> None:
    service = made.service()
    issued = service.invite("maija", by="system:operator", address=ADDRESS)
    (mail,) = made.mail.sent
    assert issued.link is None and mail.recipient == ADDRESS and mail.confidential
    assert mail.subject == "Arkisto: salasanan asettaminen" and "Maija" not in mail.body
    (link,) = [line for line in mail.body.splitlines() if line.startswith("https://")]
    service.redeem(link.partition("#")[2], NEW)
    with made.world.archive.database.begin() as unit:  # nothing of it waits anywhere
        assert unit.notices.claim(now=made.world.clock.now(), until=made.world.clock.now(), by="x", limit=9) == []
    made.mail.sent.clear()


def test_without_a_mail_server_the_link_is_shown_even_with_an_address(made: Made) -> None:
    secret_of(made.service(printed=True).invite("maija", by="system:operator", address=ADDRESS))
    assert made.mail.sent == []


def test_what_could_not_be_mailed_is_told(made: Made) -> None:
    made.mail.fault = MailUnavailable("down; later")
    with pytest.raises(MailUnavailable):
        made.service().invite("maija", by="system:operator", address=ADDRESS)
    made.mail.fault = None


def test_whom_nobody_can_invite(made: Made) -> None:
    service = made.service()
    with pytest.raises(NotFound, match="user list"):
        service.invite("nobody", by="system:operator")
    with pytest.raises(InvalidInput, match="mail address"):
        service.invite("maija", by="system:operator", address="maija")
    with pytest.raises(Conflict, match="web_enabled"):
        made.service(desk=None).invite("maija", by="system:operator")
    accounts = made.world.archive.accounts
    accounts.add_user("leaver", display_name="L", password=None, grants=(), by="system:test")
    secret = secret_of(service.invite("leaver", by="system:operator"))
    accounts.disable("leaver", by="system:test")
    with pytest.raises(NotAuthenticated):
        service.redeem(secret, NEW)
    with pytest.raises(Conflict, match="closed"):
        service.invite("leaver", by="system:operator")
