"""What changes between two policies, rule by rule: for the person who is to sign the second.

Reads both as their documents, so that nothing that the digest covers can be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from recvault.domain.retention.policy import Policy


class Kind(StrEnum):
    """How a part changed."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One key of one part: ``where`` is ``rule.NAME``, ``statute.CODE`` or a section; ``key`` empty when the whole part
    came or went. Values are JSON values, None where there is none."""

    kind: Kind
    where: str
    key: str = ""
    before: object = None
    after: object = None


def differences(old: Policy, new: Policy) -> tuple[Difference, ...]:
    """Every difference but the version's, in the order of the parts' names; empty when only the version differs."""
    before, after = _parts(old), _parts(new)
    return tuple(found for name in sorted({**before, **after}) for found in _part(name, before, after))


def _parts(policy: Policy) -> dict[str, Mapping[str, Any]]:
    document: dict[str, Any] = policy.document()
    parts = {name: document[name] for name in ("ceiling", "do_not_keep")}
    parts |= {f"records.{name}": value for name, value in document["records"].items()}
    parts |= {f"rule.{rule['name']}": rule for rule in document["rule"]}
    return parts | {f"statute.{statute['code']}": statute for statute in document.get("statute", ())}


def _part(
    name: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    if name not in before:
        yield Difference(kind=Kind.ADDED, where=name, after=dict(after[name]))
        return
    if name not in after:
        yield Difference(kind=Kind.REMOVED, where=name, before=dict(before[name]))
        return
    for key in sorted({**before[name], **after[name]}):
        was, will = before[name].get(key), after[name].get(key)
        if was != will:
            yield Difference(kind=Kind.CHANGED, where=name, key=key, before=was, after=will)
