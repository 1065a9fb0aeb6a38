"""Proofs about the audit log as files: that an entry is in it, that one checkpoint continues another.

Keeps: a file holds all that is needed but the public keys, which its reader has from somewhere else; checking needs no
archive. A file about an entry shows that entry and its salt, and hashes of the others.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from recvault.domain.audit import Act, Entry, leaf_data
from recvault.domain.checkpoints import Checkpoint, NoteKey, parse_checkpoint
from recvault.domain.errors import AuditFailure, Conflict, InvalidInput
from recvault.domain.ids import canonical_json
from recvault.domain.log_tree import check_consistency, check_inclusion, consistency, inclusion, root_of
from recvault.domain.ports.database import Database
from recvault.domain.ports.publication import Addition
from recvault.sealing import notes
from recvault.services.log_verify import Tiles

INCLUSION, CONSISTENCY = "recvault/log-inclusion/v1", "recvault/log-consistency/v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proven:
    """What a file proved. ``entry`` is None when only the leaf was shown, or for a proof of consistency; ``old`` is the
    earlier checkpoint of one. ``witnessed_at``: when each of the witnesses asked about signed."""

    checkpoint: Checkpoint
    index: int | None = None
    entry: Mapping[str, object] | None = None
    old: Checkpoint | None = None
    witnessed_at: tuple[datetime, ...] = ()


class LogProofs:
    """Makes proof files from one snapshot of the database."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def of_entry(self, which: str, checkpoint: Checkpoint) -> bytes:
        """That an entry (its id), or a leaf (its index), is under the checkpoint. NotFound; Conflict when it is newer."""
        with self._database.read() as unit:
            entry: Entry | None = None
            if which.isdecimal():
                index = int(which)
                found = unit.audit.read(index, 1)
                entry = found[0].entry if found and found[0].index == index else None
            else:
                entry, place = unit.audit.find(which), unit.audit.place_of(which)
                index = checkpoint.size if place is None else place
            if index >= checkpoint.size:
                raise Conflict(
                    "the entry is newer than the last checkpoint; there is one within a minute, ask again then"
                )
            tiles = Tiles(unit)
            proof = inclusion(index, checkpoint.size, tiles)
            leaf = tiles((0, index // 256))[index % 256 * 32 :][:32]
        document: dict[str, object] = {
            "schema": INCLUSION,
            "checkpoint": checkpoint.note(),
            "index": index,
            "leaf_hash": base64.b64encode(leaf).decode(),
            "proof": [base64.b64encode(one).decode() for one in proof],
        }
        if entry is not None:
            document |= {"entry": _shown(entry), "salt": base64.b64encode(entry.salt).decode()}
        return canonical_json(document)

    def of_growth(self, old: Checkpoint, new: Checkpoint) -> bytes:
        """That the newer checkpoint continues the older."""
        with self._database.read() as unit:
            proof = consistency(old.size, new.size, Tiles(unit))
        return canonical_json(
            {
                "schema": CONSISTENCY,
                "old": old.note(),
                "checkpoint": new.note(),
                "proof": [base64.b64encode(one).decode() for one in proof],
            }
        )

    def addition(self, old: int, checkpoint: Checkpoint) -> Addition:
        """The checkpoint for who has seen ``old`` leaves; Conflict when there are fewer."""
        if old > checkpoint.size:
            raise Conflict(f"the last checkpoint has {checkpoint.size} entries; ask with no more than that")
        with self._database.read() as unit:
            tiles = Tiles(unit)
            if root_of(checkpoint.size, tiles) != checkpoint.root:
                raise AuditFailure("the database does not lead to its last checkpoint; run 'recvault audit verify'")
            return Addition(old=old, proof=consistency(old, checkpoint.size, tiles), checkpoint=checkpoint)


def check(file: bytes, key: NoteKey, witnesses: Sequence[NoteKey] = ()) -> Proven:
    """Checks a proof file with nothing but keys: the log's, and of witnesses that must have signed. AuditFailure names
    what does not hold; InvalidInput for another file."""
    try:
        document = json.loads(file)
        kind, note = document["schema"], parse_checkpoint(document["checkpoint"])
        proof = [base64.b64decode(one, validate=True) for one in document["proof"]]
        notes.verify(note, key)
        seen = tuple(notes.verify_cosignature(note, witness) for witness in witnesses)
        if kind == CONSISTENCY:
            return replace(_grown(document, note, proof, key), witnessed_at=seen)
        if kind == INCLUSION:
            return replace(_included(document, note, proof), witnessed_at=seen)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InvalidInput("this is no proof about an audit log; take the file again from its issuer") from None
    raise InvalidInput("this file proves something else; 'recvault audit prove' writes those that are read here")


def _grown(document: Mapping[str, str], new: Checkpoint, proof: Sequence[bytes], key: NoteKey) -> Proven:
    old = parse_checkpoint(document["old"])
    notes.verify(old, key)
    check_consistency(old.size, old.root, new.size, new.root, proof)
    return Proven(checkpoint=new, old=old)


def _included(document: Mapping[str, Any], note: Checkpoint, proof: Sequence[bytes]) -> Proven:
    index, leaf = int(document["index"]), base64.b64decode(document["leaf_hash"], validate=True)
    entry, salt = document.get("entry"), base64.b64decode(document.get("salt", ""), validate=True)
    if entry is not None and sha256(b"\x00" + leaf_data(_entry(entry, salt))).digest() != leaf:
        raise AuditFailure(f"entry {index} is not what its leaf says: it was altered in the file")
    check_inclusion(leaf, index=index, size=note.size, proof=proof, root=note.root)
    return Proven(checkpoint=note, index=index, entry=entry)


def _shown(entry: Entry) -> dict[str, object]:
    """The entry as it is hashed."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "act": entry.act.value,
        "target": entry.target,
        "purpose": entry.purpose,
        "detail": dict(entry.detail),
    }


def _entry(shown: Mapping[str, object], salt: bytes) -> Entry:
    try:
        values = dict(shown) | {"at": datetime.fromisoformat(str(shown["at"])), "act": Act(str(shown["act"]))}
        return Entry(**values, salt=salt)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError):
        raise InvalidInput("the entry in the file cannot be read by this version; use the one that wrote it") from None
