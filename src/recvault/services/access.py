"""The one question that services and interfaces ask of access control when no communication is concerned."""

from __future__ import annotations

from recvault.domain.access import Action, Actor, Subject, decide
from recvault.domain.errors import Forbidden
from recvault.domain.ports.system import Clock


class Access:
    """Requires acts of actors, by the permission table."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def require(self, actor: Actor, action: Action) -> None:
        """Returns when one of the actor's roles grants the act; Forbidden otherwise."""
        decision = decide(actor, action, Subject(), None, self._clock.now())
        if not decision.allowed:
            refused = Forbidden(f"this needs another role ({decision.reason})")
            refused.reason = decision.reason
            raise refused
