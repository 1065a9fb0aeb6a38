"""Making room for one more question to a stranger (``domain.waiting``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table, delete, func, select

from recvault.adapters.database.session import Session
from recvault.domain.waiting import IN_ALL, PER_NETWORK, surplus


def make_room(
    session: Session,
    table: Table[Any],
    *,
    key: Column[bytes],
    network: Column[Any],
    until: Column[Any],
    asking: bytes,
    per_network: int = PER_NETWORK,
    in_all: int = IN_ALL,
) -> None:
    """Displaces the oldest questions of the network ``asking`` where it has too many, then those of the most crowded one where
    there are too many in all. Rows that somebody takes just now stay."""

    def drop(of: bytes, many: int) -> None:
        oldest = select(key).where(network == of).order_by(until, key).limit(many).with_for_update(skip_locked=True)
        session.change(delete(table).where(key.in_(session.column(oldest))))

    if many := surplus(session.count(table, network == asking), per_network):
        drop(asking, many)
    if many := surplus(session.count(table, network.is_not(None)), in_all):
        crowded = session.first(
            select(network)
            .where(network.is_not(None))
            .group_by(network)
            .order_by(func.count().desc(), network)
            .limit(1)
        )
        if crowded is not None:
            drop(crowded[0], many)
