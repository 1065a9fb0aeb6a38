"""Writes the test vectors of docs/FORMAT.md to standard output, for ``vectors.json`` beside this file.

Keys and nonces are fixed. The salt of a stream and the HPKE key pair come from the library and are random, so
Keys and nonces are fixed. The salt of a stream and the HPKE key pair are the library's and random, so
the streams' digests. All else comes out the same every time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from recvault.sealing.container import Sealer, object_name, seal_stream, stream_context
from recvault.sealing.edge import EdgeSealer
from recvault.sealing.fields import seal_fields
from recvault.sealing.manifest import Manifest, StreamEntry, seal_manifest
from recvault.sealing.wrapping import FIELDS_LABEL, MANIFEST_LABEL, derive, wrap, wrap_aad

ID = "0193a4d8-7c00-7000-8000-000000000001"
OTHER_ID = "0193a4d8-7c00-7000-8000-000000000002"
DEK = bytes(range(0x40, 0x60))
KEK = bytes(range(0x80, 0xA0))
NONCE = bytes(range(0xF0, 0xFC))
EDGE_PRIVATE = bytes(range(1, 33))
FIELDS = {"remote": {"as_sent": "040 123 4567", "name": "Åsa Öhman"}, "subject": None}
METADATA = b'{"channel":"call","source_id":"1700000000.1"}'
SIZES = {"empty": 0, "one": 1, "chunk": 16384, "odd": 16389}


def pattern(length: int) -> bytes:
    """Plaintext of every vector: byte *i* is *i* mod 251."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def _stream(name: str, length: int) -> tuple[dict[str, object], StreamEntry]:
    generation = 1
    context = stream_context(communication=ID, stream=name, generation=generation)
    sealer = Sealer(key=DEK, context=context)
    message = b"".join(seal_stream(sealer, [pattern(length)]))
    vector: dict[str, object] = {
        "name": name,
        "communication": ID,
        "generation": generation,
        "key": DEK.hex(),
        "context": context.decode(),
        "plaintext_length": length,
        "plaintext_sha256": sealer.seal.plaintext_sha256,
        "ciphertext": base64.b64encode(message).decode(),
    }
    return vector, StreamEntry(
        name=name,
        generation=generation,
        object_name=object_name(communication=ID, stream=name, generation=generation),
        version_id=None,
        plaintext_length=length,
        ciphertext_length=len(message),
        ciphertext_sha256=sealer.seal.ciphertext_sha256,
    )


def _refusals() -> list[dict[str, object]]:
    """Edits of the streams above; ``releases``: bytes of genuine plaintext a reader from the front may give
    out."""
    return [
        {"why": "salt", "of": "odd", "flip": [0, 0], "releases": 0},
        {"why": "commitment", "of": "odd", "flip": [55, 7], "releases": 0},
        {"why": "first chunk", "of": "odd", "flip": [56, 0], "releases": 0},
        {"why": "tag of the first chunk", "of": "odd", "flip": [16455, 3], "releases": 0},
        {"why": "last chunk", "of": "odd", "flip": [16456, 1], "releases": 16384},
        {"why": "last tag", "of": "empty", "flip": [71, 0], "releases": 0},
        {"why": "cut in the header", "of": "odd", "cut": 55, "releases": 0},
        {"why": "cut after the header", "of": "odd", "cut": 56, "releases": 0},
        {"why": "cut after the first chunk", "of": "chunk", "cut": 16456, "releases": 16384},
        {"why": "cut in the last tag", "of": "odd", "cut": 16471, "releases": 16384},
        {"why": "cut in the last chunk", "of": "odd", "cut": 16475, "releases": 16384},
        {"why": "bytes added", "of": "one", "append": "00", "releases": 0},
        {"why": "other communication", "of": "odd", "communication": OTHER_ID, "releases": 0},
        {"why": "other stream", "of": "odd", "stream": "one", "releases": 0},
        {"why": "other generation", "of": "odd", "generation": 2, "releases": 0},
        {"why": "other key", "of": "odd", "key": KEK.hex(), "releases": 0},
    ]


def _edge(length: int) -> dict[str, object]:
    public = X25519PrivateKey.from_private_bytes(EDGE_PRIVATE).public_key().public_bytes_raw()
    sealer = EdgeSealer(public_key=public, key_id="edge/2026-11", metadata=METADATA)
    envelope = sealer.head() + sealer.update(pattern(length)) + sealer.finish()
    return {
        "private_key": EDGE_PRIVATE.hex(),
        "public_key": public.hex(),
        "key_id": "edge/2026-11",
        "metadata": METADATA.decode(),
        "content_length": length,
        "content_sha256": sealer.content_sha256,
        "envelope": base64.b64encode(envelope).decode(),
    }


def vectors() -> dict[str, object]:
    """All vectors, as they stand in the file."""
    made = [_stream(name, length) for name, length in SIZES.items()]
    manifest = Manifest(
        communication=ID,
        streams=tuple(entry for _, entry in made),
        plaintext_sha256=hashlib.sha256(pattern(16389)).hexdigest(),
    )
    aad = wrap_aad(communication=ID, key_id="day/2026-11-22/1")
    return {
        "plaintext": "byte i is i mod 251",
        "wrapped_key": {
            "kek": KEK.hex(),
            "dek": DEK.hex(),
            "communication": ID,
            "key_id": "day/2026-11-22/1",
            "nonce": NONCE.hex(),
            "aad": aad.decode(),
            "wrapped": wrap(KEK, DEK, aad, NONCE).hex(),
        },
        "subkeys": [
            {"dek": DEK.hex(), "label": label, "subkey": derive(DEK, label).hex()}
            for label in (FIELDS_LABEL, MANIFEST_LABEL)
        ],
        "fields": {
            "dek": DEK.hex(),
            "communication": ID,
            "nonce": NONCE.hex(),
            "fields": FIELDS,
            "sealed": seal_fields(DEK, ID, FIELDS, NONCE).hex(),
        },
        "manifest": {
            "dek": DEK.hex(),
            "communication": ID,
            "nonce": NONCE.hex(),
            "plaintext_sha256": manifest.plaintext_sha256,
            "sealed": seal_manifest(DEK, manifest, NONCE).hex(),
        },
        "streams": [vector for vector, _ in made],
        "refused": _refusals(),
        "edge": [_edge(length) for length in (0, 20000)],
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1, ensure_ascii=False)
    print()
