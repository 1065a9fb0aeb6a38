"""How many questions to strangers wait for their answers: challenges for passkeys, and sign-ins begun at issuers.

Keeps: nobody is ever refused a question, because whoever could make the archive refuse could lock people out. Too many of one
network displace the oldest of that network; too many in all displace the oldest of the most crowded network. So a stranger
displaces what is their own, and a person who answers within seconds is not met. Left to others: counting (the database),
how a network is named (``services.throttle``).
"""

from __future__ import annotations

PER_NETWORK = 50
"""Questions to one network (a /24, or a /48 of IPv6) that wait at once: a whole office that signs in together."""
IN_ALL = 5_000
"""Questions to everybody that wait at once."""


def surplus(waiting: int, most: int) -> int:
    """How many have to go before one more comes."""
    return max(waiting + 1 - most, 0)
