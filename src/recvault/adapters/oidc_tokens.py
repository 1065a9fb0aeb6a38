"""Verifying what an issuer signed: ID tokens (OpenID Connect Core 1.0, 3.1.3.7) and logout tokens (Back-Channel Logout
1.0, 2.6).

Keeps: the algorithm comes from ALGORITHMS, all of them with a public key, whatever the token says ("none" and the HS family
are not among them); each step raises. Left to others: where keys come from (``adapters.oidc``).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, Key, KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_SECONDS = 60
"""How far the clocks may differ."""
OLDEST_SECONDS = 600
"""How long ago an ID token may have been issued: it is asked for and used at once."""
TOKEN_CHARACTERS = 64 * 1024
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}

Keys = Callable[[str | None], KeySet]
"""The issuer's keys; told the token's key id, so that they can be fetched anew when it is not among them."""


class _Registry(jws.JWSRegistry):
    """Header parameters that we do not know are ignored (RFC 7515, 4); some issuers send their certificates along."""

    max_header_length = 8 * 1024


class NotVerified(Exception):
    """The token is not what it should be; the text names the step, and nothing of the token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """Who must have made it for whom, and the moment."""

    issuer: str
    client_id: str
    now: datetime


def id_token(
    token: object, keys: Keys, expected: Expected, *, nonce: str, access_token: str | None
) -> Mapping[str, Any]:
    """The claims of a verified ID token. The numbers are those of Core 3.1.3.7; steps 1 (encryption), 7 to 8 (symmetric
    keys) and 12 to 13 (not asked for here) do not arise."""
    claims, algorithm = _verified(token, keys)  # 6: the signature, 7: the algorithm
    _common(claims, expected)  # 2: issuer, 3: audience, 9 and 10: times
    _authorised_party(claims, expected.client_id)  # 4, 5
    _younger_than(claims, expected.now, OLDEST_SECONDS)  # 10
    told = claims.get("nonce")  # 11
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), nonce.encode()):
        raise NotVerified("nonce")
    _access_token_hash(claims, access_token, algorithm)  # 3.1.3.8
    _text(claims, "sub", required=True)
    return claims


def logout_token(token: object, keys: Keys, expected: Expected) -> Mapping[str, Any]:
    """The claims of a verified logout token."""
    claims, _ = _verified(token, keys, types=("logout+jwt", "jwt", None))
    _common(claims, expected)
    _younger_than(claims, expected.now, OLDEST_SECONDS)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise NotVerified("events")
    if "nonce" in claims:  # an ID token passed off as a logout token
        raise NotVerified("nonce")
    if _text(claims, "sub") is None and _text(claims, "sid") is None:
        raise NotVerified("sub")
    _text(claims, "jti", required=True)  # 2.4; that it comes once is the service's to see
    return claims


def too_old_from(claims: Mapping[str, Any]) -> datetime:
    """From when on a verified token would be refused for its age, by whatever clock of ours."""
    return datetime.fromtimestamp(claims["iat"] + OLDEST_SECONDS + 2 * LEEWAY_SECONDS, UTC)


def _verified(token: object, keys: Keys, types: tuple[str | None, ...] = ("jwt", None)) -> tuple[dict[str, Any], str]:
    if not isinstance(token, str) or not token.isascii() or len(token) > TOKEN_CHARACTERS:
        raise NotVerified("form")

    def choose(guest: GuestProtocol) -> Key | KeySet:
        kid = guest.headers().get("kid")
        if kid is not None and not isinstance(kid, str):
            raise NotVerified("kid")
        return _fitting(keys(kid), kid, str(guest.headers().get("alg")))

    try:
        found = jwt.decode(token, choose, algorithms=ALGORITHMS, registry=_Registry(None, ALGORITHMS, False))
    except (JoseError, ValueError, TypeError, KeyError) as fault:
        raise NotVerified(f"signature ({type(fault).__name__})") from None
    kind = found.header.get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in types:
        raise NotVerified("typ")
    return found.claims, str(found.header["alg"])


def _fitting(keys: KeySet, kid: str | None, algorithm: str) -> Key:
    """The one key that may have signed it: of that id, or the only one of the kind when the token names none."""
    kind = {"R": "RSA", "P": "RSA"}.get(algorithm[:1]) or ("EC" if algorithm.startswith("ES") else "OKP")
    fit = [
        key
        for key in keys.keys
        if key.key_type == kind
        and key.as_dict(private=False).get("use", "sig") == "sig"
        and key.as_dict(private=False).get("alg", algorithm) == algorithm
        and (kid is None or key.kid == kid)
    ]
    if len(fit) != 1:
        raise NotVerified("kid")
    return fit[0]


def _common(claims: Mapping[str, Any], expected: Expected) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(expected.now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except JoseError as fault:
        raise NotVerified(f"claims ({getattr(fault, 'claim', None) or type(fault).__name__})") from None


def _authorised_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Further audiences are none of those we trust, unless we are the party that it was made for."""
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != client_id:
        raise NotVerified("azp")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise NotVerified("azp")


def _younger_than(claims: Mapping[str, Any], now: datetime, seconds: int) -> None:
    if claims["iat"] < now.timestamp() - seconds - LEEWAY_SECONDS:
        raise NotVerified("iat")


def _access_token_hash(claims: Mapping[str, Any], access_token: str | None, algorithm: str) -> None:
    told = claims.get("at_hash")
    if told is None:
        return
    name = "sha512" if algorithm in ("EdDSA", "Ed25519") else _HASHES[algorithm[-3:]]
    digest = hashlib.new(name, (access_token or "").encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), half.encode()):
        raise NotVerified("at_hash")


def _text(claims: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = claims.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise NotVerified(name)
    return value
