"""Whole streams: one Cobblestone-256 message (C2SP chunked-encryption v1) for each stream of a communication.

Invariants kept here: a stream's key material is bound to communication, stream name, generation and schema
version; there is one ciphertext length for each plaintext length and every other length is refused; an
:class:`Opener` gives out authenticated chunks only, and says ``Tampered`` instead of an early end.

Left to others: that a (communication, stream, generation) is sealed once, that the object is the one the
manifest names, and to throw away what an :class:`Opener` gave out before it refused (those chunks are
genuine, the stream is not whole).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import AlreadyFinalized, InvalidTag

from recvault.domain.errors import InvalidInput, Tampered, TooLarge
from recvault.domain.ids import canonical_json, is_uuid7

CHUNK = 16_384
"""Bytes of plaintext in every chunk but the last, which is shorter."""

TAG = 16
"""Bytes that AES-256-GCM adds to each chunk."""

SALT = 24
"""Bytes of salt in front of the message."""

COMMITMENT = 32
"""Bytes of key commitment after the salt."""

HEADER = SALT + COMMITMENT
"""Bytes before the first chunk."""

SEALED_CHUNK = CHUNK + TAG
"""Bytes of every sealed chunk but the last."""

MAX_CHUNKS = 2**38
"""The specification's limit on chunks of one message (4 PiB - 1 byte)."""

KEY = 32
"""Bytes of a data key, and of every other symmetric key here."""

STREAM_SCHEMA = "recvault/stream/v1"
"""Version name of the stream context."""

OVERLAP_FROM = 131_072
"""Bytes of one update from which hashing on a second core pays for the hand-over."""

Data = bytes | bytearray | memoryview
"""What can be sealed or opened; a memoryview must be one of bytes."""

_STREAM = re.compile(r"[a-z][a-z0-9-]{0,31}")

REFUSED = (
    "sealed bytes do not authenticate: altered, cut short, swapped or sealed for another context; "
    "do not use them, compare the stored object with its manifest and fetch it again from a replica"
)
"""What every refusal of sealed bytes says."""


def ciphertext_length(plaintext_length: int) -> int:
    """Bytes of the sealed form of ``plaintext_length`` bytes; TooLarge above the specification's 4 PiB -
    1."""
    if plaintext_length < 0:
        raise InvalidInput("a length in bytes cannot be negative; give the plaintext's length")
    chunks = plaintext_length // CHUNK + 1
    if chunks > MAX_CHUNKS:
        raise TooLarge(f"one stream holds at most {MAX_CHUNKS * CHUNK - 1} bytes; split the recording")
    return HEADER + plaintext_length + chunks * TAG


def plaintext_length(ciphertext_length: int) -> int:
    """Bytes of plaintext in a message of ``ciphertext_length`` bytes; Tampered when no message is that
    long."""
    full, last = divmod(ciphertext_length - HEADER, SEALED_CHUNK)
    if full < 0 or last < TAG or full >= MAX_CHUNKS:
        raise Tampered(f"no sealed stream is {ciphertext_length} bytes long: {REFUSED}")
    return full * CHUNK + last - TAG


def _check_names(communication: str, stream: str, generation: int) -> None:
    if not is_uuid7(communication):
        raise InvalidInput("a stream belongs to a communication; give its id, a UUIDv7 in lower case")
    if not _STREAM.fullmatch(stream):
        raise InvalidInput("a stream name is 1 to 32 characters a-z, 0-9 and -, and begins with a letter")
    if isinstance(generation, bool) or generation < 1:
        raise InvalidInput("generations are counted from 1")


def object_name(*, communication: str, stream: str, generation: int) -> str:
    """The name a stream's object is stored under: ``<uuidv7>/<stream>.<generation>``; InvalidInput."""
    _check_names(communication, stream, generation)
    return f"{communication}/{stream}.{generation}"


def stream_context(*, communication: str, stream: str, generation: int) -> bytes:
    """The Cobblestone context of a stream: canonical JSON, so that no two streams share one; InvalidInput."""
    _check_names(communication, stream, generation)
    return canonical_json(
        {
            "communication": communication,
            "generation": generation,
            "schema": STREAM_SCHEMA,
            "stream": stream,
        }
    )


