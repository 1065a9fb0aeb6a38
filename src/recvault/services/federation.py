"""Signing in at an issuer of OpenID Connect: sent there, come back, let in or not.

Keeps, in this order:
1. An answer counts once, in time, and only in the browser that began: its state is deleted, committed, before anything
   else is done with it. What is stored of a sign-in under way are hashes; nonce and PKCE verifier follow from the state
   and a secret that only the browser's cookie has.
2. The answer comes from the issuer it was asked of (RFC 9207), and what it signed verifies (the port).
3. Roles of the issuer are those of this moment: recomputed, others taken away, also from whoever is then refused; they end
   with the session at the latest, so that an API token does not outlive them. Roles given here stay as they are.
4. A session counts as proved when the issuer last asked the person for anything, which may be long ago where it knows the
   browser; where it does not tell, as never: acts that need a recent proof ask it to ask again.
5. A person nobody linked gets an account only where the configuration says so and a role follows; never an existing one.
Left to others: second factors on top (``services.sessions``), pages and cookies (interfaces).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from recvault.domain.access import Grant
from recvault.domain.accounts import User
from recvault.domain.audit import Act
from recvault.domain.errors import InvalidInput, NotFound
from recvault.domain.federation import (
    Claims,
    FederatedSession,
    FederationRefused,
    Identity,
    IssuerRules,
    IssuerUnavailable,
    Pending,
    Reason,
    fingerprint,
    given_by,
    grants_of,
    has_second_factor,
    key_of,
    require_admitted,
    rules_digest,
    session_key,
)
from recvault.domain.ids import uuid7
from recvault.domain.ports.database import Database, UnitOfWork
from recvault.domain.ports.federation import Issuer
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock, Entropy
from recvault.domain.sessions import Method
from recvault.domain.tokens import token_hash
from recvault.services.audit_log import AuditLog
from recvault.services.people import named, require_name
from recvault.services.sessions import Sessions
from recvault.services.throttle import network_mark

ATTEMPT = timedelta(minutes=10)
"""How long signing in at the issuer may take."""
SECRET_BYTES = 32
SETTING = "issuers"
"""The setting that holds the digest of the rules last seen."""
_KEPT = timedelta(hours=48)
"""How long it is known where a session came from: longer than any session lives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where to send the browser, and the secret that its cookie keeps until it is back."""

    url: str
    browser: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """A session's secret, and the page that the person wanted (empty: the first)."""

    secret: str
    onward: str


