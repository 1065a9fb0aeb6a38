"""What a witness does with a checkpoint: sees that it continues the last one, remembers it, signs it. In this order.

The steps and their refusals are those of C2SP tlog-witness, add-checkpoint. A checkpoint that the log signed and that does
not continue what it signed before is kept as evidence: rollback or fork, the log contradicts itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

import structlog

from recvault.domain.checkpoints import NOTE_LIMIT, Checkpoint, NoteKey, Signature, parse_checkpoint
from recvault.domain.errors import AuditFailure, Forbidden, InvalidInput
from recvault.domain.log_tree import EMPTY_ROOT, check_consistency
from recvault.domain.ports.publication import Addition, KnowsAnother
from recvault.interfaces.witness.state import WitnessState
from recvault.sealing import notes

log = structlog.get_logger("recvault.witness")

PROOF_LIMIT = 63
"""Hashes of a proof (C2SP tlog-witness)."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Contradiction(AuditFailure):
    """The log signed two histories."""

    code = "log-contradicts-itself"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A checkpoint that was signed, and the signature."""

    checkpoint: Checkpoint
    signature: Signature


class Witness:
    """Adds checkpoints to what was seen; several threads may."""

    def __init__(self, state: WitnessState, *, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now
        self._lock = Lock()

    def add(self, addition: Addition) -> Watched:
        """NotFound for a log that is not followed; Forbidden when its signature does not verify; InvalidInput; KnowsAnother
        when the proof does not begin with the last one seen; Contradiction."""
        new = addition.checkpoint
        key = self._state.log(new.origin)
        try:
            notes.verify(new, key)
        except AuditFailure as fault:
            raise Forbidden(str(fault)) from None
        with self._lock:
            self._require_growth(key, addition)
            signature = notes.cosign(new, self._state.key, self._state.sign, at=self._now())
            self._state.keep(key, new.with_signatures(signature))
        log.info("checkpoint signed", log=new.origin, size=new.size)
        return Watched(checkpoint=new, signature=signature)

    def _require_growth(self, key: NoteKey, addition: Addition) -> None:
        new, last = addition.checkpoint, self._state.last(key)
        size, root = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
        if addition.old > new.size:
            raise InvalidInput("the proof begins with more leaves than the checkpoint has; send the right one")
        if new.size < size:
            self._shout("rollback", key, new, size)
        if new.size == size and new.root != root:
            self._shout("fork", key, new, size)
        if addition.old != size:
            raise KnowsAnother(size)
        try:
            check_consistency(size, root, new.size, new.root, addition.proof)
        except AuditFailure:
            # The proof may only be bad, but whoever makes it has the tree: a log that cannot prove has forked.
            self._shout("no proof of growth", key, new, size)

    def _shout(self, what: str, key: NoteKey, new: Checkpoint, size: int) -> None:
        file = self._state.keep_evidence(key, new)
        log.critical(
            "THE LOG CONTRADICTS ITSELF", what=what, log=key.name, seen=size, shown=new.size, evidence=str(file)
        )
        raise Contradiction(
            f"{what}: {key.name} was seen with {size} entries, and what it signed for {new.size} does not continue that; it is "
            f"not signed here. The evidence is in {file}: show it to the auditor, and ask the archive's operator"
        )


def parse_addition(text: str) -> Addition:
    """The body of add-checkpoint; InvalidInput."""
    head, blank, note = text.partition("\n\n")
    first, *proof = head.split("\n")
    old = _OLD.fullmatch(first)
    if len(text) > NOTE_LIMIT or not blank or old is None or len(proof) > PROOF_LIMIT:
        raise InvalidInput("this is no request to add a checkpoint (C2SP tlog-witness); send old, proof and note")
    try:
        hashes = [base64.b64decode(line, validate=True) for line in proof]
        checkpoint = parse_checkpoint(note)
    except (binascii.Error, AuditFailure):
        raise InvalidInput("the proof or the note cannot be read; send them as C2SP tlog-witness says") from None
    return Addition(old=int(old[1]), proof=hashes, checkpoint=checkpoint)
