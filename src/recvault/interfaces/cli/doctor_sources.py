"""What the doctor says of sources that are bound to client certificates: whether they can come in now and next month.

Keeps: names of sources only, which are systems and not people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from recvault.config import Config
from recvault.domain.accounts import Source

SOON = timedelta(days=30)
"""How long before its last certificate ends a source is told of."""


def source_state(sources: Sequence[Source], config: Config, now: datetime) -> tuple[str, str, bool]:
    """What was found; the mend, empty when nothing is to be done; and whether a source is kept out already."""
    live = [one for one in sources if one.revoked_at is None]
    bound = [one for one in live if one.certificates]
    told = f"{len(live)} may send, {len(bound)} of them with a client certificate only"
    if bound and not (config.server.public_url.startswith("https://") and config.server.trusted_proxies):
        mend = "no proxy is believed that could show one: set server.public_url and server.trusted_proxies"
        return told, mend, True
    over = _without(bound, now)
    if over:
        return f"{told}; past the end: {', '.join(over)}", "'recvault source certificate add' with a new one", True
    soon = _without(bound, now + SOON)
    if soon:
        mend = "'recvault source certificate add' the next before the hosts change to it"
        return f"{told}; ending within {SOON.days} days: {', '.join(soon)}", mend, False
    return told, "", False


def _without(sources: Sequence[Source], now: datetime) -> list[str]:
    """Those that have no live certificate at that moment."""
    return [one.name for one in sources if all(certificate.ended(now) for certificate in one.certificates)]
