"""The section of the audit log's checkpoints: how often, and who outside of the archive is told of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict

from recvault.config.fields import is_loopback
from recvault.config.section import Here, Section


def _address(text: str) -> str:
    """An https address, with a path if it has one; http on loopback."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be an address such as https://witness.company.example") from None
    if not host or "@" in parts.netloc or parts.query or parts.fragment or any(sign.isspace() for sign in text):
        raise ValueError("must be an address such as https://witness.company.example, without user or query")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only on loopback)")
    return text


def _webhook(text: str) -> str:
    return _address(text) if text else text


def _witness(text: str) -> str:
    """``ADDRESS KEY``."""
    address, _, key = text.partition(" ")
    if not key or " " in key or key.count("+") < 2:
        raise ValueError('must be an address, a space and the key that "recvault witness key" shows')
    _address(address)
    return text


Webhook = Annotated[str, AfterValidator(_webhook), Field(max_length=500)]
Witness = Annotated[str, AfterValidator(_witness), Field(max_length=1000)]


class LogCheckpoints(Section):
    """How long, or for how many new entries, the log may go without a checkpoint, and who is told."""

    interval_seconds: int = Field(default=60, ge=10, le=3600)
    leaves: int = Field(default=1000, ge=1, le=1_000_000)
    directory: Here | None = None
    webhook: Webhook = ""
    witnesses: Annotated[tuple[Witness, ...], Strict(False)] = ()
