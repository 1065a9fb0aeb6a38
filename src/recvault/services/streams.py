"""Sealed streams in the object store: written, read by range, discarded.

Keeps rule 1's first half: a stream is durable, and as long as was sealed, before :meth:`Streams.write` returns. What no row
names has no key anywhere; discarding it only frees space, and the sweeper takes what stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor

from recvault.domain.communication import StreamRecord
from recvault.domain.errors import Unavailable
from recvault.domain.ports.objects import ObjectStore
from recvault.sealing.container import Sealer, StreamSeal, object_name, seal_stream, stream_context
from recvault.sealing.ranges import RangeReader

ORIGINAL = "original"
"""Name of the stream that holds the recording as it came."""

HEAD = 4096
"""Bytes looked at to tell the media type."""


class Streams:
    """Seals streams into the object store and reads them back."""

    def __init__(self, *, store: ObjectStore, helper: Executor | None = None) -> None:
        self._store = store
        self._helper = helper

    def write(
        self, communication_id: str, name: str, generation: int, data_key: bytes, chunks: Iterable[bytes]
    ) -> tuple[StreamRecord, StreamSeal]:
        """Seals and stores; Unavailable when the store kept another length than was sent."""
        stored_as = object_name(communication=communication_id, stream=name, generation=generation)
        context = stream_context(communication=communication_id, stream=name, generation=generation)
        sealer = Sealer(key=data_key, context=context, helper=self._helper)
        put = self._store.put(stored_as, seal_stream(sealer, chunks))
        seal = sealer.seal
        if put.length != seal.ciphertext_length:
            self.discard(communication_id)
            raise Unavailable("the object store kept another length than was sent; send the recording again")
        record = StreamRecord(
            name=name,
            generation=generation,
            object_name=stored_as,
            version_id=put.version_id,
            plaintext_length=seal.plaintext_length,
            ciphertext_length=seal.ciphertext_length,
            ciphertext_sha256=seal.ciphertext_sha256,
        )
        return record, seal

    def reader(self, communication_id: str, stream: StreamRecord, data_key: bytes) -> RangeReader:
        """Random access; commitment and last chunk are verified before it returns."""
        return RangeReader(
            key=data_key,
            context=stream_context(communication=communication_id, stream=stream.name, generation=stream.generation),
            read=lambda offset, length: self._store.get_range(stream.object_name, stream.version_id, offset, length),
            ciphertext_length=stream.ciphertext_length,
        )

    def discard(self, communication_id: str) -> None:
        """Best effort, for an upload that no row names."""
        try:
            self._store.delete_versions(self._store.list_versions(f"{communication_id}/"))
        except Unavailable:
            return


def peek(content: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first ``HEAD`` bytes, and an iterator that still yields everything."""
    rest = iter(content)
    first: list[bytes] = []
    size = 0
    for chunk in rest:
        first.append(chunk)
        size += len(chunk)
        if size >= HEAD:
            break
    head = b"".join(first)[:HEAD] if first else b""

    def everything() -> Iterator[bytes]:
        yield from first
        first.clear()
        yield from rest

    return head, everything()
