"""Verifying a certificate of destruction, offline: from its bytes and the archive's public key, nothing else.

Three kinds of file are read: the proof about one communication (a batch's certificate with the leaf and its way to the root,
RFC 9162), the certificate of a batch alone, and the certificate of one item that earlier versions issued. Verifying raises
CertificateInvalid; it never returns a verdict. ``docs/CERTIFICATE.md`` tells a stranger to do the same with OpenSSL.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recvault.domain.destruction import Stage
from recvault.domain.errors import CertificateInvalid, Tampered
from recvault.domain.ids import canonical_json, is_uuid7
from recvault.domain.merkle import leaf_hash, proven_root
from recvault.sealing.envelope import unseal_envelope

PAYLOAD_TYPE = "application/vnd.recvault.certificate+json"
SCHEMA_OF_ONE = "recvault/certificate/v1"
SCHEMA = "recvault/certificate/v2"
LEAF_SCHEMA = "recvault/certificate-leaf/v1"
PROOF_SCHEMA = "recvault/certificate-proof/v1"

_STAGES = (Stage.INACCESSIBLE.value, Stage.COMPLETE.value)


def verify_certificate(file: bytes, public_key: bytes) -> dict[str, object]:
    """What a certificate's file says, once everything in it was verified under the raw public key.

    Of a proof: the leaf's fields (``item``, ``evidence`` …) and the certificate's in one object; the certificate's win.
    Raises CertificateInvalid when the signature, the proof, the kind of document or its content does not hold together.
    """
    try:
        document = json.loads(file)
    except ValueError as fault:
        raise CertificateInvalid("this is no certificate; take the file again from where it was issued") from fault
    if isinstance(document, dict) and document.get("schema") == PROOF_SCHEMA:
        return _proven(document, public_key)
    body = _signed(file, public_key)
    if body.get("schema") == SCHEMA_OF_ONE:
        _require_one(body)
    return body


def _proven(document: Mapping[str, Any], public_key: bytes) -> dict[str, object]:
    """1. The signature over the batch. 2. The leaf leads to the root that is signed. 3. Both say the same."""
    try:
        envelope = canonical_json(document["certificate"])
        leaf_bytes = base64.b64decode(document["leaf"], validate=True)
        proof = [base64.b64decode(node, validate=True) for node in document["proof"]]
        index = int(document["index"])
        leaf: dict[str, object] = json.loads(leaf_bytes)
    except (ValueError, KeyError, TypeError, binascii.Error) as fault:
        raise CertificateInvalid("the proof is not in one piece; take the file again from its issuer") from fault
    body = _signed(envelope, public_key)  # 1
    if body.get("schema") != SCHEMA:
        raise CertificateInvalid("the proof goes with a certificate of a single item; it proves nothing")
    size, tree = body.get("count"), body.get("tree")
    root = tree.get("root") if isinstance(tree, dict) else None
    if (
        not isinstance(size, int)
        or proven_root(leaf_hash(leaf_bytes), index=index, size=size, proof=proof).hex() != root
    ):
        raise CertificateInvalid(
            "the leaf is not among those that were certified; it was altered or is of another batch"
        )
    _require_leaf(leaf, body)  # 3
    return leaf | body


def _signed(envelope: bytes, public_key: bytes) -> dict[str, object]:
    try:
        payload = unseal_envelope(envelope, PAYLOAD_TYPE, public_key)
    except Tampered as fault:
        raise CertificateInvalid(str(fault)) from fault
    body: dict[str, object] = json.loads(payload)
    if body.get("schema") not in (SCHEMA, SCHEMA_OF_ONE):
        raise CertificateInvalid("the certificate is of an unknown schema; use a newer program")
    if body.get("stage") not in _STAGES:
        raise CertificateInvalid("the certificate names no stage; it was not issued by this program")
    return body


def _require_one(body: Mapping[str, object]) -> None:
    if not is_uuid7(str(body.get("item"))):
        raise CertificateInvalid("the certificate names no item; it was not issued by this program")
    _require_order(body, body)


def _require_leaf(leaf: Mapping[str, object], body: Mapping[str, object]) -> None:
    if leaf.get("schema") != LEAF_SCHEMA or leaf.get("stage") != body["stage"] or not is_uuid7(str(leaf.get("item"))):
        raise CertificateInvalid("the leaf names no item or another stage; it was not issued by this program")
    _require_order(leaf, body)
    if body["stage"] == Stage.COMPLETE:
        named, gone = leaf.get("key_ids"), body.get("keys")
        ids = {str(key.get("id")) for key in gone if isinstance(key, dict)} if isinstance(gone, list) else set()
        if not isinstance(named, list) or not set(named) <= ids:
            raise CertificateInvalid("the certificate does not name every key of the item as destroyed")


def _require_order(about: Mapping[str, object], body: Mapping[str, object]) -> None:
    if datetime.fromisoformat(str(body["issued_at"])) < datetime.fromisoformat(str(about["shredded_at"])):
        raise CertificateInvalid("the certificate was issued before the destruction it certifies")
