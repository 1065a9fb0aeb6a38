"""The object store on S3.

Invariants: durable when ``put`` returns (the store's own promise for an acknowledged write); bytes are
checked on the way (signed SHA-256 over http, Content-MD5 over TLS); deleting always names a version, so that
it never leaves a marker behind; a deletion counts only when the store lists it as deleted. Needs of the key:
put, get, list, and where the worker runs delete, abort, and reading the bucket's location, versioning, lock,
replication and lifecycle.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import md5
from itertools import islice
from xml.etree import ElementTree

import urllib3

from recvault.adapters.s3 import listing, place
from recvault.adapters.s3.settings import S3Settings
from recvault.adapters.s3.upload import Uploader
from recvault.adapters.s3.wire import S3Refusal, S3Wire, explain, is_passing, network_fault
from recvault.domain.errors import InvalidInput, RangeNotSatisfiable, StoreUnavailable, TooLarge
from recvault.domain.ports.objects import (
    SMALL_OBJECT_LIMIT,
    DeleteFailure,
    ObjectExists,
    ObjectVersion,
    ObservedPlace,
    OpenUpload,
    StoredObject,
    check_name,
    check_prefix,
)

_PIECE = 1024 * 1024
_GONE = ("NoSuchKey", "NoSuchVersion")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_TAKEN = "the name is taken; read it, and choose another if it is not yours"


class S3ObjectStore:
    """See ``domain.ports.objects.ObjectStore``."""

    def __init__(self, settings: S3Settings) -> None:
        self._wire = S3Wire(settings)
        self._executor = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="s3-part")
        self._uploader = Uploader(wire=self._wire, executor=self._executor)

    def close(self) -> None:
        """Ends the senders and gives back all connections."""
        self._executor.shutdown()
        self._wire.close()

    def put(self, name: str, chunks: Iterable[bytes]) -> StoredObject:
        return self._uploader.put(check_name(name), chunks)

    def put_small(self, name: str, data: bytes) -> StoredObject:
        """1. Look. 2. Put on the condition that it is new. 3. Where versions made the condition void (Ceph),
        look again: the oldest version wins, and the others withdraw theirs.
        """
        check_name(name)
        if len(data) > SMALL_OBJECT_LIMIT:
            raise TooLarge(f"put_small takes at most {SMALL_OBJECT_LIMIT} bytes; use put")
        if listing.versions_of(self._wire, name):
            raise ObjectExists(_TAKEN)
        try:
            stored = self._uploader.put_whole(name, data, only_new=True)
        except S3Refusal as refusal:
            if refusal.s3_code in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise ObjectExists(_TAKEN) from refusal
            raise
        if stored.version_id is not None:
            self._withdraw_unless_oldest(stored)
        return stored

    def get(self, name: str, version_id: str | None) -> Iterator[bytes]:
        response = self._wire.request("GET", check_name(name), query=_version(version_id), stream=True)
        try:
            yield from response.stream(_PIECE)
        except urllib3.exceptions.HTTPError as error:
            raise network_fault(error) from error
        finally:
            response.close()
            response.release_conn()

    def get_range(self, name: str, version_id: str | None, offset: int, length: int) -> bytes:
        if offset < 0 or length < 1:
            raise InvalidInput("a range starts at 0 or later and has at least one byte")
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        try:
            response = self._wire.request("GET", check_name(name), query=_version(version_id), headers=wanted)
        except S3Refusal as refusal:
            if refusal.status != 416:
                raise
            raise RangeNotSatisfiable(self._length(name, version_id)) from refusal
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if response.status != 206 or not found or int(found[1]) != offset:
            raise StoreUnavailable("the store answered with another range than asked; check any proxy before it")
        if int(found[2]) != offset + length - 1:
            raise RangeNotSatisfiable(int(found[3]))
        if len(response.data) != length:
            raise StoreUnavailable("the store's answer was cut off; ask again")
        return response.data

    def list_versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return listing.list_versions(self._wire, check_prefix(prefix), after)

    def list_versions_of(self, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
        return listing.list_versions_of(self._wire, [check_prefix(prefix) for prefix in prefixes])

    def list_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        return listing.list_uploads(self._wire, check_prefix(prefix))

    def abort_uploads(self, prefix: str) -> int:
        return sum(self._uploader.abort(upload.name, upload.upload_id) for upload in self.list_uploads(prefix))

    def delete_versions(self, items: Iterable[ObjectVersion]) -> list[DeleteFailure]:
        rest = iter(items)
        failures: list[DeleteFailure] = []
        while batch := list(islice(rest, listing.PAGE)):
            failures += self._delete(batch)
        return failures

    def observe(self) -> ObservedPlace:
        return place.observe(self._wire)

    def now(self) -> datetime:
        date = self._peek().headers.get("date", "")
        try:
            return parsedate_to_datetime(date).astimezone(UTC)
        except ValueError as error:
            raise StoreUnavailable("the store's answer carries no date; check any proxy before it") from error

    def check(self) -> None:
        self._peek()

    def _peek(self) -> urllib3.BaseHTTPResponse:
        """A listing rather than HEAD: its errors come with a code."""
        return self._wire.request("GET", query={"list-type": "2", "max-keys": "1", "prefix": ""})

    def _length(self, name: str, version_id: str | None) -> int:
        response = self._wire.request("HEAD", name, query=_version(version_id))
        return int(response.headers.get("content-length", "0"))

    def _withdraw_unless_oldest(self, stored: StoredObject) -> None:
        versions = listing.versions_of(self._wire, stored.name)
        if versions and versions[-1].version_id != stored.version_id:
            self.delete_versions(item for item in versions if item.version_id == stored.version_id)
            raise ObjectExists(_TAKEN)

    def _delete(self, batch: list[ObjectVersion]) -> Iterator[DeleteFailure]:
        order = ElementTree.Element("Delete")
        for item in batch:
            target = ElementTree.SubElement(order, "Object")
            ElementTree.SubElement(target, "Key").text = item.name
            ElementTree.SubElement(target, "VersionId").text = item.version_id or listing.NULL_VERSION
        body = ElementTree.tostring(order)
        digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        answer, _ = self._wire.xml(
            "POST", root="DeleteResult", query={"delete": ""}, body=body, headers={"Content-MD5": digest}
        )
        gone = {_target(entry) for entry in answer.iterfind("{*}Deleted")}
        refused = {_target(entry): entry.findtext("{*}Code") or "" for entry in answer.iterfind("{*}Error")}
        for item in batch:
            target_of_item = (item.name, item.version_id or listing.NULL_VERSION)
            code = refused.get(target_of_item)
            if code is not None and code not in _GONE:
                yield DeleteFailure(item=item, reason=explain(code), retryable=is_passing(code))
            elif code is None and target_of_item not in gone:
                reason = "the store did not confirm the deletion; ask again"
                yield DeleteFailure(item=item, reason=reason, retryable=True)


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"versionId": version_id}


def _target(entry: ElementTree.Element) -> tuple[str, str]:
    return entry.findtext("{*}Key") or "", entry.findtext("{*}VersionId") or listing.NULL_VERSION
