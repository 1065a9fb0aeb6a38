"""What only S3 can get wrong: refusals and faults told apart, TLS, redirects, lost answers, and what a bucket
says.
"""

from __future__ import annotations

import io
import json
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from minio.commonconfig import COMPLIANCE, ENABLED, Filter
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.objectlockconfig import DAYS, ObjectLockConfig
from minio.versioningconfig import SUSPENDED, VersioningConfig

from recvault.adapters.s3 import S3ObjectStore, S3Settings, listing
from recvault.adapters.s3.place import is_loopback
from recvault.domain.errors import (
    ConfigurationError,
    ObjectNotFound,
    RecvaultError,
    StoreError,
    StoreUnavailable,
    TooLarge,
)
from recvault.domain.ports.objects import ObjectLock, ObjectVersion, Versioning
from tests.servers.ceph import Ceph

pytestmark = pytest.mark.s3
MIB = 1024 * 1024

Act = Callable[[S3ObjectStore], object]
ACTS: dict[str, Act] = {
    "put": lambda store: store.put("u/a", [b"x"]),
    "put long": lambda store: store.put("u/a", [bytes(9 * MIB)]),
    "put small": lambda store: store.put_small("u/a", b"x"),
    "get": lambda store: b"".join(store.get("u/a", None)),
    "get range": lambda store: store.get_range("u/a", None, 0, 1),
    "list": lambda store: list(store.list_versions("")),
    "list uploads": lambda store: list(store.list_uploads("")),
    "abort": lambda store: store.abort_uploads(""),
    "now": lambda store: store.now(),
    "check": lambda store: store.check(),
    "observe": lambda store: store.observe(),
}
every_act = pytest.mark.parametrize("act", ACTS.values(), ids=list(ACTS))


@contextmanager
def opened(settings: S3Settings) -> Iterator[S3ObjectStore]:
    with closing(S3ObjectStore(settings)) as store:
        yield store


def quick(settings: S3Settings) -> S3Settings:
    return replace(settings, retries=0, connect_timeout_seconds=0.5, read_timeout_seconds=0.5)


# -- refusals and faults


@every_act
def test_nobody_listens(ceph: Ceph, act: Act) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{reserved.getsockname()[1]}"
        with (
            opened(quick(replace(ceph.settings("none"), endpoint=endpoint))) as store,
            pytest.raises(StoreUnavailable, match="cannot be reached"),
        ):
            act(store)


@every_act
def test_somebody_listens_and_says_nothing(ceph: Ceph, act: Act) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
        with (
            opened(quick(replace(ceph.settings("none"), endpoint=endpoint))) as store,
            pytest.raises(StoreUnavailable, match="cannot be reached"),
        ):
            act(store)


@every_act
def test_a_missing_bucket_is_not_a_missing_object(ceph: Ceph, act: Act) -> None:
    with opened(ceph.settings("no-such-bucket")) as store, pytest.raises(StoreError) as caught:
        act(store)
    assert not isinstance(caught.value, ObjectNotFound)
    assert "create it or correct its name" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"secret_key": "wrong-secret"}, {"access_key": "nobody"}])
@pytest.mark.parametrize("act", [act for name, act in ACTS.items() if name != "observe"])
def test_a_wrong_key_is_refused_with_the_mend(ceph: Ceph, bucket: str, wrong: dict[str, str], act: Act) -> None:
    with opened(replace(ceph.settings(bucket), **wrong)) as store, pytest.raises(StoreError) as caught:  # type: ignore[arg-type]
        act(store)
    assert not isinstance(caught.value, ObjectNotFound)
    assert "access key" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


def test_a_wrong_key_makes_every_setting_unreadable(ceph: Ceph, bucket: str) -> None:
    with opened(replace(ceph.settings(bucket), secret_key="wrong-secret")) as store:
        observed = store.observe()
    assert observed.location is None
    assert observed.unreadable == ("location", "object-lock", "replication", "lifecycle", "versioning")


