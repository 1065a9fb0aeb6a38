"""Connections that take only whole answers, and acknowledge them at once.

``http.client`` takes the end of a connection for the end of an answer's headers. An answer that breaks off among them
would pass for a success, with a version id that is missing or cut short: a recording acknowledged under a version that
the store does not have. Here such an answer is a broken connection, which is tried again. Bodies are counted by urllib3.
"""

from __future__ import annotations

import socket
from http.client import HTTPResponse, IncompleteRead
from typing import Any

import urllib3
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Head:
    """A file from which only whole lines are read, and after the first one no end of file: an empty line ends a head.
    Everything else is the file's own."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        if not line.endswith(b"\n") and len(line) < limit and (line or self._begun):
            raise IncompleteRead(line)
        self._begun = True
        return line


class _WholeResponse(HTTPResponse):
    @override
    def begin(self) -> None:
        file = self.fp
        head: Any = _Head(file)
        self.fp = head
        try:
            super().begin()
        finally:
            if self.fp is head:
                self.fp = file


class _Plain(HTTPConnection):
    response_class = _WholeResponse

    @override
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        _acknowledge_at_once(self.sock)
        return super().getresponse()


class _Secure(HTTPSConnection):
    response_class = _WholeResponse

    @override
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        _acknowledge_at_once(self.sock)
        return super().getresponse()


def _acknowledge_at_once(sock: socket.socket | None) -> None:
    """A store that leaves Nagle's algorithm on (Ceph RGW does by default) sends the head of a short answer and then waits
    for our acknowledgement, which we would delay by 40 ms (tcp(7), TCP_QUICKACK; it does not last, so each time anew)."""
    if sock is not None and hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def pool_manager(**settings: Any) -> urllib3.PoolManager:
    """A PoolManager (see urllib3) of such connections."""
    manager = urllib3.PoolManager(**settings)
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return manager
