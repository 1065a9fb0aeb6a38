"""Port to those outside who are told of checkpoints: a directory, a receiver of web requests, a witness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recvault.domain.checkpoints import Checkpoint, Signature
from recvault.domain.errors import RecvaultError


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """A checkpoint for somebody who has seen the log's first ``old`` leaves, and the proof that it continues them."""

    old: int
    proof: Sequence[bytes]
    checkpoint: Checkpoint


class KnowsAnother(RecvaultError):
    """Whoever was told has seen another number of leaves, ``size``, than the proof begins with; tell it again from there."""

    code = "knows-another-size"

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness has seen {size} leaves; it is told again from there")
        self.size = size


class Outlet(Protocol):
    """One place that is told."""

    @property
    def name(self) -> str:
        """Tells it from the others, for good: what it has seen is remembered under this name."""

    def tell(self, addition: Addition) -> tuple[Signature, ...]:
        """Tells it, durably where it keeps things; what it signed, verified. Unavailable when it does not answer, KnowsAnother,
        AuditFailure when a witness refuses."""
