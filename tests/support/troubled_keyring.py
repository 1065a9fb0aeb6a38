"""A keyring in memory whose process may be killed at any use of it, and whose places may be away."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from recvault.adapters.memory_keyring import MemoryKeyring
from recvault.domain.errors import KeyringError
from recvault.domain.ports.keyring import KeyKind


class Killed(BaseException):
    """The process ends here."""


class TroubledKeyring(MemoryKeyring):
    """Loses its process at a given use, or a place."""

    uses_left: int | None = None
    away = False

    def _use(self) -> None:
        if self.uses_left is not None:
            self.uses_left -= 1
            if self.uses_left < 0:
                self.uses_left = None
                raise Killed

    def ensure(self, key_id: str, kind: KeyKind) -> bool:
        self._use()
        if self.away:
            raise KeyringError("the place 'b' is away; mount it")
        return super().ensure(key_id, kind)

    def rewrap_many(
        self, old_id: str, new_id: str, items: Sequence[tuple[bytes, bytes, bytes]]
    ) -> Sequence[bytes | None]:
        self._use()
        done = super().rewrap_many(old_id, new_id, items)
        self._use()
        return done

    def destroy(self, key_ids: Collection[str]) -> None:
        self._use()
        if self.away:
            raise KeyringError("the place 'b' is away; mount it")
        super().destroy(key_ids)
        self._use()
