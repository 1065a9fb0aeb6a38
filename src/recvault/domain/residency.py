"""Whether a store may hold the archive's data: what was declared of it against what it says of itself.

Invariants: unknown is refused; declared and observed are kept apart from the first comparison to the record
of each object; nothing that would copy, move, keep or destroy objects behind the archive's back passes.

The promise is P12 of the notice (no transfer outside the EU/EEA, servers in guarded rooms in Finland); GDPR
44 and following. Country and site can only be declared: no store can prove where its machines stand. It
leaves to others the reading (``adapters``) and the moments to judge: at start, and again while running.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from recvault.domain.errors import ResidencyViolation
from recvault.domain.ports.objects import ObjectLock, ObservedPlace

_COUNTRY = re.compile(r"[A-Z]{2}")
_NETWORK_KINDS = ("s3",)
_KINDS = ("s3", "folder", "memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredPlace:
    """What the controller answers for: ``country`` (ISO 3166-1 alpha-2), ``site`` (the guarded room),
    ``endpoint`` (``host:port``, empty for a folder of this machine) and ``region``, the location the bucket
    must report (None for a folder).
    """

    name: str
    country: str
    site: str
    endpoint: str = ""
    region: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidencyPolicy:
    """``allowed_endpoints`` are ``host:port``, or ``host`` for any port. None listed: only folders of this
    machine.
    """

    allowed_countries: tuple[str, ...] = ("FI",)
    allowed_endpoints: tuple[str, ...] = ()
    require_tls: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceRecord:
    """What is stored with each object, as two short strings that are never merged."""

    declared: str
    observed: str

    @classmethod
    def of(cls, declared: DeclaredPlace, observed: ObservedPlace) -> PlaceRecord:
        """``FI, Helsinki 1, hel1`` and ``s3, fi-hel1, s3.example.fi:443, tls``."""
        transport = "tls" if observed.encrypted_transport else "loopback" if observed.loopback else "plain"
        seen = (
            observed.kind,
            observed.location or "location unknown",
            observed.endpoint or "local",
            transport,
        )
        return cls(
            declared=", ".join((declared.country, declared.site, declared.name)),
            observed=", ".join(seen),
        )


def violations(declared: DeclaredPlace, observed: ObservedPlace, policy: ResidencyPolicy) -> tuple[str, ...]:
    """Every reason why the place is not allowed, each with its mend; empty when it is allowed."""
    return (
        *declaration_violations(declared, policy),
        *_of_endpoint(declared, observed, policy),
        *_of_location(declared, observed),
        *_of_transport(observed, policy),
        *_of_behaviour(observed),
    )


def require(declared: DeclaredPlace, observed: ObservedPlace, policy: ResidencyPolicy) -> PlaceRecord:
    """The record of an allowed place; ResidencyViolation naming everything that is wrong otherwise."""
    found = violations(declared, observed, policy)
    if found:
        raise ResidencyViolation(f"the place {declared.name!r} is refused: {'; '.join(found)}")
    return PlaceRecord.of(declared, observed)


def declaration_violations(declared: DeclaredPlace, policy: ResidencyPolicy) -> Iterator[str]:
    """Why a place may not be used by what is declared of it alone (keyrings, ledgers: directories tell nothing more)."""
    if not _COUNTRY.fullmatch(declared.country):
        yield f"country {declared.country!r} is no ISO 3166-1 code; declare two capitals, such as FI"
    elif declared.country not in policy.allowed_countries:
        allowed = ", ".join(policy.allowed_countries) or "none"
        yield f"country {declared.country} is not allowed; use a store in one of: {allowed}"
    if not declared.site.strip():
        yield "no site is declared; name the room or building that guards it"


def _of_endpoint(declared: DeclaredPlace, observed: ObservedPlace, policy: ResidencyPolicy) -> Iterator[str]:
    if observed.kind not in _KINDS:
        yield f"a store of kind {observed.kind!r} is unknown; use s3 or folder"
    seen = observed.endpoint.lower()
    if seen != declared.endpoint.lower():
        yield (
            f"the connection goes to {seen or 'a folder of this machine'}, declared is "
            f"{declared.endpoint or 'a folder of this machine'}; declare the place that is used"
        )
    if (seen or observed.kind in _NETWORK_KINDS) and not _is_listed(seen, policy.allowed_endpoints):
        yield f"endpoint {seen or '(none)'} is not allowed; list it if it stands where it may"


def _is_listed(endpoint: str, allowed: tuple[str, ...]) -> bool:
    host = re.sub(r":[0-9]+$", "", endpoint)
    return bool(endpoint) and any(entry.lower() in (endpoint, host) for entry in allowed)


def _of_location(declared: DeclaredPlace, observed: ObservedPlace) -> Iterator[str]:
    if observed.kind not in _NETWORK_KINDS:
        return
    if observed.location is None:
        yield "the bucket does not tell its location; allow the key to read it, or use a bucket that has one"
    elif declared.region is None:
        yield f"the bucket says it lies in {observed.location}, no region is declared; check and declare it"
    elif observed.location != declared.region:
        yield (
            f"the bucket says it lies in {observed.location}, declared is {declared.region}; use the right "
            "bucket or correct the declaration"
        )


def _of_transport(observed: ObservedPlace, policy: ResidencyPolicy) -> Iterator[str]:
    if policy.require_tls and not observed.encrypted_transport and not observed.loopback:
        yield "the way to the store is not encrypted; switch TLS on, or use a disk of this machine"


def _of_behaviour(observed: ObservedPlace) -> Iterator[str]:
    if observed.replication:
        yield "the bucket replicates to another place; remove its replication rules"
    for rule in observed.lifecycle_rules:
        yield f"the bucket's lifecycle rule ({rule}) destroys or moves objects on its own; remove it"
    if observed.object_lock in (ObjectLock.GOVERNANCE, ObjectLock.COMPLIANCE) or observed.default_retention_days:
        days = observed.default_retention_days or "unknown"
        yield (
            f"the bucket locks new objects ({observed.object_lock.value}, days: {days}), so "
            "that they cannot be destroyed when due; remove the default retention or use another"
        )
    for setting in observed.unreadable:
        yield f"the store does not tell its setting {setting!r}; allow the key to read it"
