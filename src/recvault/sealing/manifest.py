"""The manifest of a communication: which objects its streams are, how long, with which digest.

Invariants kept here: a manifest opens only with the communication's data key and id; each stream stands in it
once; its lengths agree with each other (see ``container``). It is encrypted, not only authenticated: the
digest of a recording's plaintext would tell who holds a copy of it, and may outlive the recording in a
backup.

Left to others: comparing what the store returns with it, and that the row holds the newest sealed form.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from recvault.domain.communication import StreamRecord
from recvault.domain.errors import InvalidInput, NotFound, Tampered
from recvault.domain.ids import canonical_json, is_uuid7
from recvault.sealing.container import REFUSED, ciphertext_length
from recvault.sealing.wrapping import MANIFEST_LABEL, derive, open_small, seal_small

StreamEntry = StreamRecord
"""A manifest tells of a stream what the database tells of it, so it is the same value."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All sealed streams of one communication, and the SHA-256 (hex) of the original's plaintext;
    InvalidInput when a stream stands twice, a digest is none, or lengths (bytes) contradict each other."""

    communication: str
    streams: tuple[StreamEntry, ...]
    plaintext_sha256: str

    def __post_init__(self) -> None:
        if not is_uuid7(self.communication):
            raise InvalidInput("a manifest belongs to a communication; give its id, a UUIDv7 in lower case")
        if len({entry.name for entry in self.streams}) != len(self.streams):
            raise InvalidInput("a stream stands twice in the manifest; keep its newest generation only")
        for digest in (self.plaintext_sha256, *(entry.ciphertext_sha256 for entry in self.streams)):
            if not _SHA256.fullmatch(digest):
                raise InvalidInput("a digest is 64 characters of lower-case hex (SHA-256)")
        for entry in self.streams:
            if entry.ciphertext_length != ciphertext_length(entry.plaintext_length):
                raise InvalidInput(f"the lengths of stream {entry.name} contradict each other; seal it again")

    def stream(self, name: str) -> StreamEntry:
        """The entry of a stream; NotFound."""
        for entry in self.streams:
            if entry.name == name:
                return entry
        raise NotFound(f"this communication has no stream {name}")

    def with_stream(self, entry: StreamEntry) -> Manifest:
        """A manifest in which ``entry`` takes the place of the stream of its name, or is added; the older
        generation is to be deleted by the caller. InvalidInput when ``entry`` is not newer."""
        older = [known for known in self.streams if known.name == entry.name]
        if older and entry.generation <= older[0].generation:
            raise InvalidInput(f"stream {entry.name} is there in generation {older[0].generation}; use the next one")
        kept = tuple(known for known in self.streams if known.name != entry.name)
        return Manifest(
            communication=self.communication,
            streams=(*kept, entry),
            plaintext_sha256=self.plaintext_sha256,
        )


def seal_manifest(dek: bytes, manifest: Manifest, nonce: bytes) -> bytes:
    """Seals under the manifest subkey; ``nonce`` is 12 fresh random bytes."""
    plain = canonical_json(
        {
            "communication": manifest.communication,
            "plaintext_sha256": manifest.plaintext_sha256,
            "schema": MANIFEST_LABEL,
            "streams": [asdict(entry) for entry in manifest.streams],
        }
    )
    return seal_small(derive(dek, MANIFEST_LABEL), plain, _aad(manifest.communication), nonce)


def open_manifest(dek: bytes, communication: str, sealed: bytes) -> Manifest:
    """The manifest as it was sealed; Tampered, also when it contradicts itself."""
    plain = open_small(derive(dek, MANIFEST_LABEL), sealed, _aad(communication))
    try:
        value = json.loads(plain)
        if value["communication"] != communication or value["schema"] != MANIFEST_LABEL:
            raise Tampered(REFUSED)
        return Manifest(
            communication=communication,
            streams=tuple(StreamEntry(**entry) for entry in value["streams"]),
            plaintext_sha256=value["plaintext_sha256"],
        )
    except (ValueError, TypeError, KeyError, InvalidInput) as fault:
        raise Tampered(REFUSED) from fault


def _aad(communication: str) -> bytes:
    return canonical_json({"communication": communication, "schema": MANIFEST_LABEL})
