"""Certificates of destruction: what they say, how they are issued, how anybody verifies one offline.

A certificate claims what was seen and no more (LAW, Destruction; NIST SP 800-88 Rev. 1, appendix G lists what such a
document should tell). It is a DSSE envelope (``sealing.envelope``) signed by the archive's certificate key; verifying
takes the file and the public key, nothing else. No names, numbers or file names of persons stand in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from recvault.domain.communication import Communication
from recvault.domain.destruction import Destruction, Stage
from recvault.domain.errors import CertificateInvalid, KeyNotFound, Tampered
from recvault.domain.ids import canonical_json, is_uuid7
from recvault.domain.ports.keyring import Keyring
from recvault.domain.ports.system import Entropy
from recvault.sealing.envelope import seal_envelope, unseal_envelope

SIGNING_KEY = "sign/certificate/1"
PAYLOAD_TYPE = "application/vnd.recvault.certificate+json"
SCHEMA = "recvault/certificate/v1"
METHOD = "cryptographic erasure of the data key, then deletion of every object version"
ALGORITHM = "Cobblestone-256 (AES-256-GCM); data key wrapped with AES-256-GCM"
LOOKED_FOR = "all object versions, delete markers and open uploads under the item's prefix were listed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """Who issues: the controller as configured, and the program's version."""

    controller: str
    business_id: str
    version: str


class Certificates:
    """Takes evidence when something is shredded, and issues the two certificates."""

    def __init__(self, *, keyring: Keyring, entropy: Entropy, issuer: Issuer) -> None:
        self._keyring = keyring
        self._entropy = entropy
        self._issuer = issuer

    def evidence(self, row: Communication, *, policy_signed_by: str, started_at: datetime) -> dict[str, object]:
        """What must be written down before the row forgets it: sizes, salted digests, policy, places. JSON values."""
        salt = self._entropy.bytes(16)
        return {
            "stored_at": row.stored_at.isoformat(),
            "destroy_at": row.destroy_at.isoformat(),
            "policy": {"version": row.policy_version, "signed_by": policy_signed_by},
            "purposes": [
                {"purpose": p.purpose, "rule": p.rule, "needed_until": p.needed_until.isoformat()} for p in row.purposes
            ],
            "streams": [
                {
                    "name": s.name,
                    "generation": s.generation,
                    "length": s.plaintext_length,
                    "ciphertext_length": s.ciphertext_length,
                    "salted_sha256": hashlib.sha256(salt + bytes.fromhex(s.ciphertext_sha256)).hexdigest(),
                }
                for s in row.streams
            ],
            "salt": salt.hex(),
            "place": {"declared": row.place_declared, "observed": row.place_observed},
            "started_at": started_at.isoformat(),
        }

    def inaccessible(self, item: Destruction, *, absent_at: datetime) -> str:
        """The first certificate: data key gone, no version of any object found."""
        # A playback under way may go on until its objects are gone.
        unreachable = max(item.shredded_at + timedelta(seconds=self._keyring.cache_seconds), absent_at)
        return self._sign(
            {
                **self._common(item, Stage.INACCESSIBLE, absent_at),
                "evidence": dict(item.facts),
                "verification": {"method": LOOKED_FOR, "result": "none found", "at": absent_at.isoformat()},
                "claims": {
                    "content_unreachable_since": unreachable.isoformat(),
                    "keys_still_alive": [key_id for key_id in item.key_ids if self._may_open(key_id)],
                    "note": "a backup of the database made before the erasure still opens the item until these keys "
                    "are destroyed; the certificate of stage 'complete' says when they were",
                },
            }
        )

    def complete(self, item: Destruction, *, keys: Mapping[str, datetime], now: datetime) -> str:
        """The second certificate: every key that ever wrapped the data key is gone from every keyring replica."""
        first = (item.certificate_inaccessible or "").encode()
        return self._sign(
            {
                **self._common(item, Stage.COMPLETE, now),
                "keys": [{"id": key, "destroyed_at": at.isoformat()} for key, at in sorted(keys.items())],
                "keyring_places": sorted(replica.place for replica in self._keyring.replicas()),
                "inaccessible_certificate_sha256": hashlib.sha256(first).hexdigest(),
                "claims": {
                    "content_unreachable_from_backups_since": max(keys.values()).isoformat(),
                    "note": "index data (ids, times, contact point, team, queue, case reference, tags) may stand in backups of "
                    "the database until those end; copies handed out are outside the archive; offline copies of the "
                    "keyring are not covered",
                },
            }
        )

    def _may_open(self, key_id: str) -> bool:
        """Whether the keyring has not seen the key's end (a key it does not know may still open)."""
        try:
            return self._keyring.info(key_id).destroyed_at is None
        except KeyNotFound:
            return True

    def public_key(self) -> bytes:
        """The raw Ed25519 public key that verifies certificates."""
        return self._keyring.public(SIGNING_KEY)

    def _common(self, item: Destruction, stage: Stage, issued_at: datetime) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "stage": stage.value,
            "item": item.communication_id,
            "source": item.source_id,
            "controller": {"name": self._issuer.controller, "business_id": self._issuer.business_id},
            "batch": item.batch,
            "trigger": item.trigger.value,
            "method": METHOD,
            "algorithm": ALGORITHM,
            "shredded_at": item.shredded_at.isoformat(),
            "issued_at": issued_at.isoformat(),
            "actor": "system:purge",
            "tool": f"recvault {self._issuer.version}",
        }

    def _sign(self, body: Mapping[str, object]) -> str:
        envelope = seal_envelope(
            canonical_json(body), PAYLOAD_TYPE, SIGNING_KEY, lambda m: self._keyring.sign(SIGNING_KEY, m)
        )
        return envelope.decode()


def verify_certificate(envelope: bytes, public_key: bytes) -> dict[str, object]:
    """Verifies a certificate from its bytes and the raw public key alone; returns what it says.

    Raises CertificateInvalid when the signature, the kind of document or its content does not hold together.
    """
    try:
        payload = unseal_envelope(envelope, PAYLOAD_TYPE, public_key)
    except Tampered as fault:
        raise CertificateInvalid(str(fault)) from fault
    body: dict[str, object] = json.loads(payload)
    if body.get("schema") != SCHEMA:
        raise CertificateInvalid("the certificate is of an unknown schema; use a newer program")
    if not is_uuid7(str(body.get("item"))) or body.get("stage") not in (Stage.INACCESSIBLE, Stage.COMPLETE):
        raise CertificateInvalid("the certificate names no item or no stage; it was not issued by this program")
    shredded = datetime.fromisoformat(str(body["shredded_at"]))
    if datetime.fromisoformat(str(body["issued_at"])) < shredded:
        raise CertificateInvalid("the certificate was issued before the destruction it certifies")
    return body
