"""Problem documents (RFC 9457): the one place where an error becomes an HTTP status.

A problem says what happened and what to do, carries the request's id, and nothing personal.
"""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from recvault.domain import errors
from recvault.interfaces.http.headers import ALL

log = structlog.get_logger()

# The first class that matches counts, so the special stand before the general.
STATUS: tuple[tuple[type[errors.RecvaultError], int], ...] = (
    (errors.TooLarge, 413),
    (errors.ContentMismatch, 422),
    (errors.InvalidInput, 422),
    (errors.NotAuthenticated, 401),
    (errors.StepUpRequired, 401),  # RFC 9470, 3
    (errors.TooManyAttempts, 429),
    (errors.Forbidden, 403),
    (errors.LimitReached, 429),
    (errors.Destroyed, 410),
    (errors.ObjectNotFound, 502),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.RangeNotSatisfiable, 416),
    (errors.ResidencyViolation, 503),
    (errors.Unavailable, 503),
    (errors.KeyDestroyed, 410),
    (errors.RecvaultError, 500),
)

TITLES = {
    401: "Sign in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Destroyed",
    413: "Too large",
    416: "Range not satisfiable",
    422: "Not understood",
    429: "Enough for now",
    500: "Internal fault",
    502: "The store contradicts the index",
    503: "Not available now",
}

RETRY_AFTER_SECONDS = "5"


def status_of(error: errors.RecvaultError) -> int:
    """The status for an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(status: int, code: str, detail: str, request: Request, extra: dict[str, object] | None = None) -> Response:
    """A problem document. ``type`` is a relative reference that names the code."""
    body: dict[str, object] = {
        "type": f"/problems/{code}",
        "title": TITLES.get(status, "Problem"),
        "status": status,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", None),
        **(extra or {}),
    }
    headers = dict(ALL)  # a fault that nobody expected is answered outside of what adds them to all others
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="recvault"'
    if status == 503:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")


async def _of_recvault(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.RecvaultError)
    status = status_of(error)
    if status >= 500:
        log.error("request failed", code=error.code, error=str(error), status=status)
    extra: dict[str, object] = {}
    if isinstance(error, errors.ConflictKeptAside):
        extra["kept_as"] = error.kept_as
    if isinstance(error, errors.Forbidden) and error.reason:
        extra["reason"] = error.reason
    response = problem(status, error.code, str(error), request, extra)
    if isinstance(error, errors.StepUpRequired):
        response.headers["WWW-Authenticate"] = (
            f'Bearer realm="recvault", error="insufficient_user_authentication", max_age="{int(error.within.total_seconds())}"'
        )
    if isinstance(error, errors.LimitReached):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, errors.TooManyAttempts):
        response.headers["Retry-After"] = str(error.seconds)
    if isinstance(error, errors.RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{error.length}"
    return response


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{"field": ".".join(str(part) for part in e["loc"]), "fault": e["msg"]} for e in error.errors()]
    return problem(
        422, "invalid-input", "the request is not of the expected form; see 'faults'", request, {"faults": faults}
    )


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, f"http-{error.status_code}", str(error.detail), request)


class AnswerBrokeOff(Exception):
    """A fault after the answer had begun: no problem document can be sent any more. ``args[0]`` is the fault's code."""


async def _of_unexpected(request: Request, error: Exception) -> Response:
    if isinstance(error, AnswerBrokeOff):
        log.error("answer broke off", code=error.args[0])
        return problem(500, "answer-broke-off", "the answer broke off; ask again for the rest", request)
    log.error("unexpected fault", kind=type(error).__name__, exc_info=error)
    return problem(500, "internal", "an unexpected fault; the log has it under this request id", request)


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""
    app.add_exception_handler(errors.RecvaultError, _of_recvault)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_unexpected)
