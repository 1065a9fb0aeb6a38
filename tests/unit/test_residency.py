"""Residency as tables: what is refused, and that each refusal names its reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recvault.domain.errors import ResidencyViolation
from recvault.domain.ports.objects import ObjectLock, ObservedPlace, Versioning
from recvault.domain.residency import DeclaredPlace, PlaceRecord, ResidencyPolicy, require, violations

BUCKET = ObservedPlace(
    kind="s3",
    endpoint="s3.example.fi:443",
    location="fi-hel1",
    encrypted_transport=True,
    loopback=False,
    versioning=Versioning.ON,
    object_lock=ObjectLock.NONE,
    default_retention_days=None,
    replication=False,
)
DECLARED = DeclaredPlace(name="main", country="FI", site="Helsinki 1", endpoint="s3.example.fi:443", region="fi-hel1")
POLICY = ResidencyPolicy(allowed_endpoints=("s3.example.fi:443",))
FOLDER = replace(BUCKET, kind="folder", endpoint="", location=None, encrypted_transport=False, loopback=True)
ROOM = DeclaredPlace(name="room", country="FI", site="Office")


def test_an_allowed_bucket_is_recorded_with_both_sides_apart() -> None:
    assert require(DECLARED, BUCKET, POLICY) == PlaceRecord(
        declared="FI, Helsinki 1, main", observed="s3, fi-hel1, s3.example.fi:443, tls"
    )


def test_a_local_folder_needs_no_endpoint_and_no_tls() -> None:
    assert require(ROOM, FOLDER, ResidencyPolicy()) == PlaceRecord(
        declared="FI, Office, room", observed="folder, location unknown, local, loopback"
    )


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"country": "SE"}, "country SE is not allowed"),
        ({"country": "US"}, "use a store in one of: FI"),
        ({"country": "fi"}, "no ISO 3166-1 code"),
        ({"country": ""}, "no ISO 3166-1 code"),
        ({"country": "FIN"}, "no ISO 3166-1 code"),
        ({"site": "  "}, "no site is declared"),
        ({"endpoint": "other.example.fi:443"}, "declared is other.example.fi:443"),
        ({"endpoint": ""}, "declared is a folder of this machine"),
        ({"region": "fi-hel2"}, "lies in fi-hel1, declared is fi-hel2"),
        ({"region": None}, "no region is declared"),
    ],
)
def test_what_a_declaration_may_not_say(declared: dict[str, str | None], reason: str) -> None:
    found = violations(replace(DECLARED, **declared), BUCKET, POLICY)  # type: ignore[arg-type]
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        ({"location": None}, "does not tell its location"),
        ({"location": "eu-central-1"}, "lies in eu-central-1"),
        ({"encrypted_transport": False}, "not encrypted"),
        ({"replication": True}, "remove its replication rules"),
        ({"lifecycle_rules": ("old: Transition Days 30",)}, "(old: Transition Days 30)"),
        ({"object_lock": ObjectLock.COMPLIANCE, "default_retention_days": 30}, "compliance, days: 30"),
        ({"object_lock": ObjectLock.GOVERNANCE, "default_retention_days": 1}, "governance, days: 1"),
        ({"object_lock": ObjectLock.COMPLIANCE}, "days: unknown"),
        ({"object_lock": ObjectLock.ENABLED, "default_retention_days": 5}, "days: 5"),
        ({"unreadable": ("lifecycle",)}, "setting 'lifecycle'"),
        ({"kind": "tape"}, "kind 'tape' is unknown"),
    ],
)
def test_what_a_bucket_may_not_be(observed: dict[str, object], reason: str) -> None:
    found = violations(DECLARED, replace(BUCKET, **observed), POLICY)  # type: ignore[arg-type]
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    "observed",
    [
        {"versioning": Versioning.OFF},
        {"versioning": Versioning.SUSPENDED},
        {"object_lock": ObjectLock.ENABLED},
        {"encrypted_transport": False, "loopback": True},
        {"free_bytes": 0},
        {"endpoint": "S3.Example.FI:443"},
    ],
)
def test_what_is_nobodys_business_here(observed: dict[str, object]) -> None:
    assert violations(DECLARED, replace(BUCKET, **observed), POLICY) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("allowed", "lawful"),
    [
        (("s3.example.fi:443",), True),
        (("S3.example.fi",), True),
        (("other.fi", "s3.example.fi"), True),
        ((), False),
        (("s3.example.fi:8443",), False),
        (("example.fi",), False),
        (("3.example.fi:443",), False),
        (("",), False),
    ],
)
def test_the_list_of_endpoints(allowed: tuple[str, ...], lawful: bool) -> None:
    found = violations(DECLARED, BUCKET, replace(POLICY, allowed_endpoints=allowed))
    assert (found == ()) is lawful
    assert lawful or "is not allowed; list it" in found[0]


def test_loopback_endpoints_are_listed_like_others() -> None:
    endpoint = "127.0.0.1:7480"
    declared, observed = (
        replace(DECLARED, endpoint=endpoint),
        replace(BUCKET, endpoint=endpoint, loopback=True),
    )
    assert len(violations(declared, observed, POLICY)) == 1


def test_a_folder_on_a_file_server_is_a_network_store() -> None:
    share = replace(FOLDER, endpoint="nfs4:files:/recordings", loopback=False)
    found = violations(replace(ROOM, endpoint="nfs4:files:/recordings"), share, ResidencyPolicy())
    assert len(found) == 2
    assert "nfs4:files:/recordings is not allowed" in found[0]
    assert "not encrypted" in found[1]


def test_a_folder_declared_as_a_bucket_is_refused() -> None:
    assert "goes to a folder of this machine" in violations(DECLARED, FOLDER, POLICY)[0]


def test_tls_is_dispensable_only_by_policy() -> None:
    plain = replace(BUCKET, encrypted_transport=False)
    assert violations(DECLARED, plain, replace(POLICY, require_tls=False)) == ()


def test_a_refusal_names_the_place_and_everything_that_is_wrong() -> None:
    with pytest.raises(ResidencyViolation) as caught:
        require(replace(DECLARED, country="SE"), replace(BUCKET, replication=True), POLICY)
    assert "'main'" in str(caught.value)
    assert "country SE" in str(caught.value)
    assert "replicates" in str(caught.value)
