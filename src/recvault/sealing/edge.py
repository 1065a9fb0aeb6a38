"""The edge envelope: a recording sealed on the telephony host, to a public key of the archive.

    "RVEDGE1\n" | u16 length | header JSON {"enc", "key"} | one Cobblestone-256 message
    message = u32 length | metadata JSON (at most 65536 bytes) | content

Numbers are big-endian. Invariants kept here: the host keeps nothing that opens what it wrote; the message is
bound to every byte of the header, the HPKE ciphertext (RFC 9180, base mode) to the key id; metadata travel
sealed like the content; content leaves the parser only once authenticated, and an envelope cut anywhere is
refused at :meth:`EdgeOpener.close`.

Left to others: who sent it (anyone with the public key can write an envelope: the source's token answers for
that), what the metadata mean, to take nothing for complete before ``close``, and the end of the private half.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable

from cryptography.cobblestone import Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from recvault.domain.errors import InvalidInput, Tampered, TooLarge
from recvault.domain.ids import canonical_json
from recvault.sealing.container import KEY, REFUSED, Data, Opener, require_key
from recvault.sealing.wrapping import check_key_id

MAGIC = b"RVEDGE1\n"
"""The first bytes of an envelope, version 1."""

METADATA_LIMIT = 65_536
"""Bytes of metadata, at most."""

HEADER_LIMIT = 1_024
"""Bytes of header JSON, at most; ours have about 150."""

EDGE_SCHEMA = "recvault/edge/v1"
"""Version name in the HPKE info and in the stream context."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

OpenKey = Callable[[str, bytes], bytes]
"""``open_key(key_id, enc)``: the 32-byte stream key. The keyring's ``open_edge`` is one."""


def edge_info(key_id: str) -> bytes:
    """HPKE ``info`` of a key id."""
    return canonical_json({"key": check_key_id(key_id), "schema": EDGE_SCHEMA})


def edge_context(header: bytes) -> bytes:
    """Cobblestone context of an envelope whose header JSON is ``header``."""
    return canonical_json({"header_sha256": hashlib.sha256(header).hexdigest(), "schema": EDGE_SCHEMA})


def edge_wrap(public_key: bytes, key_id: str, stream_key: bytes) -> bytes:
    """HPKE of a stream key to a raw X25519 public key (32 bytes): 80 bytes; InvalidInput when the key is
    none."""
    try:
        recipient = X25519PublicKey.from_public_bytes(public_key)
        return _SUITE.encrypt(stream_key, recipient, info=edge_info(key_id))
    except ValueError as fault:
        raise InvalidInput("this is no X25519 public key; fetch the archive's edge key again") from fault


def edge_unwrap(private_key: bytes, key_id: str, enc: bytes) -> bytes:
    """The stream key (32 bytes) with the raw X25519 private key; Tampered."""
    recipient = X25519PrivateKey.from_private_bytes(require_key(private_key))
    try:
        stream_key = _SUITE.decrypt(enc, recipient, info=edge_info(key_id))
    except InvalidTag as fault:
        raise Tampered(REFUSED) from fault
    if len(stream_key) != KEY:
        raise Tampered(REFUSED)
    return stream_key


class EdgeSealer:
    """Writes one envelope: ``head()``, then ``update(...)`` as content comes, then ``finish()``.

    ``public_key`` is the raw X25519 key of the archive (32 bytes), ``key_id`` its name, ``metadata`` JSON
    bytes as the source speaks them (not read here). TooLarge and InvalidInput at construction.
    """

    def __init__(self, *, public_key: bytes, key_id: str, metadata: bytes) -> None:
        if len(metadata) > METADATA_LIMIT:
            raise TooLarge(f"the metadata have {len(metadata)} bytes, {METADATA_LIMIT} are allowed; shorten `extra`")
        stream_key = Cobblestone256Encryptor.generate_key()
        enc = edge_wrap(public_key, key_id, stream_key)
        header = canonical_json({"enc": base64.b64encode(enc).decode(), "key": key_id})
        self._cipher = Cobblestone256Encryptor(stream_key, edge_context(header))
        self._digest = hashlib.sha256()
        self._length = 0
        self._head = MAGIC + len(header).to_bytes(2) + header
        self._head += self._cipher.update(len(metadata).to_bytes(4) + metadata)

    def head(self) -> bytes:
        """The first bytes of the envelope."""
        return self._head

    def update(self, data: Data) -> bytes:
        """Takes content, returns what is ready of the envelope (maybe nothing)."""
        self._digest.update(data)
        self._length += len(data)
        return self._cipher.update(data)

    def finish(self) -> bytes:
        """The last bytes of the envelope."""
        return self._cipher.finalize()

    @property
    def content_sha256(self) -> str:
        """SHA-256 (hex) of the content so far; after ``finish`` the one the receipt must carry."""
        return self._digest.hexdigest()

    @property
    def content_length(self) -> int:
        """Bytes of content so far."""
        return self._length


