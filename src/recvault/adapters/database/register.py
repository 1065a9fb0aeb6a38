"""The customer register and the guard rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Table, delete, exists, or_, select

from recvault.adapters.database.agents import AgentDirectory
from recvault.adapters.database.failures import missing
from recvault.adapters.database.session import batches
from recvault.adapters.database.tables import communications, contact_persons, contact_points, customers
from recvault.domain.communication import PartyKind
from recvault.domain.customer import ContactPerson, ContactPoint, Customer


def folded(name: str) -> str:
    """The form that names are compared and ordered in: any case, composed letters. Done here because SQLite's
    own ``lower`` knows ASCII only.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


class SqlRegister(AgentDirectory):
    """Implements the port's ``Register``."""

    def lock_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """See the port."""
        self._guard(customers, customer_ids, shared=False)
        self._guard(contact_points, contact_point_ids, shared=False)

    def share_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """See the port."""
        self._guard(customers, customer_ids, shared=True)
        self._guard(contact_points, contact_point_ids, shared=True)

    def put_customer(self, customer: Customer) -> None:
        """See the port. Conflict when another customer has the number."""
        row = asdict(customer) | {"name_folded": folded(customer.name)}
        self._session.put(customers, row, key=["id"])

    def customer(self, customer_id: str) -> Customer:
        """See the port."""
        found = self.customers([customer_id])
        if not found:
            raise missing("customer")
        return found[customer_id]

    def customers(self, customer_ids: Collection[str]) -> dict[str, Customer]:
        """See the port."""
        found: dict[str, Customer] = {}
        for batch in batches(customer_ids):
            for row in self._session.rows(select(customers).where(self._session.among(customers.c.id, batch))):
                found[row.id] = _customer(row)
        return found

    def customer_by_number(self, number: str) -> Customer | None:
        """See the port."""
        row = self._session.first(select(customers).where(customers.c.number == number))
        return None if row is None else _customer(row)

    def customers_by_business_id(self, business_id: str) -> list[Customer]:
        """In id order."""
        rows = self._session.rows(
            select(customers).where(customers.c.business_id == business_id).order_by(customers.c.id)
        )
        return [_customer(row) for row in rows]

    def search_customers(self, text: str, limit: int) -> list[Customer]:
        """See the port; an empty text finds every customer."""
        wanted = text.strip()
        rows = self._session.rows(
            select(customers)
            .where(
                or_(
                    customers.c.number == wanted,
                    customers.c.business_id == wanted,
                    customers.c.name_folded.contains(folded(wanted), autoescape=True),
                )
            )
            .order_by(customers.c.name_folded, customers.c.id)
            .limit(limit)
        )
        return [_customer(row) for row in rows]

    def delete_customer(self, customer_id: str) -> None:
        """See the port; it may be gone already."""
        self._session.change(delete(customers).where(customers.c.id == customer_id))

    def put_person(self, person: ContactPerson) -> None:
        """See the port."""
        self._session.put(contact_persons, asdict(person), key=["id"])

    def persons(self, customer_id: str) -> list[ContactPerson]:
        """See the port."""
        rows = self._session.rows(select(contact_persons).where(contact_persons.c.customer_id == customer_id))
        found = [ContactPerson(**row._mapping) for row in rows]
        return sorted(found, key=lambda person: (folded(person.name), person.id))

    def put_point(self, point: ContactPoint) -> None:
        """See the port."""
        self._session.put(contact_points, asdict(point) | {"kind": point.kind.value}, key=["id"])

    def points(self, customer_id: str) -> list[ContactPoint]:
        """See the port."""
        rows = self._session.rows(
            select(contact_points)
            .where(contact_points.c.customer_id == customer_id)
            .order_by(contact_points.c.kind, contact_points.c.value, contact_points.c.id)
        )
        return [_point(row) for row in rows]

    def points_by_value(self, kind: PartyKind, value: str) -> list[ContactPoint]:
        """In id order."""
        rows = self._session.rows(
            select(contact_points)
            .where(contact_points.c.kind == kind.value, contact_points.c.value == value)
            .order_by(contact_points.c.id)
        )
        return [_point(row) for row in rows]

    def get_points(self, ids: Collection[str]) -> dict[str, ContactPoint]:
        """See the port."""
        found: dict[str, ContactPoint] = {}
        for batch in batches(ids):
            for row in self._session.rows(
                select(contact_points).where(self._session.among(contact_points.c.id, batch))
            ):
                found[row.id] = _point(row)
        return found

    def drop_unused_points(self, ids: Collection[str]) -> int:
        """See the port; how many went."""
        named = exists().where(communications.c.contact_point_id == contact_points.c.id)
        return sum(
            self._session.change(
                delete(contact_points).where(
                    self._session.among(contact_points.c.id, batch), contact_points.c.customer_id.is_(None), ~named
                )
            )
            for batch in batches(ids)
        )

    def _guard(self, table: Table[Any], ids: Collection[str], *, shared: bool) -> None:
        for batch in batches(ids):
            self._session.rows(
                select(table.c.id)
                .where(self._session.among(table.c.id, batch))
                .order_by(table.c.id)
                .with_for_update(read=shared)
            )


def _customer(row: Row[Any]) -> Customer:
    return Customer(**{name: value for name, value in row._mapping.items() if name != "name_folded"})


def _point(row: Row[Any]) -> ContactPoint:
    return ContactPoint(**{**row._mapping, "kind": PartyKind(row.kind)})