def require_key(key: bytes) -> bytes:
    """Returns ``key`` when it has 32 bytes, InvalidInput otherwise (the text never shows it)."""
    if len(key) != KEY:
        raise InvalidInput(f"a key has {KEY} bytes, this one has {len(key)}; give the key itself, not a text form")
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSeal:
    """What is known of a stream once it is sealed. Lengths in bytes, digests SHA-256 in lower-case hex."""

    plaintext_length: int
    plaintext_sha256: str
    ciphertext_length: int
    ciphertext_sha256: str


class Sealer:
    """Seals one stream as it passes and measures both sides of it.

    ``key`` is the data key (32 bytes), ``context`` comes from :func:`stream_context`. The two digests cost
    more than the encryption; an ``Executor`` given as ``helper`` computes one of them on a second core for
    updates of ``OVERLAP_FROM`` bytes and more. It must not be the pool this very code runs in, which could
    wait for itself.
    """

    def __init__(self, *, key: bytes, context: bytes, helper: Executor | None = None) -> None:
        self._cipher = Cobblestone256Encryptor(require_key(key), context)
        self._helper = helper
        self._plain_digest = hashlib.sha256()
        self._sealed_digest = hashlib.sha256()
        self._plain_length = 0
        self._sealed_length = 0
        self._seal: StreamSeal | None = None

    def update(self, data: Data) -> bytes:
        """Takes plaintext, returns the ciphertext that is ready (maybe none). ``data`` is not kept."""
        overlap = None
        if self._helper is not None and len(data) >= OVERLAP_FROM:
            overlap = self._helper.submit(self._plain_digest.update, data)
        else:
            self._plain_digest.update(data)
        sealed = self._account(self._cipher.update(data))
        self._plain_length += len(data)
        if overlap is not None:
            overlap.result()
        return sealed

    def finish(self) -> tuple[bytes, StreamSeal]:
        """Returns the last ciphertext and the measures. Nothing can be added afterwards."""
        last = self._account(self._cipher.finalize())
        self._seal = StreamSeal(
            plaintext_length=self._plain_length,
            plaintext_sha256=self._plain_digest.hexdigest(),
            ciphertext_length=self._sealed_length,
            ciphertext_sha256=self._sealed_digest.hexdigest(),
        )
        return last, self._seal

    @property
    def seal(self) -> StreamSeal:
        """The measures of the finished stream; InvalidInput while it is still running."""
        if self._seal is None:
            raise InvalidInput("the stream is not finished; read its measures after the last byte")
        return self._seal

    def _account(self, sealed: bytes) -> bytes:
        self._sealed_digest.update(sealed)
        self._sealed_length += len(sealed)
        return sealed


def seal_stream(sealer: Sealer, chunks: Iterable[Data]) -> Iterator[bytes]:
    """Yields the ciphertext of ``chunks``; when it is exhausted, ``sealer.seal`` tells the measures."""
    for chunk in chunks:
        if sealed := sealer.update(chunk):
            yield sealed
    yield sealer.finish()[0]


class Opener:
    """Opens one stream as it passes: authenticated chunks only, Tampered at the first fault and ever
    after."""

    def __init__(self, *, key: bytes, context: bytes) -> None:
        self._cipher = Cobblestone256Decryptor(require_key(key), context)

    def update(self, data: Data) -> bytes:
        """Takes ciphertext, returns the plaintext of the chunks that are complete and genuine; Tampered."""
        try:
            return self._cipher.update(data)
        except (InvalidTag, AlreadyFinalized) as fault:
            raise Tampered(REFUSED) from fault

    def finish(self) -> bytes:
        """Returns the plaintext of the last chunk; Tampered when the stream was cut short."""
        try:
            return self._cipher.finalize()
        except (InvalidTag, AlreadyFinalized) as fault:
            raise Tampered(REFUSED) from fault


def open_stream(opener: Opener, chunks: Iterable[Data]) -> Iterator[bytes]:
    """Yields the plaintext of ``chunks``; Tampered at the first fault, also when they end early."""
    for chunk in chunks:
        if plain := opener.update(chunk):
            yield plain
    if last := opener.finish():
        yield last
