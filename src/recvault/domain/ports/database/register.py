"""Port to customers, contact persons and points, agents; and the guard rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from recvault.domain.communication import (
    PartyKind,
)
from recvault.domain.customer import Agent, ContactPerson, ContactPoint, Customer


class Register(Protocol):
    """Customers, contact persons and points, agents; and the guard rows."""

    def lock_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """FOR UPDATE on customers, then contact points, each in id order."""

    def share_guards(self, *, customer_ids: Collection[str], contact_point_ids: Collection[str]) -> None:
        """FOR SHARE, same order: an ingest holds off a hold or purge of the same customer until it commits."""

    def put_customer(self, customer: Customer) -> None:
        """Inserts or replaces by id."""

    def customer(self, customer_id: str) -> Customer:
        """NotFound when unknown."""

    def customers(self, customer_ids: Collection[str]) -> dict[str, Customer]:
        """Those that exist, by id."""

    def customer_by_number(self, number: str) -> Customer | None:
        """By the company's own customer number."""

    def customers_by_business_id(self, business_id: str) -> list[Customer]:
        """By Y-tunnus."""

    def search_customers(self, text: str, limit: int) -> list[Customer]:
        """By number, Y-tunnus, or a part of the name (any case), in name order."""

    def delete_customer(self, customer_id: str) -> None:
        """Removes the customer with persons and points; Conflict while a communication names it."""

    def put_person(self, person: ContactPerson) -> None:
        """Inserts or replaces by id."""

    def persons(self, customer_id: str) -> list[ContactPerson]:
        """In name order."""

    def put_point(self, point: ContactPoint) -> None:
        """Inserts or replaces by id."""

    def points(self, customer_id: str) -> list[ContactPoint]:
        """In (kind, value) order."""

    def points_by_value(self, kind: PartyKind, value: str) -> list[ContactPoint]:
        """Every holder of the normalised value, whatever the time."""

    def get_points(self, ids: Collection[str]) -> dict[str, ContactPoint]:
        """Those that exist, by id."""

    def drop_unused_points(self, ids: Collection[str]) -> int:
        """Deletes those of the points that belong to no customer and that no communication names."""

    def put_agent(self, agent: Agent) -> None:
        """Inserts or replaces by id with extensions and teams."""

    def agent(self, agent_id: str) -> Agent:
        """NotFound when unknown."""

    def agents(self) -> list[Agent]:
        """In name order."""

    def agent_by_ref(self, ref: str) -> Agent | None:
        """By the id that other systems use."""

    def agents_by_extension(self, extension: str) -> list[Agent]:
        """Every agent who ever had the extension."""
