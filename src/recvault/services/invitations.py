"""Invitations: a link with which one person sets a password, once, within three days. New people and forgotten passwords.

Keeps: the secret is 32 random bytes in the fragment of the link, which browsers never send and no log sees; only its hash
is stored; a newer invitation ends the older one; using it ends the person's sessions. The address it is mailed to is
used for that one mail and not kept. What opens is the account as it is: roles are no part of an invitation.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, NotAuthenticated, NotFound
from recvault.domain.notices import Invitation
from recvault.domain.ports.credentials import PasswordHasher
from recvault.domain.ports.database import Database
from recvault.domain.ports.mail import mail_address
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.tokens import token_hash
from recvault.services import notice_texts
from recvault.services.accounts import require_password
from recvault.services.audit_log import AuditLog
from recvault.services.mailing import Mailing

PREFIX = "rvi_"
LIFE = timedelta(hours=72)
PATH = "/invitation"
"""The page of the desk where a link leads."""

_OVER = "the link is used, too old or replaced by a newer one; ask an administrator for another"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """An invitation that was made. ``link`` is None when it was mailed: then nobody but its recipient is to see it."""

    user: User
    until: datetime
    link: str | None


class Invitations:
    """Makes and redeems them. ``desk``: where the desk is reached, without a slash at the end; None where it is off."""

    def __init__(
        self,
        *,
        database: Database,
        hasher: PasswordHasher,
        audit: AuditLog,
        mailing: Mailing,
        clock: Clock,
        entropy: Entropy,
        desk: str | None,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._audit = audit
        self._mailing = mailing
        self._clock = clock
        self._entropy = entropy
        self._desk = desk
        self._zone = zone

    def require_possible(self, address: str | None) -> None:
        """Returns when an invitation can be made and, with an address, has a form that can be mailed to: asked before an
        account is made for it. Conflict where the desk is off, InvalidInput for what is no address."""
        if self._desk is None:
            raise Conflict("an invitation leads to the desk, and that is switched off; set server.web_enabled = true")
        if address is not None:
            mail_address(address)

    def invite(self, name: str, *, by: str, address: str | None = None) -> Issued:
        """A link for the person of this sign-in name: mailed to ``address`` where mail is configured, else returned.

        NotFound for an unknown name, Conflict for a closed account, MailUnavailable or MailRefused when it could not be
        mailed: it may have arrived all the same, and the next invitation ends it.
        """
        self.require_possible(address)
        now = self._clock.now()
        secret = PREFIX + base64.urlsafe_b64encode(self._entropy.bytes(32)).decode().rstrip("=")
        with self._database.begin() as unit:
            user = unit.accounts.user_by_name(name)
            if user is None:
                raise NotFound("there is no account of this name; see 'recvault user list'")
            if user.disabled_at is not None:
                raise Conflict("this account is closed; nobody is invited to it")
            unit.invitations.put(
                Invitation(hash=token_hash(secret), user_id=user.id, created_at=now, expires_at=now + LIFE)
            )
            self._audit.record(unit, actor=by, act=Act.INVITED, target=user.id)
            unit.commit()
        link = f"{self._desk}{PATH}#{secret}"
        if address is None or self._mailing.printed:
            return Issued(user=user, until=now + LIFE, link=link)
        words = notice_texts.LANGUAGES.get(user.language, notice_texts.EN)
        text = notice_texts.invitation_mail(words, link=link, until=now + LIFE, zone=self._zone)
        (mail,) = self._mailing.letters((address,), *text)
        self._mailing.send(mail, confidential=True)
        return Issued(user=user, until=now + LIFE, link=None)

    def redeem(self, secret: str, password: str) -> User:
        """Sets the password of whoever was invited with this secret. NotAuthenticated when it does not hold (any more),
        InvalidInput for a password that is too short or too long: the invitation then stays."""
        hashed = token_hash(secret)
        with self._database.read() as unit:
            found = unit.invitations.find(hashed)
            user = None if found is None else unit.accounts.user(found.user_id)
        if found is None or user is None or user.disabled_at is not None or found.expires_at <= self._clock.now():
            raise NotAuthenticated(_OVER)
        encoded = self._hasher.hash(require_password(password))
        with self._database.begin() as unit:
            if unit.invitations.use(hashed, now=self._clock.now(), password_hash=encoded) is None:
                raise NotAuthenticated(_OVER)  # somebody was faster
            self._audit.record(unit, actor=user.id, act=Act.PASSWORD_SET, target=user.id)
            unit.commit()
        return user
