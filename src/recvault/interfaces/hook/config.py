"""The hook's configuration: one small TOML file with strict keys, and options that override it.

    url = "https://archive.example.fi"        # https, or http on loopback
    token_file = "/etc/recvault/token"        # the source's token, readable by this user only
    spool = "/var/spool/recvault"
    certificate_file = "/etc/recvault/client.pem" # client certificate and its key, where the archive asks for one
    ca_file = "/etc/recvault/ca.pem"          # only where the archive's certificate is not publicly trusted
    keep_original = false                     # true: recordings stay in clear on this host after sealing

Invariant: an unknown key or a wrong type is refused, with the nearest known name. Left to others: whether the
files exist and the address is allowed (they are looked at when used). Without a file, what ``enrol`` stored in
the spool is used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from recvault.domain.errors import ConfigurationError

DEFAULT = Path("/etc/recvault/hook.toml")
_PATHS = ("token_file", "spool", "ca_file", "certificate_file")
_KEYS = ("url", *_PATHS, "keep_original")


@dataclass(frozen=True, kw_only=True, slots=True)
class HookConfig:
    """What was configured; None where nothing was."""

    url: str | None = None
    token_file: Path | None = None
    spool: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    keep_original: bool = False

    def spool_path(self) -> Path:
        """ConfigurationError when none was named."""
        if self.spool is None:
            raise ConfigurationError(f"no spool is named; give --spool, or set spool in {DEFAULT}")
        return self.spool


def load(path: Path) -> HookConfig:
    """The file's content; ConfigurationError names the key and the mend."""
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise ConfigurationError(
            f"the hook's configuration cannot be read ({fault.strerror}); see --config and its owner"
        ) from None
    try:
        return parse(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigurationError(f"the hook's configuration is not TOML: {fault}") from None


def parse(values: Mapping[str, object]) -> HookConfig:
    """Typed values from those of the file; ConfigurationError."""
    for key in values:
        if key not in _KEYS:
            raise ConfigurationError(_unknown(key))
    keep = values.get("keep_original", False)
    if not isinstance(keep, bool):
        raise ConfigurationError("keep_original must be true or false")
    return HookConfig(
        url=_text(values, "url"),
        keep_original=keep,
        token_file=_path(values, "token_file"),
        spool=_path(values, "spool"),
        ca_file=_path(values, "ca_file"),
        certificate_file=_path(values, "certificate_file"),
    )


def resolve(
    *,
    config: Path | None,
    url: str | None = None,
    token_file: Path | None = None,
    spool: Path | None = None,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    keep: bool = False,
) -> HookConfig:
    """Options over the file. Without ``config`` the default file is read where it exists, unless ``spool`` names a
    spool: that one brings what ``enrol`` stored."""
    if config is not None or (spool is None and DEFAULT.exists()):
        base = load(config or DEFAULT)
    else:
        base = HookConfig()
    return HookConfig(
        url=url or base.url,
        token_file=_absolute(token_file) or base.token_file,
        spool=_absolute(spool) or base.spool,
        ca_file=_absolute(ca_file) or base.ca_file,
        certificate_file=_absolute(certificate_file) or base.certificate_file,
        keep_original=keep or base.keep_original,
    )


def _absolute(path: Path | None) -> Path | None:
    return path.absolute() if path is not None else None


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{key} must be text in quotes")
    return value


def _path(values: Mapping[str, object], key: str) -> Path | None:
    text = _text(values, key)
    if text is None:
        return None
    if not Path(text).is_absolute():
        raise ConfigurationError(f"{key} must be a path from the root, such as /etc/recvault/{key}")
    return Path(text)


def _unknown(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, _KEYS, n=1)
    mend = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KEYS)}"
    return f"the hook's configuration has an unknown key {key[:64]!r}; {mend}"
