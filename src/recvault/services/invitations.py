"""Invitations: a link with which one person sets a password, once, within three days. New people, forgotten passwords, and
lost second factors: then the link takes those away as well.

Keeps: the secret is 32 random bytes in the fragment of the link, which browsers never send and no log sees; only its hash
is stored; a newer invitation ends the older one; using it ends the person's sessions; nobody but its reader sees or picks
a password; the person finds a notice of every link that was made. The address it is mailed to is
used for that one mail and not kept. What opens is the account as it is: roles are no part of an invitation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import Conflict, NotAuthenticated, NotFound
from recvault.domain.factors import Change
from recvault.domain.notices import Invitation
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.mail import mail_address
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.tokens import RANDOM_BYTES, Prefix, compose, token_hash
from recvault.services import notice_texts
from recvault.services.audit_log import AuditLog
from recvault.services.mailing import Mailing
from recvault.services.passwords import Passwords
from recvault.services.second_factors import SecondFactors, tell

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
        passwords: Passwords,
        factors: SecondFactors,
        audit: AuditLog,
        mailing: Mailing,
        clock: Clock,
        entropy: Entropy,
        desk: str | None,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._factors = factors
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

    def invite(self, name: str, *, by: str, address: str | None = None, resets_factors: bool = False) -> Issued:
        """A link for the person of this sign-in name: mailed to ``address`` where mail is configured, else returned.
        ``resets_factors``: using it takes the person's second factors and recovery codes away as well.

        NotFound for an unknown name, Conflict for a closed account, MailUnavailable or MailRefused when it could not be
        mailed: it may have arrived all the same, and the next invitation ends it.
        """
        self.require_possible(address)
        now = self._clock.now()
        secret = compose(Prefix.INVITATION, self._entropy.bytes(RANDOM_BYTES))
        with self._database.begin() as unit:
            user = unit.accounts.user_by_name(name)
            if user is None:
                raise NotFound("there is no account of this name; see 'recvault user list'")
            if user.disabled_at is not None:
                raise Conflict("this account is closed; nobody is invited to it")
            unit.invitations.put(
                Invitation(
                    hash=token_hash(secret),
                    user_id=user.id,
                    created_at=now,
                    expires_at=now + LIFE,
                    resets_factors=resets_factors,
                )
            )
            detail = {"resets_factors": True} if resets_factors else {}
            self._audit.record(unit, actor=by, act=Act.INVITED, target=user.id, detail=detail)
            self._tell(unit, user.id, Change.RESET_LINK_MADE if resets_factors else Change.LINK_MADE)
            unit.commit()
        link = f"{self._desk}{PATH}#{secret}"
        if address is None or self._mailing.printed:
            return Issued(user=user, until=now + LIFE, link=link)
        words = notice_texts.LANGUAGES.get(user.language, notice_texts.LANGUAGES["en"])
        text = notice_texts.invitation_mail(words, link=link, until=now + LIFE, zone=self._zone)
        (mail,) = self._mailing.letters((address,), *text)
        self._mailing.send(mail, confidential=True)
        return Issued(user=user, until=now + LIFE, link=None)

    def redeem(self, secret: str, password: str) -> User:
        """Sets the password of whoever was invited with this secret. NotAuthenticated when it does not hold (any more),
        InvalidInput for a password that will not do: the invitation then stays."""
        hashed = token_hash(secret)
        with self._database.read() as unit:
            found = unit.invitations.find(hashed)
            user = None if found is None else unit.accounts.user(found.user_id)
        if found is None or user is None or user.disabled_at is not None or found.expires_at <= self._clock.now():
            raise NotAuthenticated(_OVER)
        encoded = self._passwords.hashed(password, names=(user.name, user.display_name))
        with self._database.begin() as unit:
            if unit.invitations.use(hashed, now=self._clock.now(), password_hash=encoded) is None:
                raise NotAuthenticated(_OVER)  # somebody was faster
            self._audit.record(unit, actor=user.id, act=Act.PASSWORD_SET, target=user.id)
            self._tell(unit, user.id, Change.PASSWORD_BY_LINK)
            if found.resets_factors:
                self._factors.reset(unit, user.id)
            unit.commit()
        return user

    def _tell(self, unit: UnitOfWork, user_id: str, change: Change) -> None:
        tell(unit, user_id, change, own=False, clock=self._clock, entropy=self._entropy)
