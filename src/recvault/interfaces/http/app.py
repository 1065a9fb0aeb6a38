"""The ASGI application: routers, problem documents, headers every answer carries, request ids, health."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from recvault import __version__
from recvault.bootstrap import Archive
from recvault.domain.errors import RecvaultError
from recvault.interfaces.http import communications, metrics, problems, register
from recvault.interfaces.web import routes as web

log = structlog.get_logger()

INGEST_THREADS = 16
"""Uploads sealed and stored at the same time by one process."""


def create_app(archive: Archive) -> FastAPI:
    """The API of one archive (and its plain page, where the configuration has it on)."""
    app = FastAPI(title="recvault", version=__version__, lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.archive = archive
    problems.install(app)
    app.middleware("http")(_around)
    app.include_router(communications.router)
    app.include_router(register.router)
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


async def _around(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """A request id for log and problem, a log line without query or identity, and headers for every answer."""
    archive: Archive = request.app.state.archive
    request_id = base64.b32encode(archive.entropy.bytes(10)).decode().lower()
    request.state.request_id = request_id
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        response = await call_next(request)
        route = request.scope.get("route")
        log.info("request", method=request.method, route=getattr(route, "path", "-"), status=response.status_code)
    response.headers["X-Request-Id"] = request_id
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return response


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
    return JSONResponse({"status": "ready" if not faults else "not ready", "faults": faults}, 503 if faults else 200)
