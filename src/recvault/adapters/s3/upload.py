"""Storing a stream of unknown length: one PUT when it fits a part, else a multipart upload with parallel
parts.

1. Cut the stream into parts; when there is only one, PUT it and be done. 2. Begin an upload, send at most
``parallel_parts`` at a time. 3. On any failure so far: wait for the parts on their way, abort, let the
failure propagate. 4. Complete. When the answer to this is lost, the object may exist: nothing is aborted,
since aborting while the store puts the parts together could leave a torso; the caller gets StoreUnavailable,
and a later look shows which it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from itertools import chain
from xml.etree import ElementTree

from recvault.adapters.s3.listing import version_or_none, versions_of
from recvault.adapters.s3.settings import MAX_PARTS
from recvault.adapters.s3.wire import S3Refusal, S3Wire
from recvault.domain.errors import RecvaultError, StoreError, StoreUnavailable, TooLarge
from recvault.domain.ports.objects import StoredObject

ABORT_PATIENCE = 5.0
"""Seconds that a failed upload waits for its abort."""

_TYPE = {"Content-Type": "application/octet-stream"}


def split(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Parts of exactly ``size`` bytes, the last one 1 to ``size``; one empty part for an empty stream. Each byte is copied
    once, and a chunk that is a whole part not at all."""
    pending: list[bytes | memoryview] = []
    room = size
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            if not room:
                yield _joined(pending)
                pending, room = [], size
            taken = min(room, len(rest))
            pending.append(chunk if taken == len(chunk) else rest[:taken])
            rest, room = rest[taken:], room - taken
    yield _joined(pending)


def _joined(pieces: list[bytes | memoryview]) -> bytes:
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], bytes) else b"".join(pieces)


class Uploader:
    """Sends streams to one bucket."""

    def __init__(self, *, wire: S3Wire, executor: Executor) -> None:
        self._wire = wire
        self._executor = executor

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        parts = split(chunks, self._wire.settings.part_bytes)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            return self.put_whole(name, first)
        return self._put_parts(name, chain((first, second), parts))

    def put_whole(self, name: str, data: bytes, *, only_new: bool = False) -> StoredObject:
        condition = {"If-None-Match": "*"} if only_new else {}
        response = self._wire.request("PUT", name, body=data, headers=_TYPE | condition)
        if not response.headers.get("etag"):
            raise StoreUnavailable(
                "the store took an object without confirming it; check any proxy before it, and send the object again"
            )
        version_id = version_or_none(response.headers.get("x-amz-version-id"))
        return StoredObject(name=name, version_id=version_id, length=len(data))

    def abort(self, name: str, upload_id: str) -> bool:
        """True when it went now, False when it had ended already."""
        try:
            self._wire.request("DELETE", name, query={"uploadId": upload_id})
        except S3Refusal as refusal:
            if refusal.s3_code != "NoSuchUpload":
                raise
            return False
        return True

    def _put_parts(self, name: str, parts: Iterator[bytes]) -> StoredObject:
        begun, _ = self._wire.xml(
            "POST", name, root="InitiateMultipartUploadResult", query={"uploads": ""}, headers=_TYPE
        )
        upload_id = begun.findtext("{*}UploadId")
        if not upload_id:
            raise StoreError("the store began an upload without an id; it does not speak S3 as we know it")
        try:
            tags, length = self._send(name, upload_id, parts)
        except BaseException as failure:
            self._abort_after(failure, name, upload_id)
            raise
        try:
            version_id = self._complete(name, upload_id, tags)
        except S3Refusal as refusal:
            self._abort_after(refusal, name, upload_id)
            raise
        if version_id is None:
            version_id = self._look_up(name, length)
        return StoredObject(name=name, version_id=version_id, length=length)

    def _send(self, name: str, upload_id: str, parts: Iterator[bytes]) -> tuple[list[str], int]:
        running: deque[Future[str]] = deque()
        tags: list[str] = []
        length = 0
        try:
            for number, part in enumerate(parts, start=1):
                if number > MAX_PARTS:
                    most = MAX_PARTS * self._wire.settings.part_bytes
                    raise TooLarge(f"the object is longer than {most} bytes; raise part_bytes of the store")
                if len(running) >= self._wire.settings.parallel_parts:
                    tags.append(running.popleft().result())
                running.append(self._executor.submit(self._send_part, name, upload_id, number, part))
                length += len(part)
            tags.extend(future.result() for future in running)
        finally:
            for future in running:
                future.cancel()
            wait(running)
        return tags, length

    def _send_part(self, name: str, upload_id: str, number: int, part: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": upload_id}
        try:
            tag = self._wire.request("PUT", name, query=query, body=part).headers.get("etag")
        except S3Refusal as refusal:
            if refusal.s3_code != "NoSuchUpload":
                raise
            raise StoreUnavailable("the upload was aborted while it ran; send it again") from refusal
        if not tag:
            raise StoreUnavailable("the store took a part without confirming it; send the object again")
        return tag

    def _complete(self, name: str, upload_id: str, tags: list[str]) -> str | None:
        order = ElementTree.Element("CompleteMultipartUpload")
        for number, tag in enumerate(tags, start=1):
            part = ElementTree.SubElement(order, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = tag
        try:
            _, headers = self._wire.xml(
                "POST",
                name,
                root="CompleteMultipartUploadResult",
                query={"uploadId": upload_id},
                body=ElementTree.tostring(order),
            )
        except S3Refusal as refusal:
            if refusal.s3_code != "NoSuchUpload":
                raise
            # Either the answer to our first try was lost, or somebody aborted.
            raise StoreUnavailable(
                "the upload ended before it was completed, or the answer was lost; look, then send it again"
            ) from refusal
        return version_or_none(headers.get("x-amz-version-id"))

    def _look_up(self, name: str, length: int) -> str | None:
        """Ceph names no version when completing is repeated, so the newest is read from the listing."""
        newest = next(iter(versions_of(self._wire, name)), None)
        if newest is None or newest.is_delete_marker or newest.length != length:
            raise StoreUnavailable("the upload was completed, but another is there now; look, then send it again")
        return newest.version_id

    def _abort_after(self, failure: BaseException, name: str, upload_id: str) -> None:
        """Not waited for longer than ``ABORT_PATIENCE``: a store that hangs would keep the sender from its answer."""
        try:
            self._executor.submit(self.abort, name, upload_id).result(ABORT_PATIENCE)
        except TimeoutError:
            failure.add_note("the open upload is being aborted, else it stays until it is swept")
        except RecvaultError as error:
            failure.add_note(f"the open upload could not be aborted and stays until it is swept: {error}")
