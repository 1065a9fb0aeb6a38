"""Versions, delete markers and open uploads, page by page, in the store's order.

Every page is checked: names lie under the prefix and ascend, markers move on. A store that answers otherwise
raises StoreError, because an absence read from such a listing would prove nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from recvault.adapters.s3.wire import S3Wire
from recvault.domain.errors import StoreError
from recvault.domain.ports.objects import ObjectVersion, OpenUpload

NULL_VERSION = "null"
"""What S3 calls the version of an object stored without versioning."""

PAGE = 1000
"""Entries a request, the most S3 gives."""

NAMES_A_REQUEST = 100
"""About as many names of a page come in the time of one more request."""


def version_or_none(text: str | None) -> str | None:
    """Our None for S3's ``null`` or missing version id."""
    return None if text in (None, "", NULL_VERSION) else text


def _text(element: ElementTree.Element, tag: str) -> str:
    found = element.findtext(f"{{*}}{tag}")
    if found is None:
        raise StoreError(f"the store lists an entry without {tag}; it does not speak S3 as we know it")
    return found


class _Page:
    """One page of a listing with its markers; keys may be percent-encoded."""

    def __init__(self, element: ElementTree.Element, prefix: str, second_marker: str) -> None:
        self._encoded = element.findtext("{*}EncodingType") == "url"
        self._prefix = prefix
        self.element = element
        self.truncated = (element.findtext("{*}IsTruncated") or "").lower() == "true"
        self.next = (
            self._decode(element.findtext("{*}NextKeyMarker") or ""),
            element.findtext(f"{{*}}{second_marker}") or "",
        )

    def key(self, entry: ElementTree.Element) -> str:
        key = self._decode(_text(entry, "Key"))
        if not key.startswith(self._prefix):
            raise StoreError("the store lists names outside of what was asked; its listing cannot be relied on")
        return key

    def _decode(self, text: str) -> str:
        return unquote_plus(text) if self._encoded else text


def _pages(wire: S3Wire, *, kind: str, root: str, prefix: str, markers: tuple[str, str], limit: int) -> Iterator[_Page]:
    second = "upload-id-marker" if kind == "uploads" else "version-id-marker"
    second_tag = "NextUploadIdMarker" if kind == "uploads" else "NextVersionIdMarker"
    while True:
        query = {kind: "", "prefix": prefix, "delimiter": "", "encoding-type": "url"}
        query["max-uploads" if kind == "uploads" else "max-keys"] = str(limit)
        query |= {key: value for key, value in zip(("key-marker", second), markers, strict=True) if value}
        element, _ = wire.xml("GET", root=root, query=query)
        page = _Page(element, prefix, second_tag)
        yield page
        if not page.truncated:
            return
        if not page.next[0] or page.next == markers:
            raise StoreError("the store's listing does not move on; it cannot be relied on")
        markers = page.next


def list_versions(wire: S3Wire, prefix: str, after: str = "", limit: int = PAGE) -> Iterator[ObjectVersion]:
    """Versions and markers under ``prefix`` (any string here) with names greater than ``after``."""
    last = ("", "")
    for page in _pages(
        wire, kind="versions", root="ListVersionsResult", prefix=prefix, markers=(after, ""), limit=limit
    ):
        for entry in page.element:
            tag = entry.tag.rpartition("}")[2]
            if tag not in ("Version", "DeleteMarker"):
                continue
            key, version = page.key(entry), _text(entry, "VersionId")
            if key < last[0]:
                raise StoreError("the store lists names out of order; its listing cannot be relied on")
            if key <= after or (key, version) == last:  # Ceph repeats the name of the marker
                continue
            last = (key, version)
            marker = tag == "DeleteMarker"
            yield ObjectVersion(
                name=key,
                version_id=version_or_none(version),
                is_delete_marker=marker,
                length=0 if marker else int(_text(entry, "Size")),
                modified=datetime.fromisoformat(_text(entry, "LastModified")),
            )


def list_versions_of(wire: S3Wire, prefixes: Collection[str]) -> Iterator[ObjectVersion]:
    """Versions under any of the prefixes, none of which lies within another. One range from the first prefix to the last,
    as long as not too many strangers lie between; what is left then is listed prefix by prefix.
    """
    wanted = sorted(set(prefixes))
    passed = 0
    if len(wanted) > 1:
        patience = len(wanted) * NAMES_A_REQUEST
        for version in list_versions(wire, "", after=wanted[0][:-1]):
            passed = bisect_right(wanted, version.name)
            if passed and version.name.startswith(wanted[passed - 1]):
                yield version
                continue
            patience -= 1
            if passed == len(wanted) or not patience:
                break
        else:
            passed = len(wanted)
    for prefix in wanted[passed:]:
        yield from list_versions(wire, prefix)


def versions_of(wire: S3Wire, name: str) -> list[ObjectVersion]:
    """All versions of exactly this name, newest first."""
    found: list[ObjectVersion] = []
    for version in list_versions(wire, name, limit=10):  # the name itself sorts before all that begin with it
        if version.name != name:
            break
        found.append(version)
    return found


def list_uploads(wire: S3Wire, prefix: str) -> Iterator[OpenUpload]:
    """Open multipart uploads under ``prefix``."""
    for page in _pages(
        wire, kind="uploads", root="ListMultipartUploadsResult", prefix=prefix, markers=("", ""), limit=PAGE
    ):
        for entry in page.element.iterfind("{*}Upload"):
            yield OpenUpload(
                name=page.key(entry),
                upload_id=_text(entry, "UploadId"),
                started=datetime.fromisoformat(_text(entry, "Initiated")),
            )
