"""Certificates of destruction: what they say, how they are issued, and what of them is shown of one communication.

A certificate claims what was seen and no more (LAW, Destruction; NIST SP 800-88 Rev. 1, appendix G lists what such a
document should tell). One signed document stands for a whole batch: it carries the root of a Merkle tree (RFC 9162) whose
leaves say what was destroyed, one for each communication, so that each can still be shown alone, with its leaf and the way
from there to the root. No names, numbers or file names of persons stand in either. How a stranger verifies them is
``certificate_checks``; what is in older certificates, one signature for each item, is read and never issued any more.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recvault.domain.communication import Communication
from recvault.domain.destruction import BatchCertificate, Destruction, Stage
from recvault.domain.errors import CertificateInvalid, KeyNotFound
from recvault.domain.ids import canonical_json, uuid7
from recvault.domain.merkle import inclusion_proof, leaf_hash, tree_root
from recvault.domain.ports.database import UnitOfWork
from recvault.domain.ports.keyring import KeyInfo, Keyring
from recvault.domain.ports.system import Entropy
from recvault.domain.retention.endings import PurposeEnding
from recvault.sealing.envelope import seal_envelope
from recvault.services.certificate_checks import LEAF_SCHEMA, PAYLOAD_TYPE, PROOF_SCHEMA, SCHEMA, verify_certificate

__all__ = ["SIGNING_KEY", "Certificates", "Issuer", "leaf_of", "verify_certificate"]

SIGNING_KEY = "sign/certificate/1"
METHOD = "cryptographic erasure of the data key, then deletion of every object version"
ALGORITHM = "Cobblestone-256 (AES-256-GCM); data key wrapped with AES-256-GCM"
LOOKED_FOR = "all object versions, delete markers and open uploads under each item's prefix were listed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Issuer:
    """Who issues: the controller as configured, and the program's version; how long backups of the database are kept, None
    where the archive makes none itself."""

    controller: str
    business_id: str
    version: str
    backups_kept: timedelta | None = None

    def backups_until(self, items: Sequence[Destruction]) -> str | None:
        """Until when a backup made before the last of them was shredded may hold their index data."""
        last = max(item.shredded_at for item in items)
        return None if self.backups_kept is None else (last + self.backups_kept).isoformat()


class Certificates:
    """Takes evidence when something is shredded, and issues the two certificates of a batch."""

    def __init__(self, *, keyring: Keyring, entropy: Entropy, issuer: Issuer) -> None:
        self._keyring = keyring
        self._entropy = entropy
        self._issuer = issuer

    def evidence(
        self, row: Communication, *, policy_signed_by: str, endings: Sequence[PurposeEnding], started_at: datetime
    ) -> dict[str, object]:
        """What must be written down before the row forgets it: sizes, salted digests, policy, places, and who ended a purpose
        of it before its time. JSON values."""
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
            **({"ended": [_ended(one) for one in endings]} if endings else {}),
        }

    def inaccessible(self, unit: UnitOfWork, items: Sequence[Destruction], *, absent_at: datetime) -> BatchCertificate:
        """The first certificate: data keys gone, no version of any object found."""
        last = max(item.shredded_at for item in items)
        # A playback under way may go on until its objects are gone.
        unreachable = max(last + timedelta(seconds=self._keyring.cache_seconds), absent_at)
        keys = sorted({key_id for item in items for key_id in item.key_ids})
        facts: dict[str, object] = {
            "batches": sorted({item.batch for item in items}),
            "triggers": Counter(sorted(item.trigger.value for item in items)),
            "decided_by_one_person": sum(map(_by_one_person, items)),
            "policies": _distinct(item.facts.get("policy") for item in items),
            "places": _distinct(item.facts.get("place") for item in items),
            "shredded": {"first": min(item.shredded_at for item in items).isoformat(), "last": last.isoformat()},
            "verification": {"method": LOOKED_FOR, "result": "none found", "at": absent_at.isoformat()},
            "claims": {
                "content_unreachable_since": unreachable.isoformat(),
                "index_data_in_backups_until": self._issuer.backups_until(items),
                "keys_still_alive": [key_id for key_id in keys if self._may_open(key_id)],
                "note": "a backup of the database made before the erasure still opens the items until these keys "
                "are destroyed; the certificate of stage 'complete' says when they were",
            },
        }
        return self._issue(unit, Stage.INACCESSIBLE, items, facts, issued_at=absent_at)

    def complete(
        self, unit: UnitOfWork, items: Sequence[Destruction], *, keys: Mapping[str, datetime], now: datetime
    ) -> BatchCertificate:
        """The second certificate: every key that ever wrapped one of the data keys is gone from every keyring replica."""
        facts: dict[str, object] = {
            "keys": [{"id": key, "destroyed_at": at.isoformat()} for key, at in sorted(keys.items())],
            "keyring_places": sorted(replica.place for replica in self._keyring.replicas()),
            **self._beyond_reach([self._keyring.info(key) for key in keys]),
            "claims": {
                "content_unreachable_from_backups_since": max(keys.values()).isoformat(),
                "index_data_in_backups_until": self._issuer.backups_until(items),
                "note": "index data (ids, times, contact point, team, queue, case reference, tags) may stand in backups of "
                "the database until those end; copies handed out are outside the archive; what a lost place or an "
                "offline copy of the keyring held opens for who has the root key of its time",
            },
        }
        return self._issue(unit, Stage.COMPLETE, items, facts, issued_at=now)

    def files(self, unit: UnitOfWork, item: Destruction) -> dict[Stage, str]:
        """The certificates of one communication as files, each verifiable alone, by stage.

        CertificateInvalid when its tombstone is not what was certified.
        """
        own = {Stage.INACCESSIBLE: item.certificate_inaccessible, Stage.COMPLETE: item.certificate_complete}
        files = {stage: text for stage, text in own.items() if text is not None}
        for stage, batch in ((Stage.INACCESSIBLE, item.inaccessible_in), (Stage.COMPLETE, item.complete_in)):
            if batch is not None:
                files[stage] = _proof(unit.destructions.certificate(batch), item)
        return files

    def public_key(self) -> bytes:
        """The raw Ed25519 public key that verifies certificates."""
        return self._keyring.public(SIGNING_KEY)

    def _issue(
        self,
        unit: UnitOfWork,
        stage: Stage,
        items: Sequence[Destruction],
        facts: Mapping[str, object],
        *,
        issued_at: datetime,
    ) -> BatchCertificate:
        leaves = tuple(leaf_hash(leaf_of(item, stage)) for item in items)
        certificate_id = uuid7(issued_at, self._entropy.bytes(10))
        body = {
            "schema": SCHEMA,
            "stage": stage.value,
            "certificate": certificate_id,
            "controller": {"name": self._issuer.controller, "business_id": self._issuer.business_id},
            "count": len(leaves),
            "tree": {"hash": "RFC 9162 SHA-256", "root": tree_root(leaves).hex()},
            "method": METHOD,
            "algorithm": ALGORITHM,
            "issued_at": issued_at.isoformat(),
            "actor": "system:purge",
            "tool": f"recvault {self._issuer.version}",
            "log_checkpoint": _latest(unit),
            **facts,
        }
        envelope = seal_envelope(
            canonical_json(body), PAYLOAD_TYPE, SIGNING_KEY, lambda m: self._keyring.sign(SIGNING_KEY, m)
        )
        return BatchCertificate(
            id=certificate_id, stage=stage, issued_at=issued_at, leaves=leaves, document=envelope.decode()
        )

    def _beyond_reach(self, keys: Sequence[KeyInfo]) -> dict[str, object]:
        """Where one of the keys may still be without anyone having confirmed its end: places declared lost, and offline
        copies of the keyring, of which the newest and the last day of any are told."""
        lost = [place for place in self._keyring.lost_places() if any(map(place.may_hold, keys))]
        copies = [copy for copy in self._keyring.offline_copies() if any(map(copy.may_hold, keys))]
        return {
            "keyring_places_lost": [
                {"place": place.place, "lost_at": place.lost_at.isoformat(), "how": place.loss.value}
                for place in sorted(lost, key=lambda place: place.lost_at)
            ],
            "offline_copies": {
                "count": len(copies),
                "newest_made_at": max(copy.made_at for copy in copies).isoformat(),
                "last_expires_at": max(copy.expires_at for copy in copies).isoformat(),
            }
            if copies
            else None,
        }

    def _may_open(self, key_id: str) -> bool:
        """Whether the keyring has not seen the key's end (a key it does not know may still open)."""
        try:
            return self._keyring.info(key_id).destroyed_at is None
        except KeyNotFound:
            return True


