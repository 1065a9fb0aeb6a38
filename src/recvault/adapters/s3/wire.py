"""Signed requests to one bucket, and the exact translation of what comes back.

Invariants: ``ObjectNotFound`` only for an XML answer with code NoSuchKey or NoSuchVersion, never for a
proxy's 404; faults that may pass are ``StoreUnavailable``; everything else is ``S3Refusal``. Redirects are
not followed: the bytes would go to a place nobody declared. Leaves paging, parts and meaning to the modules
above.

The ``minio`` client signs and sends. Its parsers are not used: they lose the order of versions and delete
markers, the upload-id marker of open uploads, and errors inside a 200 (seen in 7.2.20). So this is the one
place that calls its ``_execute``, and the contract tests hold it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from recvault.adapters.s3.connections import pool_manager
from recvault.adapters.s3.settings import S3Settings
from recvault.domain.errors import ConfigurationError, ObjectNotFound, StoreError, StoreUnavailable

_RETRIED = (429, 500, 502, 503, 504)
_ABSENT = ("NoSuchKey", "NoSuchVersion")
_PASSING = (
    "InternalError",
    "OperationAborted",
    "QuotaExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "TooManyRequests",
    "XMinioStorageFull",
)
_KEYS = "the store does not accept the access key or its secret; check both in the configuration"
_REDIRECT = (
    "the store points to another address, which is not followed because the place would no longer be the "
    "declared one; set endpoint and region to where the bucket really is"
)
_MENDS = {
    "AccessDenied": "the key may not do this; check the bucket's policy and locks, and the rights of the key",
    "AuthorizationHeaderMalformed": "the region is wrong; set the bucket's own region",
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "NoSuchBucket": "there is no such bucket; create it or correct its name",
    "RequestTimeTooSkewed": "this machine's clock differs from the store's; mend the time synchronisation",
    "QuotaExceeded": "the store's quota is used up; raise it",
    "XMinioStorageFull": "the store is full; add space",
    "PermanentRedirect": _REDIRECT,
    "Redirect": _REDIRECT,
    "TemporaryRedirect": _REDIRECT,
}


class S3Refusal(StoreError):
    """The store said no, for a reason that is not absence. ``s3_code`` and ``status`` as in its answer."""

    def __init__(self, message: str, *, s3_code: str, status: int) -> None:
        super().__init__(message)
        self.s3_code = s3_code
        self.status = status


def _pool(settings: S3Settings) -> urllib3.PoolManager:
    retry = urllib3.Retry(
        total=settings.retries,
        redirect=False,
        allowed_methods=None,  # every request here may be repeated: see ``upload`` for completing
        status_forcelist=_RETRIED,
        backoff_factor=0.2,
        backoff_max=5.0,
        backoff_jitter=0.3,
        raise_on_status=False,
        respect_retry_after_header=False,  # a wait of hours is not ours to sit out
    )
    timeout = urllib3.Timeout(connect=settings.connect_timeout_seconds, read=settings.read_timeout_seconds)
    if not settings.secure:
        return pool_manager(maxsize=settings.concurrency, timeout=timeout, retries=retry)
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigurationError("S3 store: ca_file cannot be read as PEM; correct its path or content") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return pool_manager(maxsize=settings.concurrency, timeout=timeout, retries=retry, ssl_context=context)


def explain(code: str, request_id: str | None = None) -> str:
    """What to do about an S3 error code."""
    if mend := _MENDS.get(code):
        return f"{mend} ({code})"
    return f"the store refused with {code}; look for request {request_id or '(no id)'} in its log"


def is_passing(code: str, status: int = 0) -> bool:
    """Whether the same request may succeed later."""
    return code in _PASSING or status in _RETRIED or (status > 501)


def _refusal(error: S3Error) -> Exception:
    status, code = error.response.status, error.code or "an unnamed error"
    if code in _ABSENT and status == 404:
        return ObjectNotFound("the store has no such object; it may have been deleted")
    if is_passing(code, status):
        return StoreUnavailable(f"the object store does not serve now; {explain(code, error.request_id)}")
    return S3Refusal(
        f"object store: {explain(code, error.request_id)}",
        s3_code=code,
        status=status,
    )


def network_fault(error: urllib3.exceptions.HTTPError) -> Exception:
    """A certificate that is not accepted needs a person; everything else may pass."""
    cause: object = getattr(error, "reason", error)
    while isinstance(cause, urllib3.exceptions.SSLError) and cause.args:
        cause = cause.args[0]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StoreError(
            f"the store's certificate is not accepted: {cause.verify_message}; set ca_file to its authority, "
            "and the endpoint to the name it was made for"
        )
    return StoreUnavailable(
        f"the object store cannot be reached ({type(cause).__name__}); check endpoint, network and server"
    )


class S3Wire:
    """Requests to the bucket of ``settings``. Safe to use from several threads."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._pool = _pool(settings)
        try:
            self._client = Minio(
                settings.endpoint,
                access_key=settings.access_key,
                secret_key=settings.secret_key,
                secure=settings.secure,
                region=settings.region,
                http_client=self._pool,
            )
        except ValueError as error:
            raise ConfigurationError(f"S3 store: {error}; correct endpoint or region") from error
        if settings.style == "virtual":
            self._client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        else:
            self._client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]

    def request(
        self,
        method: str,
        name: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """One request with retries; a streamed answer must be read to its end or released by the caller."""
        try:
            return self._client._execute(
                method,
                self.settings.bucket,
                name,
                body=body,
                headers=dict(headers or {}),
                query_params=dict(query or {}),
                preload_content=not stream,
            )
        except S3Error as error:
            raise _refusal(error) from error
        except (ServerError, InvalidResponseError, ElementTree.ParseError) as error:
            raise StoreUnavailable(
                "what answered did not speak S3; check the endpoint and any proxy before the store"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise network_fault(error) from error

    def xml(
        self,
        method: str,
        name: str | None = None,
        *,
        root: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[ElementTree.Element, Mapping[str, str]]:
        """The answer as XML with the expected root, and its headers; S3 may put an error into a 200."""
        response = self.request(method, name, query=query, body=body, headers=headers)
        try:
            element = ElementTree.fromstring(response.data)  # noqa: S314 -- expat bounds entities since 2.4
        except ElementTree.ParseError as error:
            raise StoreUnavailable("the store's answer is cut off or not XML; ask again") from error
        found = element.tag.rpartition("}")[2]
        if found != root:
            code = element.findtext("{*}Code") or found
            raise StoreUnavailable(f"the store began to answer and then failed; {explain(code)}")
        return element, response.headers

    def close(self) -> None:
        """Gives back all connections."""
        self._pool.clear()