class EdgeOpener:
    """Reads one envelope as it is pushed in, whatever the step size; holds at most a chunk and the metadata.

    ``open_key`` is called once, with the key id and HPKE ciphertext of the header; its errors (KeyDestroyed,
    KeyNotFound, Tampered) pass through. After any refusal the opener refuses everything.
    """

    def __init__(self, *, open_key: OpenKey) -> None:
        self._open_key = open_key
        self._preamble = bytearray()
        self._message: Opener | None = None
        self._plain = bytearray()
        self._refused = False
        self.metadata: bytes | None = None
        """The metadata, as soon as they are complete and authenticated."""
        self.key_id: str | None = None
        """The edge key the envelope names, once its header was read."""

    def feed(self, data: Data) -> bytes:
        """Takes the next bytes of the envelope, returns content that authenticated (maybe none); Tampered,
        TooLarge."""
        return self._guarded(lambda: self._feed(data))

    def close(self) -> bytes:
        """Ends the envelope and returns the last content; Tampered when it was cut short."""
        return self._guarded(self._close)

    def _guarded(self, step: Callable[[], bytes]) -> bytes:
        if self._refused:
            raise Tampered(REFUSED)
        self._refused = True  # unless the step comes to its end
        content = step()
        self._refused = False
        return content

    def _feed(self, data: Data) -> bytes:
        if self._message is None:
            data = self._take_preamble(data)
            if self._message is None:
                return b""
        return self._take_plain(self._message.update(data))

    def _close(self) -> bytes:
        if self._message is None:
            raise Tampered(REFUSED)
        content = self._take_plain(self._message.finish())
        if self.metadata is None:
            raise Tampered(REFUSED)
        return content

    def _take_preamble(self, data: Data) -> Data:
        """Collects magic, length and header, a bounded number of bytes; returns what follows them."""
        view = memoryview(data)
        taken = view[: len(MAGIC) + 2 + HEADER_LIMIT - len(self._preamble)]
        held = len(self._preamble)
        self._preamble += taken
        start = len(MAGIC) + 2
        if self._preamble[: len(MAGIC)] != MAGIC[: len(self._preamble)]:
            raise Tampered("this is not an edge envelope of version 1, or it was altered; send the sealed file itself")
        if len(self._preamble) < start:
            return b""
        length = int.from_bytes(self._preamble[len(MAGIC) : start])
        if length > HEADER_LIMIT:
            raise Tampered(REFUSED)
        if len(self._preamble) < start + length:
            return b""
        self._open_message(bytes(self._preamble[start : start + length]))
        return view[start + length - held :]

    def _open_message(self, header: bytes) -> None:
        key_id, enc = _parse_header(header)
        self.key_id = key_id
        self._message = Opener(key=self._open_key(key_id, enc), context=edge_context(header))

    def _take_plain(self, plain: bytes) -> bytes:
        if self.metadata is not None:
            return plain
        self._plain += plain
        if len(self._plain) < 4:
            return b""
        length = int.from_bytes(self._plain[:4])
        if length > METADATA_LIMIT:
            raise TooLarge(f"the metadata have {length} bytes, {METADATA_LIMIT} are allowed; shorten `extra`")
        if len(self._plain) < 4 + length:
            return b""
        self.metadata = bytes(self._plain[4 : 4 + length])
        content = bytes(self._plain[4 + length :])
        self._plain.clear()
        return content


def _parse_header(header: bytes) -> tuple[str, bytes]:
    """Key id and HPKE ciphertext; Tampered unless the header is exactly what an EdgeSealer writes."""
    try:
        value = json.loads(header)
        key_id, enc = check_key_id(value["key"]), base64.b64decode(value["enc"], validate=True)
        canonical = canonical_json({"enc": base64.b64encode(enc).decode(), "key": key_id})
    except (ValueError, TypeError, KeyError, InvalidInput, RecursionError) as fault:
        raise Tampered(REFUSED) from fault
    if canonical != header:
        raise Tampered(REFUSED)
    return key_id, enc
