"""Tokens in software (SoftHSM2), each in a directory of its own.

The library reads ``SOFTHSM2_CONF`` when it is initialised; who changes it calls ``root_pkcs11.let_go``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from recvault.adapters.root_pkcs11 import TokenSettings
from tests.servers.run import MissingServer

PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "482916"


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftToken:
    """One token, its directory and its PIN's file."""

    library: Path
    base: Path
    label: str
    pin_file: Path

    @property
    def configuration(self) -> Path:
        """What ``SOFTHSM2_CONF`` is set to."""
        return self.base / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        """The directory that is the token: away when it is renamed."""
        return self.base / "tokens"

    def settings(self, key: str = "recvault-root") -> TokenSettings:
        """As the configuration would say it."""
        return TokenSettings(
            library=self.library, token=self.label, key=key, pin=lambda: self.pin_file.read_text("ascii").strip()
        )


def new_token(base: Path, label: str = "recvault") -> SoftToken:
    """Makes a token under ``base``; MissingServer where SoftHSM2 is not installed."""
    library = next((Path(place) for place in PLACES if Path(place).exists()), None)
    if library is None or shutil.which("softhsm2-util") is None:
        raise MissingServer("SoftHSM2 is missing: apt-get install softhsm2")
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = SoftToken(library=library, base=base, label=label, pin_file=base / "pin")
    token.tokens.mkdir(mode=0o700, exist_ok=True)
    token.configuration.write_text(
        f"directories.tokendir = {token.tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    token.pin_file.write_text(f"{PIN}\n")
    token.pin_file.chmod(0o600)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", PIN],
        env={**os.environ, "SOFTHSM2_CONF": str(token.configuration)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return token
