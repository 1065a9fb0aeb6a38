"""What an S3 store needs to be told. Secrets never show in ``repr``; nothing here reaches the network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recvault.domain.errors import ConfigurationError

MIB = 1024 * 1024
MAX_PARTS = 10_000
"""Parts of one upload (Amazon S3 user guide, "multipart upload limits")."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ENDPOINT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Settings:
    """``endpoint`` is ``host`` or ``host:port`` without scheme; ``secure`` chooses TLS, always with a
    verified certificate, against ``ca_file`` (PEM) alone when given, else the system's authorities.

    ``style`` puts the bucket into the path or in front of the host. ``region`` signs the requests; None asks
    the store. One upload holds at most ``part_bytes * (parallel_parts + 2)`` in memory and is at most
    ``part_bytes * 10 000`` long. ``concurrency`` is the number of connections kept and of part senders.
    ``retries`` counts further tries after faults, with growing, jittered pauses.
    """

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str | None = None
    secure: bool = True
    ca_file: Path | None = None
    style: Literal["path", "virtual"] = "path"
    part_bytes: int = 8 * MIB
    parallel_parts: int = 3
    concurrency: int = 16
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 10.0
    retries: int = 3

    def __post_init__(self) -> None:
        problems = [
            (
                not _ENDPOINT.fullmatch(self.endpoint),
                "endpoint must be host or host:port, without scheme or path",
            ),
            (not _BUCKET.fullmatch(self.bucket), "bucket must be a valid S3 bucket name"),
            (not self.access_key or not self.secret_key, "access key and secret key must be given"),
            (self.style not in ("path", "virtual"), "style must be path or virtual"),
            (not 5 * MIB <= self.part_bytes <= 1024 * MIB, "part_bytes must lie between 5 MiB and 1 GiB"),
            (not 1 <= self.parallel_parts <= self.concurrency, "parallel_parts must be 1 to concurrency"),
            (min(self.connect_timeout_seconds, self.read_timeout_seconds) <= 0, "timeouts must be positive"),
            (not 0 <= self.retries <= 20, "retries must be 0 to 20"),
            (self.ca_file is not None and not self.secure, "ca_file is of no use without TLS; set secure"),
        ]
        for wrong, text in problems:
            if wrong:
                raise ConfigurationError(f"S3 store: {text}")
