"""The ASGI application: routers, problem documents, headers every answer carries, request ids, health."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recvault import __version__
from recvault.bootstrap import Archive
from recvault.domain.errors import RecvaultError
from recvault.interfaces.http import (
    account,
    approvals,
    communications,
    grants,
    log_checkpoints,
    metrics,
    problems,
    register,
    retention,
    sign_in,
)
from recvault.interfaces.http import (
    log as audit_log,
)
from recvault.interfaces.http.description import describe
from recvault.interfaces.http.headers import ALL, HSTS
from recvault.interfaces.web import routes as web

log = structlog.get_logger()

INGEST_THREADS = 16
"""Uploads sealed and stored at the same time by one process."""


def create_app(archive: Archive) -> FastAPI:
    """The API of one archive (and its plain page, where the configuration has it on)."""
    app = FastAPI(title="recvault", version=__version__, lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.archive = archive
    problems.install(app)
    describe(app)
    app.add_middleware(_Around, archive=archive)
    app.include_router(sign_in.router)
    app.include_router(communications.router)
    app.include_router(register.router)
    app.include_router(retention.router)
    app.include_router(approvals.router)
    app.include_router(grants.router)
    app.include_router(audit_log.router)
    app.include_router(log_checkpoints.router)
    app.include_router(account.router)
    app.include_router(metrics.router)
    if archive.config.server.web_enabled:
        app.include_router(web.router)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_api_route("/readyz", _readyz, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    with ThreadPoolExecutor(INGEST_THREADS, thread_name_prefix="ingest") as executor:
        app.state.ingest_executor = executor
        yield


class _Around:
    """A request id for log and problem, a log line without query or identity, and headers for every answer.

    Plain ASGI: the framework's own form of a middleware costs a task group for every piece of a body that comes in.
    """

    def __init__(self, app: ASGIApp, *, archive: Archive) -> None:
        self._app = app
        self._entropy = archive.entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = base64.b32encode(self._entropy.bytes(10)).decode().lower()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "-")
                log.info("request", method=scope["method"], route=route, status=message["status"])
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in ALL.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault(*HSTS)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_on)


def _healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": __version__}


def _readyz(request: Request) -> Response:
    """Database, store and place let the archive accept a recording now."""
    archive: Archive = request.app.state.archive
    faults: dict[str, str] = {}
    for name, check in (
        ("database", archive.database.check),
        ("store", archive.store.check),
        ("place", archive.places.require_writable),
    ):
        try:
            check()
        except RecvaultError as error:
            faults[name] = error.code
    told: dict[str, object] = {"status": "ready" if not faults else "not ready", "faults": faults}
    if "database" not in faults and (suspension := archive.suspensions.standing()) is not None:
        told["destruction_suspended_until"] = suspension.until.isoformat()
    return JSONResponse(told, 503 if faults else 200)
