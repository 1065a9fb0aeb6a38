"""Passkeys through py_webauthn: the browser's JSON forms, and the verification of what authenticators sign.

Keeps: only the configured origin and relying party count, never from within another site's frame; the person was there and
was verified (PIN, fingerprint, face). Left to others: challenges (single use, session) and counters
(``services.ceremonies``). No attestation is asked for: which make of authenticator a person holds is not ours to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialType,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from recvault.domain.errors import InvalidInput
from recvault.domain.passkeys import CHALLENGE_LIFE, Passkey, PasskeyRefused, Registered, RelyingParty, Signed

ALGORITHMS = [
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
"""What platforms offer: P-256, Ed25519, and RSA of Windows Hello (RFC 9053, RFC 8812)."""

LONGEST = 16 * 1024
"""Characters of one binary field of an answer."""

_TRANSPORTS = {transport.value: transport for transport in AuthenticatorTransport}
_WAIT_MILLISECONDS = int(CHALLENGE_LIFE.total_seconds() * 1000)

# What the library lets through for an answer that is not of the form it expects, beside its own errors.
_UNREADABLE = (WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError)


class WebAuthn:
    """Implements the port's ``Authenticators`` for one relying party."""

    def __init__(self, party: RelyingParty) -> None:
        self._party = party

    def creation(self, *, challenge: bytes, handle: bytes, name: str, known: Sequence[Passkey]) -> Mapping[str, object]:
        """See the port."""
        options = generate_registration_options(
            rp_id=self._party.id,
            rp_name=self._party.name,
            user_name=name,
            user_id=handle,
            challenge=challenge,
            timeout=_WAIT_MILLISECONDS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=_described(known),
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json_dict(options)

    def request(self, *, challenge: bytes, known: Sequence[Passkey]) -> Mapping[str, object]:
        """See the port."""
        options = generate_authentication_options(
            rp_id=self._party.id,
            challenge=challenge,
            timeout=_WAIT_MILLISECONDS,
            allow_credentials=_described(known),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def answered(self, answer: Mapping[str, object]) -> bytes:
        """See the port."""
        return _client_data(_field(answer, "clientDataJSON")).challenge

    def registered(self, answer: Mapping[str, object], *, challenge: bytes) -> Registered:
        """See the port."""
        origin = self._require_origin(_field(answer, "clientDataJSON"))
        try:
            found = verify_registration_response(
                credential=dict(answer),
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=origin,
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
        except _UNREADABLE as error:
            raise _refused(error) from error
        return Registered(
            credential_id=found.credential_id,
            public_key=found.credential_public_key,
            sign_count=found.sign_count,
            backed_up=found.credential_backed_up,
            transports=_transports(answer),
        )

    def signed(self, answer: Mapping[str, object]) -> Signed:
        """See the port."""
        _field(answer, "clientDataJSON")
        try:
            found = parse_authentication_credential_json(dict(answer))
        except _UNREADABLE as error:
            raise InvalidInput("the passkey's answer cannot be read; begin again") from error
        return Signed(
            credential_id=found.raw_id,
            challenge=_client_data(found.response.client_data_json).challenge,
            authenticator_data=found.response.authenticator_data,
            client_data=found.response.client_data_json,
            signature=found.response.signature,
            user_handle=found.response.user_handle,
        )

    def verify(self, signed: Signed, *, challenge: bytes, public_key: bytes) -> int:
        """See the port."""
        origin = self._require_origin(signed.client_data)
        credential = AuthenticationCredential(
            id=bytes_to_base64url(signed.credential_id),
            raw_id=signed.credential_id,
            response=AuthenticatorAssertionResponse(
                client_data_json=signed.client_data,
                authenticator_data=signed.authenticator_data,
                signature=signed.signature,
            ),
            type=PublicKeyCredentialType.PUBLIC_KEY,
        )
        try:
            found = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._party.id,
                expected_origin=origin,
                credential_public_key=public_key,
                credential_current_sign_count=0,  # compared by the caller, who tells a counter that goes back
                require_user_verification=True,
            )
        except _UNREADABLE as error:
            raise _refused(error) from error
        return found.new_sign_count

    def _require_origin(self, client_data: bytes) -> str:
        """The origin that counts; PasskeyRefused when the answer was made for another, or inside another site's frame."""
        found = _client_data(client_data)
        local = re.fullmatch(rf"https?://{re.escape(self._party.id)}(:[0-9]{{1,5}})?", str(found.origin))
        if found.origin != self._party.origin and not (self._party.any_port and local):
            raise PasskeyRefused(
                "origin", f"the passkey answered for another address than {self._party.origin}; open the desk there"
            )
        if found.cross_origin:
            raise PasskeyRefused("frame", "the passkey was asked for inside another site's page; open the desk itself")
        return str(found.origin)


def _described(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=one.credential_id, transports=[_TRANSPORTS[name] for name in one.transports if name in _TRANSPORTS]
        )
        for one in known
    ]


def _field(answer: Mapping[str, object], name: str) -> bytes:
    """A binary field of the answer's ``response``; InvalidInput when there is none."""
    response: Any = answer.get("response")
    value = response.get(name) if isinstance(response, Mapping) else None
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InvalidInput("the passkey's answer cannot be read; begin again")
    try:
        return base64url_to_bytes(value)
    except ValueError as error:
        raise InvalidInput("the passkey's answer cannot be read; begin again") from error


def _client_data(data: bytes) -> CollectedClientData:
    try:
        return parse_client_data_json(data)
    except _UNREADABLE as error:
        raise InvalidInput("the passkey's answer cannot be read; begin again") from error


def _transports(answer: Mapping[str, object]) -> tuple[str, ...]:
    response: Any = answer.get("response")
    listed = response.get("transports") if isinstance(response, Mapping) else None
    return tuple(sorted({name for name in listed if name in _TRANSPORTS})) if isinstance(listed, list) else ()


_REASONS = (
    ("challenge", "challenge"),
    ("RP ID", "party"),
    ("User verification", "verification"),
    ("User presence", "presence"),
    ("not present", "presence"),
    ("signature", "signature"),
)


def _refused(error: Exception) -> PasskeyRefused:
    """Ours for one of the library's, with a code for the log; the library's own words stay behind as its cause."""
    reason = next((code for words, code in _REASONS if words in str(error)), "form")
    if reason == "verification":
        return PasskeyRefused(
            reason, "the passkey did not verify who you are; use one with a PIN, fingerprint or face, and begin again"
        )
    return PasskeyRefused(reason, "the passkey's answer does not hold; begin again, or use another passkey")