def leaf_of(item: Destruction, stage: Stage) -> bytes:
    """What a batch certificate of the stage says of one communication: canonical JSON, computed from its tombstone alone."""
    leaf: dict[str, object] = {
        "schema": LEAF_SCHEMA,
        "stage": stage.value,
        "item": item.communication_id,
        "key_ids": list(item.key_ids),
        "shredded_at": item.shredded_at.isoformat(),
    }
    if stage is Stage.COMPLETE:
        own = item.certificate_inaccessible
        first = leaf_hash(leaf_of(item, Stage.INACCESSIBLE)) if own is None else hashlib.sha256(own.encode()).digest()
        return canonical_json(leaf | {"leaf_inaccessible" if own is None else "file_inaccessible": first.hex()})
    return canonical_json(
        leaf
        | {
            "source": item.source_id,
            "batch": item.batch,
            "trigger": item.trigger.value,
            "evidence": dict(item.facts),
        }
    )


def _proof(certificate: BatchCertificate, item: Destruction) -> str:
    leaf = leaf_of(item, certificate.stage)
    try:
        index = certificate.leaves.index(leaf_hash(leaf))
    except ValueError:
        raise CertificateInvalid(
            f"the tombstone of {item.communication_id} is not what its certificate was issued about: the database was "
            "altered; compare it with a backup"
        ) from None
    return canonical_json(
        {
            "schema": PROOF_SCHEMA,
            "certificate": json.loads(certificate.document),
            "index": index,
            "leaf": base64.b64encode(leaf).decode(),
            "proof": [base64.b64encode(node).decode() for node in inclusion_proof(certificate.leaves, index)],
        }
    ).decode()


def _ended(ending: PurposeEnding) -> dict[str, object]:
    """Who ended a purpose, by account ids; nobody approves an objection."""
    return {
        "purpose": ending.purpose,
        "kind": ending.kind.value,
        "at": ending.ends_at.isoformat(),
        "by": ending.placed_by,
        "approved_by": ending.approved_by,
        "decided_by_one_person": ending.approved_by == ending.placed_by,
    }


def _by_one_person(item: Destruction) -> bool:
    ended = item.facts.get("ended")
    return isinstance(ended, list) and any(one.get("decided_by_one_person") for one in ended)


def _latest(unit: UnitOfWork) -> dict[str, object] | None:
    """The last published checkpoint of the audit log: whoever has it, or a later one, knows that the entries of what was
    decided before stand in a log that was not rewritten since."""
    for checkpoint in unit.audit.checkpoints(1):
        return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
    return None


def _distinct(values: Iterable[object]) -> list[object]:
    """The different ones among JSON objects, in a fixed order."""
    texts = {canonical_json(value) for value in values if isinstance(value, Mapping)}
    return [json.loads(text) for text in sorted(texts)]
