"""The keyring's register of places as a signed document, apart from the seal that only the root key opens.

Whoever holds a certificate reads in it the places that had confirmed a key's end. This document tells a stranger which places
there are, which were lost and which offline copies were made, under the same public key as certificates; ``serial`` grows with
each change, so of two documents the later one is known, and a register that was put back is found by who kept an earlier one.
No key, no directory and no host stands in it: names of places as configured.
"""

from __future__ import annotations

import json

from recvault.domain.errors import CertificateInvalid, Tampered
from recvault.domain.ids import canonical_json
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Clock
from recvault.sealing.envelope import seal_envelope, unseal_envelope
from recvault.services.certificates import SIGNING_KEY

PAYLOAD_TYPE = "application/vnd.recvault.keyring-register+json"
SCHEMA = "recvault/keyring-register/v1"


def signed_register(keyring: Keyring, clock: Clock) -> bytes:
    """The register as it is now, in a DSSE envelope signed by the certificates' key (Ed25519)."""
    replicas = keyring.replicas()
    body = {
        "schema": SCHEMA,
        "issued_at": clock.now().isoformat(),
        "serial": max(replica.serial for replica in replicas),
        "places": [{"place": one.place, "in_step": one.fault is None} for one in replicas],
        "lost": [
            {
                "place": one.place,
                "added_at": one.added_at.isoformat(),
                "lost_at": one.lost_at.isoformat(),
                "how": one.loss.value,
                "found_at": None if one.found_at is None else one.found_at.isoformat(),
            }
            for one in keyring.lost_places()
        ],
        "offline_copies": [
            {
                "id": one.id,
                "made_at": one.made_at.isoformat(),
                "expires_at": one.expires_at.isoformat(),
                "ended_at": None if one.ended_at is None else one.ended_at.isoformat(),
            }
            for one in keyring.offline_copies()
        ],
    }
    return seal_envelope(canonical_json(body), PAYLOAD_TYPE, SIGNING_KEY, lambda m: keyring.sign(SIGNING_KEY, m))


def verify_register(file: bytes, public_key: bytes) -> dict[str, object]:
    """What a signed register says; CertificateInvalid when the signature or the kind of document does not hold."""
    try:
        body = json.loads(unseal_envelope(file, PAYLOAD_TYPE, public_key))
    except (Tampered, ValueError) as fault:
        raise CertificateInvalid(f"this register is not genuine: {fault}") from fault
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise CertificateInvalid("this is a register of a form that this program does not know; take a newer recvault")
    return body
