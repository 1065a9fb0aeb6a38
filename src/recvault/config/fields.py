"""How single values are read and checked: paths, addresses, places, times.

Each function takes the raw value and returns the one to keep, or raises ValueError with the second half of a
sentence that begins with the key ("must be ..."). Values are never quoted: some may hold what was meant to
be secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import ValidationInfo

from recvault.config.secrets import CREDENTIAL, credential_path

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAIL_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_MAIL_SENDER = re.compile(r'([^<>"\\,;:@\x00-\x1f\x7f]{1,60}) <([^<>]+)>')
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_POSTGRES = ("postgresql", "postgresql+psycopg")
_SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What relative values are relative to: folders, and systemd's credentials directory if there is one."""

    base: Path
    data: Path
    credentials: str | None


def _surroundings(info: ValidationInfo) -> Surroundings:
    if isinstance(info.context, Surroundings):
        return info.context
    return Surroundings(base=Path.cwd(), data=Path.cwd(), credentials=None)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")
    return value


def _absolute(value: object, folder: Path) -> Path:
    text = os.fspath(value) if isinstance(value, Path) else _text(value)
    if not text or "\0" in text:
        raise ValueError("must be a path")
    return Path(os.path.normpath(folder / Path(text).expanduser()))


def path_from_base(value: object, info: ValidationInfo) -> Path:
    """A path, relative ones from the working directory."""
    return _absolute(value, _surroundings(info).base)


def path_from_data(value: object, info: ValidationInfo) -> Path:
    """A path, relative ones from ``data.directory``."""
    return _absolute(value, _surroundings(info).data)


def secret_file(value: object, info: ValidationInfo) -> Path:
    """A path to a secret, or ``credential:NAME``."""
    around = _surroundings(info)
    if isinstance(value, str) and value.startswith(CREDENTIAL):
        return credential_path(value.removeprefix(CREDENTIAL), around.credentials)
    return _absolute(value, around.base)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str:
    """The host of ``host``, ``host:port`` or ``[v6]:port``."""
    return urlsplit(f"//{address}").hostname or ""


def endpoint(value: object) -> str:
    """``host`` or ``host:port`` of a store, in lower case; empty stays empty."""
    text = _text(value).lower()
    if not text:
        return text
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    bracketed = f"[{host}]" if ":" in host else host
    if text != (bracketed if port is None else f"{bracketed}:{port}") or not _is_host(host):
        raise ValueError('must be a host name or address, with :port if needed and without "https://" or a path')
    return text


def _is_host(host: str) -> bool:
    if _HOST.fullmatch(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host(value: object) -> str:
    """A host name or address without a port, in lower case; empty stays empty."""
    text = _text(value).lower()
    if text and not _is_host(text):
        raise ValueError("must be a host name or address; the port has a key of its own")
    return text


def mail_address(value: object) -> str:
    """``name@company.example``, alone and in plain letters."""
    text = _text(value)
    name, _, domain = text.rpartition("@")
    dotted = name.startswith(".") or name.endswith(".") or ".." in name
    if len(text) > 254 or dotted or not _MAIL_NAME.fullmatch(name) or not _HOST.fullmatch(domain.lower()):
        raise ValueError("must be a mail address such as name@company.example, in plain letters")
    return text


def mail_sender(value: object) -> str:
    """A mail address, or ``Name <address>``; empty stays empty."""
    text = _text(value)
    if text:
        found = _MAIL_SENDER.fullmatch(text)
        mail_address(found[2] if found else text)
    return text


def public_url(value: object) -> str:
    """The address people and hooks use: https, or http on loopback; without a path, query or user."""
    text = _text(value).rstrip("/")
    if not text:
        return text
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be an address such as https://archive.company.example") from None
    if not _is_host(host) or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError("must be an address such as https://archive.company.example, without user, path or query")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only on loopback)")
    return text


def database_url(value: object, info: ValidationInfo) -> str:
    """``sqlite:///FILE`` or ``postgresql://user@host/name``, no password; off loopback TLS is verified."""
    text = _text(value)
    if text.startswith(_SQLITE):
        name = text.removeprefix(_SQLITE)
        if not name or "?" in name or ":memory:" in name:
            raise ValueError("must name a file: sqlite:///recvault.db")
        return f"{_SQLITE}{path_from_data(name, info)}"
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, keep_blank_values=True)
    except ValueError:
        raise ValueError("must be sqlite:///FILE or postgresql://user@host/name") from None
    if parts.scheme not in _POSTGRES or not parts.path.strip("/"):
        raise ValueError("must be sqlite:///FILE or postgresql://user@host/name")
    if parts.password is not None or {"password", "sslpassword", "passfile"} & query.keys():
        raise ValueError("must not hold a password; put it into a file and name that in database.password_file")
    if {"service", "servicefile"} & query.keys():
        raise ValueError("must not name a service file; say the host here")
    hosts = [parts.hostname or "", *query.get("host", []), *query.get("hostaddr", [])]
    local = all(not host or host.startswith(("/", "%2f")) or is_loopback(host) for host in hosts)
    if not local and query.get("sslmode") != ["verify-full"]:
        raise ValueError("must end with ?sslmode=verify-full: only a database on this machine may go without TLS")
    return f"postgresql+psycopg{text[len(parts.scheme) :]}"


def network(value: object) -> str:
    """An address or network in CIDR form."""
    try:
        return str(ipaddress.ip_network(_text(value)))
    except ValueError:
        raise ValueError("must be an address or a network such as 10.0.0.0/24 (no bits set after the prefix)") from None


def time_zone(value: object) -> str:
    """A name of the IANA time zone database."""
    text = _text(value)
    if text not in available_timezones():
        raise ValueError("must be a zone of the IANA database, such as Europe/Helsinki")
    return ZoneInfo(text).key


def time_of_day(value: object) -> time:
    """``HH:MM``, or a TOML local time."""
    if isinstance(value, time):
        return value
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a time of day such as "02:30"')
    return time(int(found[1]), int(found[2]))


def pattern(value: object) -> str:
    """A regular expression; empty stays empty."""
    text = _text(value)
    try:
        re.compile(text)
    except re.error:
        raise ValueError("must be a regular expression") from None
    return text


def bucket(value: object) -> str:
    """The name of a bucket, of which the archive owns all; empty stays empty."""
    text = _text(value)
    if text and not _BUCKET.fullmatch(text):
        raise ValueError(
            "must be the name of a bucket (3 to 63 of a-z 0-9 . -) and nothing after it: "
            "the archive owns the whole bucket"
        )
    return text


def country(value: object) -> str:
    """Two capital letters of ISO 3166-1."""
    text = _text(value)
    if not _COUNTRY.fullmatch(text):
        raise ValueError('must be two capital letters of ISO 3166-1, such as "FI"')
    return text


def code(value: object) -> str:
    """A short code for a reason."""
    text = _text(value)
    if not _CODE.fullmatch(text) or len(text) > 40:
        raise ValueError('must be a short code such as "order-check" (a-z, 0-9 and single dashes, at most 40)')
    return text


def masked(value: object) -> object:
    """``value`` as it may be shown: whatever looks like a user's password in an address is replaced."""
    if isinstance(value, Mapping):
        return {key: masked(entry) for key, entry in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [masked(entry) for entry in cast("list[object]", value)]
    if isinstance(value, str):
        return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", value)
    return value
