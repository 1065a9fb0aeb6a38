"""Signed documents: DSSE envelopes (Dead Simple Signing Envelope 1.0) with Ed25519 (RFC 8032).

The signature covers the pre-authentication encoding of type and payload, so that no parser has to agree on
canonical JSON before the signature is checked. Opening raises Tampered; it never returns a bool. Where keys
live is left to the keyring: signing comes in as a function.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recvault.domain.errors import Tampered
from recvault.domain.ids import canonical_json


def pre_authentication_encoding(payload: bytes, payload_type: str) -> bytes:
    """PAE of DSSE: ``DSSEv1 <length of type> <type> <length of payload> <payload>``."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal_envelope(payload: bytes, payload_type: str, key_id: str, sign: Callable[[bytes], bytes]) -> bytes:
    """A JSON envelope around ``payload`` with one signature by ``key_id``."""
    signature = sign(pre_authentication_encoding(payload, payload_type))
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def unseal_envelope(envelope: bytes, payload_type: str, public_key: bytes) -> bytes:
    """The payload, when one signature verifies under the raw 32-byte ``public_key`` and the type is the one
    expected."""
    try:
        document = json.loads(envelope)
        payload = base64.b64decode(document["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in document["signatures"]]
        found_type = str(document["payloadType"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise Tampered("this is not a signed envelope; take the file again from where it was issued") from error
    if found_type != payload_type:
        raise Tampered("the envelope holds another kind of document; check that the right file was given")
    key = Ed25519PublicKey.from_public_bytes(public_key)
    message = pre_authentication_encoding(payload, payload_type)
    for signature in signatures:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return payload
    raise Tampered("no signature verifies under this public key; the document was altered or signed by another archive")
