"""Random access: any byte range of a sealed stream, without reading the rest (C2SP chunked-encryption v1).

Invariants kept here: the commitment is compared, and the last chunk authenticated, before the first byte
leaves, so the length is proven; a byte leaves only when its whole chunk has authenticated at its own place; a
callback that returns other than what was asked for is refused. Chunk *k* stands at ``56 + k * 16400`` and is
opened with nonce *base XOR k*.

Left to others: that the object is the version the manifest names, and who may read. The library has no random
access yet; the tests hold this module to the library's streams byte for byte. ``AESGCM.decrypt`` is used
rather than ``decrypt_into``: it gives nothing back when the tag is wrong, so there is no buffer to wipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import constant_time, hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from recvault.domain.errors import RangeNotSatisfiable, Tampered
from recvault.sealing.container import (
    CHUNK,
    COMMITMENT,
    HEADER,
    KEY,
    REFUSED,
    SALT,
    SEALED_CHUNK,
    plaintext_length,
    require_key,
)

CHUNKS_PER_FETCH = 64
"""Chunks asked of the store at once: about 1 MiB, which bounds the memory of one reader."""

NONCE = 12
"""Bytes of the base nonce."""

_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"

ReadAt = Callable[[int, int], bytes]
"""``read(offset, length)``: exactly ``length`` bytes of ciphertext from ``offset``."""


class RangeReader:
    """One sealed stream, opened for reading anywhere. Keeps no plaintext between calls.

    ``key`` is the data key, ``context`` comes from ``container.stream_context``, ``ciphertext_length`` in
    bytes from the manifest. Opening reads header and last chunk, and raises Tampered when either is not
    genuine.
    """

    def __init__(self, *, key: bytes, context: bytes, read: ReadAt, ciphertext_length: int) -> None:
        self._read_at = read
        self._end = ciphertext_length
        self.length = plaintext_length(ciphertext_length)
        """Bytes of plaintext."""
        self._last_chunk = self.length // CHUNK
        # One short chunk: header and chunk come in one fetch. Otherwise the end is fetched by itself.
        head = self._fetch(0, self._end if self._last_chunk == 0 else HEADER)
        self._cipher, self._base_nonce = _derive(require_key(key), context, head[:HEADER])
        if self._last_chunk == 0:
            self._open_chunk(0, memoryview(head)[HEADER:])
        else:
            start = HEADER + self._last_chunk * SEALED_CHUNK
            self._open_chunk(self._last_chunk, self._fetch(start, self._end - start))

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Yields the plaintext bytes ``first`` to ``last``, both included, in pieces of at most 16 KiB.

        RangeNotSatisfiable at the call when they do not lie in the stream (so always for an empty one);
        Tampered when a chunk is not genuine: what came before it was.
        """
        if not 0 <= first <= last < self.length:
            raise RangeNotSatisfiable(self.length)
        return self._pieces(first, last)

    def read_all(self) -> Iterator[bytes]:
        """Yields the whole plaintext; nothing for an empty stream."""
        return self._pieces(0, self.length - 1) if self.length else iter(())

    def _pieces(self, first: int, last: int) -> Iterator[bytes]:
        for number, plain in self._chunks(first // CHUNK, last // CHUNK):
            start = max(first - number * CHUNK, 0)
            stop = min(last - number * CHUNK + 1, CHUNK)
            yield plain if stop - start == len(plain) else plain[start:stop]

    def _chunks(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        for run in range(first, last + 1, CHUNKS_PER_FETCH):
            count = min(CHUNKS_PER_FETCH, last + 1 - run)
            start = HEADER + run * SEALED_CHUNK
            sealed = memoryview(self._fetch(start, min(count * SEALED_CHUNK, self._end - start)))
            for index in range(count):
                piece = sealed[index * SEALED_CHUNK : (index + 1) * SEALED_CHUNK]
                yield run + index, self._open_chunk(run + index, piece)

    def _open_chunk(self, number: int, sealed: bytes | memoryview) -> bytes:
        nonce = (self._base_nonce ^ number).to_bytes(NONCE)
        try:
            return self._cipher.decrypt(nonce, sealed, None)
        except InvalidTag as fault:
            raise Tampered(f"chunk {number}: {REFUSED}") from fault

    def _fetch(self, offset: int, length: int) -> bytes:
        data = self._read_at(offset, length)
        if len(data) != length:
            raise Tampered(f"the store gave {len(data)} bytes instead of {length} at byte {offset}: {REFUSED}")
        return data


def _derive(key: bytes, context: bytes, header: bytes) -> tuple[AESGCM, int]:
    """The chunk cipher and base nonce of a message; Tampered when its commitment is not the one of key and
    context."""
    salt, commitment = header[:SALT], header[SALT:]
    okm = HKDFExpand(algorithm=hashes.SHA512(), length=KEY + NONCE + COMMITMENT, info=_LABEL + salt + context).derive(
        key
    )
    if not constant_time.bytes_eq(okm[KEY + NONCE :], commitment):
        raise Tampered(f"the key commitment differs: {REFUSED}")
    return AESGCM(okm[:KEY]), int.from_bytes(okm[KEY : KEY + NONCE])
