"""What a host knows of its archive: address, where the token lies, and the public key to seal to.

Kept in ``enrolment.json`` of the spool. Invariants: nothing in it is secret (the token stays in its own file), and
nothing is sealed to a key that has expired: the archive destroys the private half then, and nobody could open it.
Left to others: fetching the key (``enrol``).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recvault.domain.errors import ConfigurationError
from recvault.domain.ids import require_aware
from recvault.interfaces.hook.spool import Spool

FILE = "enrolment.json"
PUBLIC_KEY_LENGTH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """``public_key`` is a raw X25519 key (32 bytes), ``not_after`` the end of what can be opened with it."""

    url: str
    token_file: Path
    ca_file: Path | None
    key_id: str
    public_key: bytes
    not_after: datetime
    fetched_at: datetime
    certificate_file: Path | None = None

    def __post_init__(self) -> None:
        require_aware(self.not_after, "not_after")
        require_aware(self.fetched_at, "fetched_at")
        if len(self.public_key) != PUBLIC_KEY_LENGTH:
            raise ValueError("an X25519 key has 32 bytes")

    def require_live(self, moment: datetime) -> None:
        """ConfigurationError when the key has expired."""
        if moment >= self.not_after:
            raise ConfigurationError(
                f"the archive's key {self.key_id} expired on {self.not_after:%Y-%m-%d}, and nobody could open what is "
                "sealed to it; the file was kept: start the agent or run recvault hook enrol, then submit again"
            )

    def save(self, spool: Spool) -> None:
        """Replaces the spool's enrolment."""
        value = {
            "url": self.url,
            "token_file": str(self.token_file),
            "ca_file": str(self.ca_file) if self.ca_file else None,
            "certificate_file": str(self.certificate_file) if self.certificate_file else None,
            "key_id": self.key_id,
            "public_key": base64.b64encode(self.public_key).decode(),
            "not_after": self.not_after.isoformat(),
            "fetched_at": self.fetched_at.isoformat(),
        }
        spool.put_file(FILE, json.dumps(value, indent=1).encode())


def load(spool: Spool) -> Enrolment | None:
    """The spool's enrolment, None when there is none; ConfigurationError when it cannot be read."""
    try:
        value = json.loads((spool.root / FILE).read_bytes())
        return Enrolment(
            url=str(value["url"]),
            token_file=Path(value["token_file"]),
            ca_file=Path(value["ca_file"]) if value["ca_file"] else None,
            certificate_file=Path(value["certificate_file"]) if value.get("certificate_file") else None,
            key_id=str(value["key_id"]),
            public_key=base64.b64decode(value["public_key"], validate=True),
            not_after=datetime.fromisoformat(value["not_after"]),
            fetched_at=datetime.fromisoformat(value["fetched_at"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError("the spool's enrolment cannot be read; run recvault hook enrol again") from None


def require(spool: Spool, *, url: str | None = None) -> Enrolment:
    """The enrolment to seal with; ConfigurationError without one, or when ``url`` names another archive (what is sealed
    to the key of one cannot be opened by the other)."""
    enrolment = load(spool)
    if enrolment is None:
        raise ConfigurationError("this host does not know the archive's key; run recvault hook enrol")
    if url is not None and url.rstrip("/") != enrolment.url:
        raise ConfigurationError(
            "the configuration names another archive than the key comes from; run recvault hook enrol"
        )
    return enrolment
