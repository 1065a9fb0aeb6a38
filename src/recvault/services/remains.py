"""What is left in the object store of communications that are destroyed: deleted, and looked for.

Keeps rule 6 (absence is read: all versions, delete markers and open uploads are listed and nothing is found). A batch is
listed together, so that a dense night costs a few requests and not a few for each item. Which items may be destroyed, and
what follows from their absence, is left to the journeys.
"""

from __future__ import annotations

from collections.abc import Collection

from recvault.domain.ports.objects import ObjectStore, ObjectVersion


class Remains:
    """Objects and open uploads of communications, by id."""

    def __init__(self, *, store: ObjectStore) -> None:
        self._store = store

    def erase(self, ids: Collection[str], known: Collection[ObjectVersion]) -> set[str]:
        """Deletes what the rows name, looks, deletes what else is there, and looks again; those still present. The others
        were looked for after the last deletion and are absent."""
        self._store.delete_versions(known)
        if self.present(ids):
            self.delete(ids)
            return self.present(ids)
        return set()

    def delete(self, ids: Collection[str]) -> None:
        """Aborts the items' open uploads and deletes every version of their objects. Proves nothing: see :meth:`present`."""
        for communication_id in sorted(self._uploading(ids)):
            self._store.abort_uploads(_prefix(communication_id))
        self._store.delete_versions(list(self._store.list_versions_of([_prefix(one) for one in ids])))

    def present(self, ids: Collection[str]) -> set[str]:
        """Those of which a version, a delete marker or an open upload is there; the others were looked for and are absent."""
        found = {_owner(version.name) for version in self._store.list_versions_of([_prefix(one) for one in ids])}
        return found | self._uploading(ids)

    def _uploading(self, ids: Collection[str]) -> set[str]:
        """Uploads are open for minutes and swept after a day, so all of them are fewer than requests for each item."""
        prefix = _prefix(next(iter(ids))) if len(ids) == 1 else ""
        return {_owner(upload.name) for upload in self._store.list_uploads(prefix)} & set(ids)


def _prefix(communication_id: str) -> str:
    return f"{communication_id}/"


def _owner(name: str) -> str:
    return name.partition("/")[0]
