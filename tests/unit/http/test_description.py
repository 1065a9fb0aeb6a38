"""The API holds against requests made from its own description: no fault of the server's, no answer that is not described.

Bounded and the same in every run; who may do what is walked in ``test_every_door.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from recvault.domain.access import Role
from recvault.interfaces.http.app import create_app
from tests.support.archives import World, make_world

EXAMPLES = 4
"""Requests made up for each operation."""

PEOPLE = (Role.PRIVACY_HANDLER, Role.ADMINISTRATOR, Role.AUDITOR)
"""Between them they may do all that the API offers to people; what one may not, it refuses."""


@pytest.fixture(scope="module")
def world() -> World:
    world = make_world()
    world.store("a call to ask about")
    return world


@pytest.fixture(scope="module")
def description(world: World) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(world.archive))


def tokens(world: World) -> list[str]:
    """Fresh ones: among the operations is signing out."""
    return [*(world.archive.sessions.issue_token(role.value, by="system:test") for role in PEOPLE), world.token]


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_no_request_breaks_it(description: schemathesis.BaseSchema, world: World) -> None:
    operations = [found.ok() for found in description.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 40
    for operation in operations:
        _walk(operation, tokens(world))


def _walk(operation: schemathesis.APIOperation[Any, Any, Any, Any], present: list[str]) -> None:
    asked = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        for token in present:
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=CHECKS)
            asked.append(answer.status_code)

    ask()
    assert asked
