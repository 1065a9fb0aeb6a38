"""An issuer of OpenID Connect: its metadata and keys, where the browser goes, and what its answers are worth.

Keeps: the metadata names the very issuer that was asked for (OIDC Discovery 1.0, 4.3); it is asked for again after
METADATA_SECONDS; keys are fetched anew when a token names one that is not known, but not more often than every
REFRESH_SECONDS, so that forged tokens cannot make us hammer the issuer; a code is redeemed only with its verifier. Nothing
that was sent or answered goes into an error. Left to others: state and sessions (``services.federation``).
"""

from __future__ import annotations

import hashlib
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey, import_key

from recvault.adapters import oidc_tokens
from recvault.adapters.oidc_http import Asking, Document, Refused, is_as_safe
from recvault.adapters.oidc_tokens import LEEWAY_SECONDS, Expected, NotVerified
from recvault.domain.federation import (
    Claims,
    FederationRefused,
    IssuerRules,
    IssuerUnavailable,
    Logout,
    Reason,
    identity_key,
    session_key,
)
from recvault.domain.ports.system import Clock, Entropy

log = structlog.get_logger()

METADATA_SECONDS = 3600
REFRESH_SECONDS = 60
ASSERTION_SECONDS = 60
KEYS_MOST = 100
GROUPS_MOST = 2000
TEXT_LENGTH = 200
_SIGNED_ONLY = frozenset({"iss", "sub", "aud", "amr", "acr", "sid"})
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Who we are at the issuer, and how we ask. ``secret`` or ``key`` (a private key in PEM) is read when it is needed."""

    client_id: str
    secret: Callable[[], str] | None = None
    key: Callable[[], str] | None = None
    scopes: tuple[str, ...] = ("openid", "profile")
    userinfo: bool = False
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    ca_file: Path | None = None
    timeout_seconds: int = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    metadata: Document
    keys: KeySet
    at: float


class OidcIssuer:
    """Implements :class:`recvault.domain.ports.federation.Issuer`."""

    def __init__(self, rules: IssuerRules, client: Client, *, clock: Clock, entropy: Entropy) -> None:
        self._rules = rules
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._asking = Asking(timeout_seconds=client.timeout_seconds, ca_file=client.ca_file)
        self._known: _Known | None = None
        self._lock = threading.Lock()

    @property
    def rules(self) -> IssuerRules:
        """See the port."""
        return self._rules

    def close(self) -> None:
        """Gives connections back."""
        self._asking.close()

    # --- the browser's ways

    def authorization_url(self, *, state: str, nonce: str, verifier: str, back: str, max_age: timedelta) -> str:
        """See the port."""
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": back,
            "scope": " ".join(self._client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "max_age": str(int(max_age.total_seconds())),
        }
        if not max_age:
            query["prompt"] = "login"
        if self._rules.second_factor_acr:
            query["acr_values"] = " ".join(sorted(self._rules.second_factor_acr))
        return _with_query(str(self._metadata()["authorization_endpoint"]), query)

    def require_itself(self, named: str | None) -> None:
        """See the port."""
        always = self._metadata().get("authorization_response_iss_parameter_supported") is True
        if (named is None and always) or (named is not None and named != self._rules.issuer):
            raise self._refused("iss of the answer")

    def logout_url(self, *, back: str) -> str | None:
        """See the port. Without an ID token as a hint, because none is kept: the issuer asks the person itself."""
        place = self._metadata().get("end_session_endpoint")
        if not is_as_safe(place, self._rules.issuer):
            return None
        return _with_query(str(place), {"client_id": self._client.client_id, "post_logout_redirect_uri": back})

    # --- what it says

    def redeem(self, *, code: str, verifier: str, nonce: str, back: str, now: datetime) -> Claims:
        """See the port."""
        metadata = self._metadata()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        try:
            answer = self._at_token_endpoint(metadata, form, now)
            access_token = answer.get("access_token")
            claims = oidc_tokens.id_token(
                answer.get("id_token"),
                self._keys_for,
                self._expected(now),
                nonce=nonce,
                access_token=access_token if isinstance(access_token, str) else None,
            )
            if self._client.userinfo:
                claims = {**self._userinfo(metadata, access_token, str(claims["sub"])), **claims}
            return self._claims(claims, now)
        except Refused as refused:
            if refused.status == 429 or refused.error == "invalid_client":
                raise IssuerUnavailable(
                    "the sign-in service does not accept this archive (client_id, its secret or key); see that both say "
                    "the same"
                ) from None
            raise self._refused(f"code ({refused})") from None
        except NotVerified as fault:
            raise self._refused(f"id token: {fault}") from None

    def read_logout(self, token: str, now: datetime) -> Logout:
        """See the port."""
        try:
            claims = oidc_tokens.logout_token(token, self._keys_for, self._expected(now))
        except NotVerified as fault:
            raise self._refused(f"logout token: {fault}") from None
        subject, sid = claims.get("sub"), claims.get("sid")
        return Logout(
            key=None if subject is None else identity_key(self._rules.issuer, subject),
            sid=None if sid is None else session_key(self._rules.issuer, sid),
            token=hashlib.sha256(f"{self._rules.issuer}\0{claims['jti']}".encode()).digest(),
            until=oidc_tokens.too_old_from(claims),
        )

    def check(self) -> None:
        """See the port. Reads the secret or key as well."""
        self._metadata()
        if self._client.secret is not None:
            self._client.secret()
        else:
            self._private_key()

    # --- metadata and keys

    def _metadata(self) -> Document:
        return self._current().metadata

    def _current(self) -> _Known:
        with self._lock:
            now = self._clock.now().timestamp()
            known = self._known
            if known is None or not 0 <= now - known.at < METADATA_SECONDS:
                known = self._known = self._fetch(now)
            return known

    def _keys_for(self, kid: str | None) -> KeySet:
        """The keys; fetched anew when this one is not among them."""
        known = self._current()
        if kid is None or any(key.kid == kid for key in known.keys.keys):
            return known.keys
        with self._lock:
            now = self._clock.now().timestamp()
            if self._known is None or now - self._known.at >= REFRESH_SECONDS:
                self._known = self._fetch(now)
            return self._known.keys

    def _fetch(self, now: float) -> _Known:
        issuer = self._rules.issuer
        metadata = self._asking.get("description", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != issuer:
            raise IssuerUnavailable(
                f"the sign-in service under {issuer} names itself otherwise; write oidc.issuer exactly as it does"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_as_safe(metadata.get(name), issuer):
                raise IssuerUnavailable(f"the sign-in service under {issuer} gives no usable {name}; ask who runs it")
        if "S256" not in metadata.get("code_challenge_methods_supported", ["S256"]):
            raise IssuerUnavailable(f"the sign-in service under {issuer} does not take PKCE with S256; ask who runs it")
        return _Known(metadata=metadata, keys=self._key_set(str(metadata["jwks_uri"])), at=now)

    def _key_set(self, url: str) -> KeySet:
        """Public keys only: a symmetric key in a published set would make HS tokens of anybody's making verify."""
        told = self._asking.get("keys", url).get("keys")
        found: list[RSAKey | ECKey | OKPKey] = []
        for one in told[:KEYS_MOST] if isinstance(told, list) else ():
            try:
                key = import_key(one)
            except (JoseError, ValueError, TypeError, KeyError):
                continue  # a key of a kind we do not know is no reason to refuse the others (RFC 7517, 5)
            if isinstance(key, (RSAKey, ECKey, OKPKey)):
                found.append(key)
        if not found:
            raise IssuerUnavailable("the sign-in service publishes no key that can be used here; ask who runs it")
        return KeySet(list(found))

    # --- asking

    def _at_token_endpoint(self, metadata: Document, form: Mapping[str, str], now: datetime) -> Document:
        place, ours = str(metadata["token_endpoint"]), self._client
        if ours.secret is None:
            assertion = {"client_assertion_type": _ASSERTION, "client_assertion": self._assertion(metadata, now)}
            return self._asking.post("tokens", place, {**form, "client_id": ours.client_id, **assertion})
        known = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in known:
            return self._asking.post("tokens", place, form, basic=(ours.client_id, ours.secret()))
        return self._asking.post("tokens", place, {**form, "client_id": ours.client_id, "client_secret": ours.secret()})

    def _assertion(self, metadata: Document, now: datetime) -> str:
        """We sign who we are (private_key_jwt; RFC 7523, 3). The audience is the issuer alone, so that the signature is of
        no use at another place."""
        key, moment = self._private_key(), int(now.timestamp())
        algorithm = {"RSA": "RS256", "OKP": "EdDSA"}.get(key.key_type) or {
            "P-256": "ES256", "P-384": "ES384", "P-521": "ES512"
        }[str(key.as_dict(private=False)["crv"])]  # fmt: skip
        claims = {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": metadata["issuer"],
            "jti": self._entropy.bytes(16).hex(),
            "iat": moment,
            "exp": moment + ASSERTION_SECONDS,
        }
        return jwt.encode({"alg": algorithm, "kid": key.thumbprint()}, claims, key, algorithms=[algorithm])

    def _private_key(self) -> RSAKey | ECKey | OKPKey:
        assert self._client.key is not None
        text = self._client.key()
        for kind in (RSAKey, ECKey, OKPKey):
            try:
                return kind.import_key(text)
            except (JoseError, ValueError, TypeError):
                continue
        raise IssuerUnavailable(
            "oidc.client_key_file holds no private key in PEM; write one of RSA, EC or Ed25519 into it"
        )

    def _userinfo(self, metadata: Document, access_token: object, subject: str) -> Document:
        """What the UserInfo endpoint adds of the person (Core 5.3); its subject must be that of the ID token (5.3.2). How and
        when they signed in is for the ID token alone to say."""
        place = metadata.get("userinfo_endpoint")
        if not is_as_safe(place, self._rules.issuer) or not isinstance(access_token, str):
            raise NotVerified("userinfo")
        found = self._asking.get("userinfo", str(place), bearer=access_token)
        if found.get("sub") != subject:
            raise NotVerified("userinfo")
        wanted = {self._client.name_claim, self._client.groups_claim, "name", "email", "email_verified"} - _SIGNED_ONLY
        return {name: found[name] for name in wanted & found.keys()}

    # --- small parts

    def _expected(self, now: datetime) -> Expected:
        return Expected(issuer=self._rules.issuer, client_id=self._client.client_id, now=now)

    def _claims(self, claims: Mapping[str, Any], now: datetime) -> Claims:
        verified = claims.get("email_verified") is True
        return Claims(
            issuer=self._rules.issuer,
            subject=str(claims["sub"]),
            name=_short(claims.get(self._client.name_claim)),
            display_name=_short(claims.get("name")),
            groups=_words(claims.get(self._client.groups_claim)),
            groups_elsewhere=_elsewhere(claims, self._client.groups_claim),
            email=_short(claims.get("email")) if verified else None,
            amr=_words(claims.get("amr")),
            acr=_short(claims.get("acr")),
            sid=_short(claims.get("sid")),
            proved_at=_moment(claims.get("auth_time"), now),
        )

    def _refused(self, step: str) -> FederationRefused:
        log.warning("sign-in at an issuer did not verify", issuer=self._rules.name, step=step)
        return FederationRefused(Reason.NOT_VERIFIED)


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"


def _short(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= TEXT_LENGTH else None


def _moment(value: object, now: datetime) -> datetime | None:
    """A NumericDate that is not ahead of us by more than clocks differ; at most now."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    latest = now.timestamp()
    return datetime.fromtimestamp(min(value, latest), UTC) if 0 <= value <= latest + LEEWAY_SECONDS else None


def _elsewhere(claims: Mapping[str, Any], name: str) -> bool:
    """Whether the groups are not told in full: a distributed claim names where to ask (Core 5.6.2; Entra ID does so above 200
    groups, and says ``hasgroups`` in the implicit flow), or there are more than we read. Nobody is asked elsewhere."""
    names = claims.get("_claim_names")
    if isinstance(names, dict) and name in names:
        return True
    told = claims.get(name)
    return (claims.get("hasgroups") is True and told is None) or (isinstance(told, list) and len(told) > GROUPS_MOST)


def _words(value: object) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > GROUPS_MOST:
        return frozenset()
    return frozenset(word for word in listed if isinstance(word, str) and word)
