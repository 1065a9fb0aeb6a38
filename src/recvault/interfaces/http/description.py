"""What the OpenAPI description says beyond the routes: every error is a problem document, and who may ask how.

The framework would promise its own form of validation errors and only the good answers; what is sent is RFC 9457 for every
fault, and an upload's body is read by a push parser that no signature shows. ``tests/unit/http/test_description.py`` holds
the description against the answers.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from recvault.interfaces.http.upload import SEALED

PROBLEM = "application/problem+json"

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. 'type' names the kind of fault, 'detail' what to do about it.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "faults": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "fault": {"type": "string"}}},
        },
    },
}

_SECURITY_SCHEMES: dict[str, Any] = {
    "source": {"type": "http", "scheme": "bearer", "description": "A source's token."},
    "person": {"type": "http", "scheme": "bearer", "description": "A person's API token."},
}

_UPLOAD_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["metadata", "content"],
                "properties": {
                    "metadata": {"type": "object", "description": "First: what is known of the communication."},
                    "content": {"type": "string", "format": "binary"},
                },
            },
            "encoding": {"metadata": {"contentType": "application/json"}},
        },
        SEALED: {"schema": {"type": "string", "format": "binary"}},
    },
}


def describe(app: FastAPI) -> None:
    """Gives the app its description, made at first use."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
            )
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for framework in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    components["securitySchemes"] = _SECURITY_SCHEMES
    fault = {
        "description": "A problem document.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete_operation(path, method, operation, fault)
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any], fault: dict[str, Any]) -> None:
    operation["operationId"] = f"{method}{path.replace('/', '_').replace('{', '').replace('}', '')}"
    operation["responses"] = {
        status: answer for status, answer in operation["responses"].items() if status != "422"
    } | {"4XX": fault, "5XX": fault}
    if (path, method) == ("/v1/communications", "post"):
        operation["requestBody"] = _UPLOAD_BODY
        operation["responses"]["200"] = operation["responses"]["201"] | {"description": "Stored before: its receipt."}
