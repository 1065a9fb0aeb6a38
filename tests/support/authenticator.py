"""A software authenticator: it registers and signs as a security key would, and lies in the ways that tests ask for.

Written from Web Authentication, Level 3 (6.1 authenticator data, 5.8.1 client data, 6.5.4 attestation) and RFC 9053 for
its keys (ES256); what it answers has the form of ``PublicKeyCredential.toJSON()``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ORIGIN = "http://localhost:8470"
PARTY = "localhost"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40

Json = dict[str, Any]


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey. What it claims can be changed from outside: ``origin``, ``party``, ``verified``, ``count``."""

    origin: str = ORIGIN
    party: str = PARTY
    verified: bool = True
    present: bool = True
    cross_origin: bool = False
    count: int = 0
    counts: bool = True
    credential: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    handle: bytes | None = None

    def create(self, options: Mapping[str, Any], **changes: Any) -> Json:
        """The answer to options for a new passkey."""
        self.handle = decode(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + struct.pack(">H", len(self.credential)) + self.credential + cbor2.dumps(cose)
        data = self._data(ATTESTED) + attested
        client = self._client("webauthn.create", decode(options["challenge"]), **changes)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        answer = self._answer(clientDataJSON=client, attestationObject=attestation)
        answer["response"]["transports"] = ["usb", "smoke-signals"]
        return answer

    def get(self, options: Mapping[str, Any], **changes: Any) -> Json:
        """The answer to options for an assertion."""
        return self.sign(decode(options["challenge"]), **changes)

    def sign(self, challenge: bytes, **changes: Any) -> Json:
        """An assertion over the challenge; ``changes`` replace parts of the client data."""
        if self.counts:
            self.count += 1
        data = self._data(0)
        client = self._client("webauthn.get", challenge, **changes)
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer(**parts, **({} if self.handle is None else {"userHandle": self.handle}))

    def verify_elsewhere(self, kept: Mapping[str, Any]) -> None:
        """What an auditor does with an exported approval, with nothing of ours: the act, its hash, the signature over it."""
        act = json.dumps(kept["act"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        client = decode(kept["client_data"])
        assert encode(hashlib.sha256(act).digest()) == kept["challenge"] == json.loads(client)["challenge"]
        cose = cbor2.loads(decode(kept["public_key"]))
        point = ec.EllipticCurvePublicNumbers(
            int.from_bytes(cose[-2]), int.from_bytes(cose[-3]), ec.SECP256R1()
        ).public_key()
        said = decode(kept["authenticator_data"]) + hashlib.sha256(client).digest()
        point.verify(decode(kept["signature"]), said, ec.ECDSA(hashes.SHA256()))
        assert kept["covers_the_proposal"] and point == self.key.public_key()

    def _data(self, flags: int) -> bytes:
        flags |= (PRESENT if self.present else 0) | (VERIFIED if self.verified else 0)
        return hashlib.sha256(self.party.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client(self, kind: str, challenge: bytes, **changes: Any) -> bytes:
        said = {"type": kind, "challenge": encode(challenge), "origin": self.origin, "crossOrigin": self.cross_origin}
        return json.dumps(said | changes).encode()

    def _answer(self, **parts: bytes) -> Json:
        name = encode(self.credential)
        response = {key: encode(value) for key, value in parts.items()}
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