class Proxy(BaseHTTPRequestHandler):
    """Answers everything in one way that is not S3."""

    status = 404
    headers_sent: tuple[tuple[str, str], ...] = ()
    body = b"<html>not here</html>"
    seen: list[str]

    def answer(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        for name, value in self.headers_sent:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_PUT = do_POST = do_DELETE = answer


SILENT = {"log_message": lambda *_: None}


@contextmanager
def proxy(status: int, body: bytes, *headers: tuple[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The endpoint of a server that answers so, and the requests it saw."""
    seen: list[str] = []
    handler = type("Fixed", (Proxy,), {"status": status, "body": body, "headers_sent": headers, "seen": seen, **SILENT})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()


XML = ("Content-Type", "application/xml")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (404, b"<html>not here</html>", ()),
        (404, b"", ()),
        (502, b"<html>bad gateway</html>", ()),
        (503, b"<Error><Code>SlowDown</Code></Error>", (XML,)),
        (500, b"<Error><Code>InternalError</Code></Error>", (XML,)),
        (404, b"<Error><Code>NoSu", (XML,)),
        (200, b"<html>log in first</html>", ()),
        (200, b"<Error><Code>InternalError</Code></Error>", (XML,)),
    ],
)
@pytest.mark.parametrize("act", [ACTS["get range"], ACTS["list"], ACTS["put small"], ACTS["put long"]])
def test_what_is_not_an_answer_is_a_fault_never_an_absence(
    ceph: Ceph, status: int, body: bytes, headers: tuple[tuple[str, str], ...], act: Act
) -> None:
    with (
        proxy(status, body, *headers) as (endpoint, _),
        opened(quick(replace(ceph.settings("bucket"), endpoint=endpoint))) as store,
        pytest.raises(StoreUnavailable),
    ):
        act(store)


def test_faults_are_tried_again(ceph: Ceph) -> None:
    with (
        proxy(503, b"", XML) as (endpoint, seen),
        opened(replace(ceph.settings("bucket"), endpoint=endpoint, retries=2)) as store,
        pytest.raises(StoreUnavailable),
    ):
        store.check()
    assert len(seen) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(ceph: Ceph, status: int) -> None:
    """Another address is another place."""
    with proxy(200, b"") as (elsewhere, reached):
        headers = ("Location", f"http://{elsewhere}/bucket/u/a")
        body = b"<Error><Code>TemporaryRedirect</Code></Error>"
        with (
            proxy(status, body, XML, headers) as (endpoint, seen),
            opened(replace(ceph.settings("bucket"), endpoint=endpoint)) as store,
            pytest.raises(StoreError, match="points to another address, which is not followed"),
        ):
            store.put("u/a", [b"x"])
    assert len(seen) == 1
    assert reached == []


def version(name: str) -> ObjectVersion:
    return ObjectVersion(name=name, version_id="1", is_delete_marker=False, length=0, modified=datetime.now(UTC))


def test_a_deletion_that_is_not_confirmed_counts_as_failed(ceph: Ceph) -> None:
    answer = (
        b"<DeleteResult><Deleted><Key>a</Key><VersionId>1</VersionId></Deleted>"
        b"<Deleted><Key>b</Key><VersionId>other</VersionId></Deleted>"
        b"<Error><Key>c</Key><VersionId>1</VersionId><Code>AccessDenied</Code></Error>"
        b"<Error><Key>d</Key><VersionId>1</VersionId><Code>InternalError</Code></Error>"
        b"<Error><Key>e</Key><VersionId>1</VersionId><Code>NoSuchVersion</Code></Error></DeleteResult>"
    )
    with (
        proxy(200, answer, XML) as (endpoint, _),
        opened(replace(ceph.settings("bucket"), endpoint=endpoint)) as store,
    ):
        failures = store.delete_versions(version(name) for name in "abcdef")
    assert [(failure.item.name, failure.retryable) for failure in failures] == [
        ("b", True),
        ("c", False),
        ("d", True),
        ("f", True),
    ]


LISTINGS = {
    "outside": b"<Version><Key>v/x</Key><VersionId>1</VersionId><Size>1</Size></Version>",
    "endless": b"<IsTruncated>true</IsTruncated><NextKeyMarker></NextKeyMarker>",
    "nameless": b"<Version><VersionId>1</VersionId></Version>",
    "backwards": b"<Version><Key>u/b</Key><VersionId>1</VersionId><Size>1</Size><LastModified>2026-01-01T00:00:00Z"
    b"</LastModified></Version><Version><Key>u/a</Key><VersionId>1</VersionId></Version>",
}


@pytest.mark.parametrize("entries", LISTINGS.values(), ids=list(LISTINGS))
def test_a_listing_that_cannot_be_relied_on_is_refused(ceph: Ceph, entries: bytes) -> None:
    with (
        proxy(200, b"<ListVersionsResult>" + entries + b"</ListVersionsResult>", XML) as (endpoint, _),
        opened(replace(ceph.settings("bucket"), endpoint=endpoint)) as store,
        pytest.raises(StoreError),
    ):
        list(store.list_versions("u/"))


# -- transport


def test_an_unknown_authority_is_refused_with_the_mend(ceph: Ceph, bucket: str) -> None:
    with opened(replace(ceph.settings(bucket, tls=True), ca_file=None)) as store:
        with pytest.raises(StoreError, match="set ca_file"):
            store.check()
        with pytest.raises(StoreError, match="set ca_file"):
            store.put("u/a", [b"x"])


def test_a_certificate_for_another_name_is_refused(ceph: Ceph, bucket: str) -> None:
    settings = ceph.settings(bucket, tls=True)
    endpoint = settings.endpoint.replace("127.0.0.1", "127.0.0.2")
    with socket.create_server(("127.0.0.2", 0)) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert settings.ca_file is not None
        context.load_cert_chain(settings.ca_file, settings.ca_file.with_suffix(".key"))
        endpoint = f"127.0.0.2:{listener.getsockname()[1]}"

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True).recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            opened(quick(replace(settings, endpoint=endpoint))) as store,
            pytest.raises(StoreError, match="endpoint to the name it was made for"),
        ):
            store.check()
        thread.join()


def test_the_virtual_host_style_puts_the_bucket_in_front(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    asked = []

    def on_loopback(host: str, *rest: object, **named: object) -> object:
        asked.append(host)
        return resolve("127.0.0.1", *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", on_loopback)
    with (
        proxy(200, b"<ListBucketResult/>", XML) as (endpoint, seen),
        opened(
            replace(ceph.settings(bucket), endpoint=endpoint.replace("127.0.0.1", "s3.example.fi"), style="virtual")
        ) as store,
    ):
        store.check()
    assert asked == [f"{bucket}.s3.example.fi"]
    assert seen[0].startswith("GET /?")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("127.0.0.1:7480", True),
        ("127.3.2.1", True),
        ("[::1]:7480", True),
        ("localhost:1", True),
        ("192.0.2.1:443", False),
        ("no-such-host.invalid:443", False),
    ],
)
def test_loopback_is_told_by_the_address(endpoint: str, expected: bool) -> None:
    assert is_loopback(endpoint) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "https://s3.example.fi"},
        {"endpoint": "s3.example.fi/x"},
        {"endpoint": ""},
        {"bucket": "Capital"},
        {"bucket": "a"},
        {"secret_key": ""},
        {"part_bytes": MIB},
        {"parallel_parts": 0},
        {"parallel_parts": 99},
        {"read_timeout_seconds": 0.0},
        {"retries": -1},
        {"style": "other"},
        {"ca_file": Path("/ca.pem")},
        {"region": "not a region"},
        {"secure": True, "ca_file": Path("/no/such/ca.pem")},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(wrong: dict[str, object]) -> None:
    lawful = S3Settings(endpoint="s3.example.fi", bucket="bucket", access_key="key", secret_key="hidden", secure=False)
    assert "hidden" not in repr(lawful)
    with pytest.raises(ConfigurationError):
        S3ObjectStore(replace(lawful, **wrong))  # type: ignore[arg-type]


# -- uploads


def test_memory_does_not_grow_with_the_object(ceph: Ceph, bucket: str) -> None:
    with opened(ceph.settings(bucket)) as store:
        tracemalloc.start()
        try:
            stored = store.put("u/long", (bytes(64 * 1024) for _ in range(2400)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert stored.length == 150 * MIB
        assert peak < 64 * MIB
        assert sum(map(len, store.get("u/long", stored.version_id))) == stored.length
        assert store.delete_versions(store.list_versions("")) == []


def test_an_object_of_too_many_parts_is_refused_and_aborted(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recvault.adapters.s3.upload.MAX_PARTS", 2)
    with opened(ceph.settings(bucket)) as store:
        with pytest.raises(TooLarge, match="raise part_bytes"):
            store.put("u/a", [bytes(17 * MIB)])
        assert list(store.list_uploads("")) == []
        assert list(store.list_versions("")) == []


def test_completing_twice_still_names_the_version(
    ceph: Ceph, versioned_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the answer to the first completion had been lost: Ceph's second answer names no version."""
    with opened(ceph.settings(versioned_bucket)) as store:
        wire = store._wire
        ask = wire.xml

        def twice(method: str, name: str | None = None, **rest: object) -> object:
            if rest["root"] == "CompleteMultipartUploadResult":
                ask(method, name, **rest)  # type: ignore[arg-type]
            return ask(method, name, **rest)  # type: ignore[arg-type]

        monkeypatch.setattr(wire, "xml", twice)
        stored = store.put("u/a", [bytes(9 * MIB)])
        [listed] = store.list_versions("u/")
        assert stored.version_id is not None
        assert stored.version_id == listed.version_id


def test_open_uploads_of_one_name_are_seen_page_by_page(
    ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own parser loses the second marker, and with it what follows the first page of one name."""
    monkeypatch.setattr(listing, "PAGE", 4)
    client = ceph.client()
    for number in range(21):
        client._create_multipart_upload(bucket, "u/same" if number % 2 else f"u/{number}", {})
    client._create_multipart_upload(bucket, "v/other", {})
    with opened(ceph.settings(bucket)) as store:
        assert len({upload.upload_id for upload in store.list_uploads("u/")}) == 21
        assert store.abort_uploads("u/") == 21
        assert [upload.name for upload in store.list_uploads("")] == ["v/other"]


WRITER = """
import json, sys
from recvault.adapters.s3 import S3ObjectStore, S3Settings

def chunks():
    for number in range(200):
        if number == 100:
            print("written", flush=True)
            sys.stdin.read()
        yield bytes(262144)

settings = S3Settings(**json.loads(sys.stdin.readline()), secure=False, parallel_parts=1)
S3ObjectStore(settings).put("u/audio.1", chunks())
"""


def test_a_killed_writer_leaves_an_open_upload_and_nothing_else(ceph: Ceph, bucket: str) -> None:
    settings = ceph.settings(bucket)
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdin is not None
    assert writer.stdout is not None
    told = ("endpoint", "bucket", "access_key", "secret_key", "region")
    writer.stdin.write(json.dumps({name: getattr(settings, name) for name in told}) + "\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "written\n"
    writer.kill()
    writer.communicate()
    with opened(settings) as store:
        assert list(store.list_versions("")) == []
        assert [upload.name for upload in store.list_uploads("")] == ["u/audio.1"]
        assert store.abort_uploads("u/") == 1
        assert list(store.list_uploads("")) == []


# -- what a bucket says


def test_a_bucket_with_default_retention(ceph: Ceph) -> None:
    bucket = ceph.make_bucket(locked=True)
    with opened(ceph.settings(bucket)) as store:
        assert store.observe().object_lock is ObjectLock.ENABLED
        ceph.client().set_object_lock_config(bucket, ObjectLockConfig(COMPLIANCE, 30, DAYS))
        observed = store.observe()
    assert observed.object_lock is ObjectLock.COMPLIANCE
    assert observed.default_retention_days == 30


def test_a_locked_version_is_reported_not_claimed_gone(ceph: Ceph) -> None:
    bucket = ceph.make_bucket(locked=True)
    client = ceph.client()
    client.set_object_lock_config(bucket, ObjectLockConfig(COMPLIANCE, 1, DAYS))
    client.put_object(bucket, "u/locked", io.BytesIO(b"x"), 1)
    with opened(ceph.settings(bucket)) as store:
        [failure] = store.delete_versions(store.list_versions("u/"))
        assert not failure.retryable
        assert "locks" in failure.reason
        assert len(list(store.list_versions("u/"))) == 1


def test_suspended_versions_are_seen_and_deleted(ceph: Ceph, versioned_bucket: str) -> None:
    with opened(ceph.settings(versioned_bucket)) as store:
        store.put("u/a", [b"one"])
        ceph.client().set_bucket_versioning(versioned_bucket, VersioningConfig(SUSPENDED))
        assert store.observe().versioning is Versioning.SUSPENDED
        assert store.put("u/a", [b"two"]).version_id is None
        found = list(store.list_versions("u/"))
        assert [one.version_id is None for one in found] == [True, False]
        assert store.delete_versions(found) == []
        assert list(store.list_versions("")) == []


def test_objects_from_before_versioning_are_really_deleted(ceph: Ceph, bucket: str) -> None:
    with opened(ceph.settings(bucket)) as store:
        store.put("u/a", [b"one"])
        found = list(store.list_versions("u/"))
        ceph.client().set_bucket_versioning(bucket, VersioningConfig(ENABLED))
        assert store.delete_versions(found) == []
        assert list(store.list_versions("")) == []  # no delete marker either


def test_lifecycle_rules_that_matter_are_told(ceph: Ceph, bucket: str) -> None:
    everything = Filter(prefix="")
    tidy = Rule(
        ENABLED,
        rule_filter=everything,
        rule_id="tidy",
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=7),
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=1),
    )
    expire = Rule(ENABLED, rule_filter=Filter(prefix="x"), rule_id="old", expiration=Expiration(days=30))
    off = Rule("Disabled", rule_filter=Filter(prefix="y"), rule_id="off", expiration=Expiration(days=1))
    with opened(ceph.settings(bucket)) as store:
        ceph.client().set_bucket_lifecycle(bucket, LifecycleConfig([tidy, expire, off]))
        assert store.observe().lifecycle_rules == ("old: Expiration Days 30",)


def test_foreign_names_are_listed_and_deleted_too(ceph: Ceph, bucket: str) -> None:
    """An absence that overlooked them would prove nothing."""
    wanted = ["u/a b+c%2F&<>\"'", "u/tallenne-åäö", "u/~"]
    for name in wanted:
        ceph.client().put_object(bucket, name, io.BytesIO(b"x"), 1)
    with opened(ceph.settings(bucket)) as store:
        assert [one.name for one in store.list_versions("u/")] == sorted(wanted)
        assert store.delete_versions(store.list_versions("u/")) == []
        assert list(store.list_versions("")) == []


def test_errors_carry_no_key(ceph: Ceph, bucket: str) -> None:
    settings = replace(ceph.settings(bucket), access_key="AKIDVISIBLE", secret_key="SECRETVISIBLE")
    with opened(settings) as store, pytest.raises(RecvaultError) as caught:
        store.check()
    link: BaseException | None = caught.value
    while link is not None:
        assert "VISIBLE" not in f"{link!r} {link}"
        link = link.__cause__
