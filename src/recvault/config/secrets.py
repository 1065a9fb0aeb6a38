"""Secrets: read from files when they are needed, never held by the configuration, never shown.

A ``*_file`` key names a file, or ``credential:NAME`` for a file that systemd put into
``$CREDENTIALS_DIRECTORY`` (systemd.exec(5), LoadCredential=). A secret file open to others is refused.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

SECRET_LIMIT = 4096  # bytes; a longer file is not a password
CREDENTIAL = "credential:"
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class ConfigFault(ValueError):
    """The configuration cannot be used. The text names key and mend, and quotes no secret."""


def credential_path(name: str, directory: str | None) -> Path:
    """Where systemd put the credential ``name``; ValueError when the name or the directory is not usable."""
    if not _CREDENTIAL_NAME.fullmatch(name):
        raise ValueError(f"must be {CREDENTIAL}NAME with letters, digits and . _ - in the name")
    if not directory:
        raise ValueError(
            "names a systemd credential, but CREDENTIALS_DIRECTORY is not set; "
            f"add LoadCredential={name}:/path to the unit"
        )
    return Path(directory) / name


def read_secret(path: Path, *, lines: bool = False) -> str:
    """The text in a secret file without its line end; ``lines``: it may have several, as a key in PEM has.

    Raises ConfigFault when the file is missing, empty, longer than SECRET_LIMIT or open to others.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else None
    except OSError as fault:
        raise ConfigFault(
            f"the secret file {path} cannot be read ({fault.strerror}); make it readable to this user"
        ) from None
    if content is None:
        raise ConfigFault(f"{path} is not a file; name the file that holds the secret")
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigFault(f"others may open the secret file {path}; close it: chmod 600 {path}")
    if len(content) > SECRET_LIMIT:
        raise ConfigFault(f"the secret file {path} is longer than {SECRET_LIMIT} bytes; it should hold one secret only")
    try:
        secret = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigFault(f"the secret file {path} is not UTF-8 text; write the secret into it again") from None
    if not secret or ("\n" in secret and not lines) or "\0" in secret:
        raise ConfigFault(f"the secret file {path} must hold one line with the secret and nothing else")
    return secret
