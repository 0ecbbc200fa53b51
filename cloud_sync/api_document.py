"""Operations of /api/v1 -> its OpenAPI 3.1 description; every schema comes from the records themselves."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from cloud_sync import api_records as records
from cloud_sync.roles import Right

REF = "#/components/schemas/{name}"
FAULT_WORDS = {
    400: "The query or the body is not understood.",
    401: "There is no valid token.",
    403: "The token's role does not include this, or the case has to be judged first.",
    404: "There is nothing under this address.",
    409: "There is no video to judge by.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "The judgement is incomplete.",
    429: "Too many wrong tokens from this address.",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the API does."""

    name: str
    method: str = "GET"
    path: str
    """With {parts} in braces, below /api/v1."""
    rights: tuple[Right, ...]
    words: str
    answer: Callable[..., Any]
    gives: type
    """A record, or `bytes` for JSON lines."""
    path_kind: type = records.NoPath
    query_kind: type = records.NoQuery
    body_kind: type | None = None
    success: int = 200
    faults: tuple[int, ...] = ()
    """Beyond those that every operation has."""


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """OpenAPI 3.1, as plain JSON values."""
    schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault("/api/v1" + operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tankwatch",
            "version": version,
            "description": "Cases, judgements, datasets, stations and the audit log's end. Lists are paged by "
            "`cursor`. Fields may be added at any time. Generated from the records.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    kinds: list[type] = [records.Fault]
    for operation in operations:
        kinds += [operation.path_kind, operation.query_kind, operation.body_kind or records.Fault]
        kinds += [operation.gives] if operation.gives is not bytes else []
    return msgspec.json.schema_components(list(dict.fromkeys(kinds)), ref_template=REF)[1]


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        *_parameters(operation.path_kind, "path", schemas),
        *_parameters(operation.query_kind, "query", schemas),
    ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.words,
        "description": "For the rights " + " or ".join(operation.rights) + ".",
        "parameters": parameters,
        "responses": _responses(operation),
    }
    if operation.body_kind is not None:
        content = {"application/json": {"schema": _ref(operation.body_kind)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(kind: type, place: str, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    schema = schemas[kind.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": place, "required": name in required, "schema": about}
        for name, about in schema["properties"].items()
    ]


def _responses(operation: Operation) -> dict[str, Any]:
    kind, schema = "application/json", _ref(operation.gives) if operation.gives is not bytes else {"type": "string"}
    if operation.gives is bytes:
        kind = "application/jsonl"
    answers: dict[str, Any] = {str(operation.success): _answer("As asked.", kind, schema)}
    for status in sorted({400, 401, 403, 429, *operation.faults}):
        answers[str(status)] = _answer(FAULT_WORDS[status], "application/json", _ref(records.Fault))
    return answers


def _answer(words: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": schema}}}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}


def rule(path: str) -> str:
    """{parts} as Flask writes them."""
    return re.sub(r"\{(\w+)\}", r"<\1>", path)