class Federation:
    """The issuers of this archive. ``desk``: the address where people reach it, without a slash at its end; ``longest``:
    how long a session lives at most."""

    def __init__(
        self,
        *,
        database: Database,
        keyring: Keyring,
        issuers: Sequence[Issuer],
        sessions: Sessions,
        audit: AuditLog,
        clock: Clock,
        entropy: Entropy,
        desk: str,
        longest: timedelta,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._issuers = {issuer.rules.name: issuer for issuer in issuers}
        self._sessions = sessions
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._desk = desk
        self._longest = longest

    @property
    def offers(self) -> tuple[IssuerRules, ...]:
        """The issuers, in the order of the configuration."""
        return tuple(issuer.rules for issuer in self._issuers.values())

    # --- signing in

    def start(self, name: str, *, onward: str = "", again: bool = False, address: str | None = None) -> Start:
        """Begins. ``again``: the issuer is to ask the person for a proof, whether or not it knows the browser;
        ``address``: the network address of who asks. NotFound for an unknown issuer, IssuerUnavailable."""
        issuer = self._issuer(name)
        state, browser = self._secret(), self._secret()
        url = issuer.authorization_url(
            state=state, nonce=_derived(browser, "nonce", state), verifier=_derived(browser, "verifier", state),
            back=self._back(name), max_age=timedelta(0) if again else self._longest,
        )  # fmt: skip
        now = self._clock.now()
        with self._database.begin() as unit:
            unit.federation.begin(
                Pending(
                    state_hash=_hash(state),
                    issuer=name,
                    browser_hash=_hash(browser),
                    onward=onward,
                    created_at=now,
                    expires_at=now + ATTEMPT,
                    network=network_mark(self._keyring, address),
                )
            )
            unit.commit()
        return Start(url=url, browser=browser)

    def finish(self, name: str, answer: Mapping[str, str], *, browser: str, label: str = "") -> Entered:
        """Ends it with a session. ``answer``: what the issuer made the browser bring (RFC 6749, 4.1.2). FederationRefused,
        IssuerUnavailable."""
        issuer = self._issuer(name)
        state = answer.get("state", "")
        pending = self._take(name, state, browser)
        try:
            issuer.require_itself(answer.get("iss"))
            if "error" in answer or not answer.get("code"):
                raise FederationRefused(Reason.DENIED)
            claims = issuer.redeem(
                code=answer["code"],
                verifier=_derived(browser, "verifier", state),
                nonce=_derived(browser, "nonce", state),
                back=self._back(name),
                now=self._clock.now(),
            )
            return Entered(secret=self._enter(issuer.rules, claims, label), onward=pending.onward)
        except FederationRefused as refused:
            told = {"by": issuer.rules.origin, "reason": refused.why.value}
            self._audit.note(actor="system:sign-in", act=Act.SIGN_IN_FAILED, target=refused.user_id, detail=told)
            raise

    def _take(self, name: str, state: str, browser: str) -> Pending:
        with self._database.begin() as unit:
            now = self._clock.now()
            found = unit.federation.take(_hash(state), issuer=name, browser_hash=_hash(browser), now=now)
            unit.commit()
        if found is None:
            raise FederationRefused(Reason.STALE)
        return found

    def _enter(self, rules: IssuerRules, claims: Claims, label: str) -> str:
        now = self._clock.now()
        refusal: FederationRefused | None = None
        grants: tuple[Grant, ...] = ()
        try:
            require_admitted(rules, claims)
            grants = grants_of(rules, claims, until=now + self._longest)
        except FederationRefused as refused:
            refusal = refused
        with self._database.begin() as unit:
            identity = unit.federation.identity(claims.key)
            if identity is None:
                user = self._newcomer(unit, rules, claims, grants, refusal, now)
            else:
                user = self._recompute(unit, identity, rules, grants, now)
                refusal = refusal or _without_role(user, now)
            secret = "" if refusal else self._open(unit, user, rules, claims, label, now)
            unit.commit()  # what was taken away stays taken away, whether or not the person is let in
        if refusal is not None:
            raise FederationRefused(refusal.why, user_id=user.id)
        return secret

    def _newcomer(
        self,
        unit: UnitOfWork,
        rules: IssuerRules,
        claims: Claims,
        grants: tuple[Grant, ...],
        refusal: FederationRefused | None,
        now: datetime,
    ) -> User:
        """Somebody whom nobody linked."""
        if refusal is not None:
            raise refusal
        code = fingerprint(claims.key)
        if not rules.create:
            raise FederationRefused(Reason.NOT_LINKED, fingerprint=code)
        if not grants:
            raise FederationRefused(Reason.NO_ROLE)
        try:
            name = require_name(claims.name or "")
        except InvalidInput:
            raise FederationRefused(Reason.NAME_UNFIT, fingerprint=code) from None
        if unit.accounts.user_by_name(name) is not None:
            raise FederationRefused(Reason.NAME_TAKEN, fingerprint=code)
        user = User(
            id=uuid7(now, self._entropy.bytes(10)),
            name=name,
            display_name=claims.display_name or name,
            password_hash=None,
            grants=grants,
            created_at=now,
        )
        unit.accounts.add_user(user)
        self._audit.record(unit, actor=rules.origin, act=Act.USER_ADDED, target=user.id)
        self._link(unit, user.id, rules, claims.key, by=rules.origin, now=now)
        self._record_grants(unit, user.id, rules, grants)
        return user

    def _recompute(
        self, unit: UnitOfWork, identity: Identity, rules: IssuerRules, grants: tuple[Grant, ...], now: datetime
    ) -> User:
        """The account with the issuer's roles of this moment; who gains or loses one loses all other sessions."""
        before = unit.federation.lock_user(identity.user_id)
        if before.disabled_at is not None:
            raise FederationRefused(Reason.CLOSED, user_id=before.id)
        unit.federation.replace_grants(before.id, rules.origin, grants)
        if given_by(before.grants, rules.origin) != given_by(grants, rules.origin):
            self._sessions.end_all(unit, before.id)
            self._record_grants(unit, before.id, rules, grants)
        unit.federation.used(identity.key, now)
        return unit.accounts.user(before.id)

    def _open(self, unit: UnitOfWork, user: User, rules: IssuerRules, claims: Claims, label: str, now: datetime) -> str:
        several = has_second_factor(rules, claims)
        methods = {Method.FEDERATED, Method.FEDERATED_MFA} if several else {Method.FEDERATED}
        secret = self._sessions.open(unit, user, methods=methods, label=label, now=now)
        session = unit.sessions.find(token_hash(secret))
        assert session is not None
        unit.sessions.rotate(session.hash, replace(session, proved_at=claims.proved_at))  # not now, but when it was
        came = FederatedSession(
            session_id=session.id,
            issuer=rules.name,
            key=claims.key,
            sid=None if claims.sid is None else session_key(claims.issuer, claims.sid),
            created_at=now,
        )
        unit.federation.came_from(came, forget_before=now - _KEPT)
        self._audit.record(
            unit, actor=user.id, act=Act.SIGNED_IN, detail={"by": rules.origin, "several_factors": several}
        )
        return secret

    def origin_of(self, session_id: str) -> IssuerRules | None:
        """The issuer that a session came from; None for others."""
        with self._database.read() as unit:
            found = unit.federation.origin_of(session_id)
        return None if found is None or found.issuer not in self._issuers else self._issuers[found.issuer].rules

    # --- signing out

    def logout_url(self, session_id: str) -> str | None:
        """Where the browser ends the issuer's own session after ours; None for a session that came from no issuer, or
        from one that has no such place."""
        with self._database.read() as unit:
            origin = unit.federation.origin_of(session_id)
        if origin is None or origin.issuer not in self._issuers:
            return None
        return self._issuers[origin.issuer].logout_url(back=f"{self._desk}/sign-in")

    def end_from(self, name: str, token: str) -> int:
        """The issuer tells that it has ended a session, or all of a person (Back-Channel Logout 1.0): ours end too. How
        many there were."""
        logout = self._issuer(name).read_logout(token, self._clock.now())
        with self._database.begin() as unit:
            now = self._clock.now()
            if not unit.federation.remember_logout(logout.token, until=logout.until or now + _KEPT, now=now):
                raise FederationRefused(Reason.NOT_VERIFIED)  # it was taken before: somebody says it again
            ended = [one for one in unit.federation.sessions_of(logout, name) if unit.sessions.revoke(one, now)]
            for one in ended:
                self._audit.record(unit, actor=f"oidc:{name}", act=Act.SIGNED_OUT, target=one)
            unit.commit()
        return len(ended)

    # --- what an administrator does

    def link(self, account: str, name: str, code: str, *, by: str) -> Identity:
        """Links a person of an issuer, named by the code that the refusal showed them, to an account. Conflict when either
        is linked there already."""
        rules = self._issuer(name).rules
        with self._database.begin() as unit:
            user = named(unit, account)
            identity = self._link(unit, user.id, rules, key_of(code), by=by, now=self._clock.now())
            unit.commit()
        return identity

    def unlink(self, account: str, name: str, *, by: str) -> None:
        """Takes the link, the roles that the issuer gave, and all sessions away. NotFound when there is none."""
        with self._database.begin() as unit:
            user = unit.federation.lock_user(named(unit, account).id)
            if not unit.federation.unlink(user.id, name):
                raise NotFound("this account is not linked at that issuer; see 'recvault oidc list'")
            unit.federation.replace_grants(user.id, f"oidc:{name}", ())
            self._sessions.end_all(unit, user.id)
            self._audit.record(unit, actor=by, act=Act.IDENTITY_UNLINKED, target=user.id, detail={"issuer": name})
            unit.commit()

    def identities(self) -> list[tuple[User, Identity]]:
        """Who is linked."""
        with self._database.read() as unit:
            return [(unit.accounts.user(one.user_id), one) for one in unit.federation.identities()]

    def check(self) -> dict[str, str]:
        """What is wrong with each issuer, by name; empty for those that are well."""
        found: dict[str, str] = {}
        for name, issuer in self._issuers.items():
            try:
                issuer.check()
            except (IssuerUnavailable, FederationRefused) as fault:
                found[name] = str(fault)
        return found

    def note_rules(self) -> bool:
        """Records a change of what issuers are trusted with since the last start; whether there was one."""
        digest = rules_digest(self.offers)
        with self._database.begin() as unit:
            before = unit.settings.get(SETTING)
            if digest == (rules_digest(()) if before is None else before.get("digest")):
                return False
            unit.settings.put(SETTING, {"digest": digest})
            roles = {rules.name: sorted({grant.role.value for grant in rules.grants}) for rules in self.offers}
            detail = {"digest": digest, "roles": roles}
            self._audit.record(unit, actor="system:configuration", act=Act.ISSUERS_CHANGED, detail=detail)
            unit.commit()
        return True

    # --- small parts

    def _issuer(self, name: str) -> Issuer:
        if name not in self._issuers:
            raise NotFound("there is no sign-in service of this name; see 'recvault oidc list'")
        return self._issuers[name]

    def _link(
        self, unit: UnitOfWork, user_id: str, rules: IssuerRules, key: bytes, *, by: str, now: datetime
    ) -> Identity:
        identity = Identity(key=key, issuer=rules.name, user_id=user_id, linked_at=now, linked_by=by)
        unit.federation.link(identity)
        self._audit.record(unit, actor=by, act=Act.IDENTITY_LINKED, target=user_id, detail={"issuer": rules.name})
        return identity

    def _record_grants(self, unit: UnitOfWork, user_id: str, rules: IssuerRules, grants: Sequence[Grant]) -> None:
        told = {
            "roles": sorted(grant.role.value for grant in grants),
            "scopes": sorted(grant.scope.kind.value for grant in grants),
            "origin": rules.origin,
        }
        self._audit.record(unit, actor=rules.origin, act=Act.ROLE_GRANTED, target=user_id, detail=told)

    def _back(self, name: str) -> str:
        return f"{self._desk}/sign-in/oidc/{name}/callback"

    def _secret(self) -> str:
        return urlsafe_b64encode(self._entropy.bytes(SECRET_BYTES)).decode("ascii").rstrip("=")


def _without_role(user: User, now: datetime) -> FederationRefused | None:
    return None if any(grant.live(now) for grant in user.grants) else FederationRefused(Reason.NO_ROLE)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _derived(browser: str, use: str, state: str) -> str:
    """43 characters that only who has the browser's secret can tell: a nonce, or a verifier as RFC 7636, 4.1 wants it."""
    digest = hmac.new(browser.encode("utf-8", "surrogatepass"), f"{use}:{state}".encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")
