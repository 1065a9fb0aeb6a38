"""Reads from a bucket where and how it keeps objects. Judging is ``domain.residency``."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from xml.etree import ElementTree

from recvault.adapters.s3.wire import S3Refusal, S3Wire
from recvault.domain.ports.objects import ObjectLock, ObservedPlace, Versioning

_NOT_KNOWN_THERE = ("NotImplemented", "MethodNotAllowed")
_ACTIONS = ("Expiration", "Transition", "NoncurrentVersionTransition")


class _Settings:
    """Reads one sub-resource of the bucket after the other, and remembers those it was refused."""

    def __init__(self, wire: S3Wire) -> None:
        self._wire = wire
        self.unreadable: list[str] = []

    def read(self, resource: str, root: str) -> ElementTree.Element | None:
        """None: not configured, not known to this store, or refused (then noted)."""
        try:
            return self._wire.xml("GET", root=root, query={resource: ""})[0]
        except S3Refusal as refusal:
            if refusal.s3_code == "NoSuchBucket":
                raise
            if refusal.status != 404 and refusal.s3_code not in _NOT_KNOWN_THERE:
                self.unreadable.append(resource)
            return None


def observe(wire: S3Wire) -> ObservedPlace:
    """See ``ObjectStore.observe``. Five requests."""
    settings = _Settings(wire)
    location = settings.read("location", "LocationConstraint")
    lock, days = _lock(settings.read("object-lock", "ObjectLockConfiguration"))
    replication = settings.read("replication", "ReplicationConfiguration")
    lifecycle = settings.read("lifecycle", "LifecycleConfiguration")
    return ObservedPlace(
        kind="s3",
        endpoint=wire.settings.endpoint.lower(),
        location=None if location is None else (location.text or "").strip() or None,
        encrypted_transport=wire.settings.secure,
        loopback=is_loopback(wire.settings.endpoint),
        versioning=_versioning(settings.read("versioning", "VersioningConfiguration")),
        object_lock=lock,
        default_retention_days=days,
        replication=replication is not None and replication.find("{*}Rule") is not None,
        lifecycle_rules=() if lifecycle is None else tuple(_rules(lifecycle)),
        unreadable=tuple(settings.unreadable),
    )


def is_loopback(endpoint: str) -> bool:
    """Whether every address of the host lies on this machine; a name that does not resolve does not."""
    host = endpoint.rpartition("]")[0].lstrip("[") or endpoint.partition(":")[0]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in found)


def _versioning(element: ElementTree.Element | None) -> Versioning:
    status = "" if element is None else (element.findtext("{*}Status") or "")
    return {"Enabled": Versioning.ON, "Suspended": Versioning.SUSPENDED}.get(status, Versioning.OFF)


def _lock(element: ElementTree.Element | None) -> tuple[ObjectLock, int | None]:
    """The lock and its default retention in days (a year counts 365)."""
    if element is None:
        return ObjectLock.NONE, None
    default = element.find("{*}Rule/{*}DefaultRetention")
    if default is None:
        enabled = element.findtext("{*}ObjectLockEnabled") == "Enabled"
        return (ObjectLock.ENABLED if enabled else ObjectLock.NONE), None
    mode = default.findtext("{*}Mode") or ""
    days = int(default.findtext("{*}Days") or 0) + 365 * int(default.findtext("{*}Years") or 0)
    return (ObjectLock.GOVERNANCE if mode == "GOVERNANCE" else ObjectLock.COMPLIANCE), days


def _rules(lifecycle: ElementTree.Element) -> Iterator[str]:
    """Rules that only tidy up (aborted uploads, lone markers, versions already replaced) are left out."""
    for rule in lifecycle.iterfind("{*}Rule"):
        if rule.findtext("{*}Status") != "Enabled":
            continue
        for action in _ACTIONS:
            for found in rule.iterfind(f"{{*}}{action}"):
                when = [
                    f"{child.tag.rpartition('}')[2]} {child.text}"
                    for child in found
                    if child.tag.rpartition("}")[2] != "ExpiredObjectDeleteMarker"
                ]
                if when:
                    yield f"{rule.findtext('{*}ID') or 'unnamed'}: {action} {', '.join(when)}"
