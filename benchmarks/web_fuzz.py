"""Schemathesis's requests, right and wrong ones, to every address of the cloud -> what was answered with a 5xx.

The API has a description of its own, and is held to all of it. The pages are described here from the map of addresses,
with the fields that their forms have: whoever is signed in as administrator sends them, with the form token.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from schemathesis.core.failures import Failure, FailureGroup

import cloud_sync

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.response_headers_conformance,
]
LEFT_OUT = ("accounts.logout", "static", "api.", "metrics.metrics")
"""It would end the session; files; what has a description of its own; a bearer token's."""
GUARDS = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy")


@dataclass(slots=True)
class Sent:
    """How many there were, and what was wrong with the answers."""

    requests: int = 0
    by_status: dict[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    signed_out: int = 0
    """Of the requests with a session: those that were told to sign in."""

    def count(self, status: int) -> None:
        self.requests += 1
        self.by_status[status] = self.by_status.get(status, 0) + 1

    def blame(self, words: str) -> None:
        if words not in self.faults:
            self.faults.append(words)


def api(app: Flask, bearer: dict[str, str], known: dict[str, list], *, examples: int, number: int = 0) -> Sent:
    """Each operation of /api/v1, `examples` times; every answer as described."""
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    sent = Sent()
    for operation in _operations(schema):
        _send(operation, known, sent, _checked(_served(app), bearer), examples=examples, number=number)
    return sent


def pages(
    app: Flask,
    browser: Callable[[], tuple[dict[str, str], dict[str, str]]],
    known: dict[str, list],
    *,
    examples: int,
    number: int = 0,
) -> Sent:
    """Each page and form. `browser`: headers and cookies of whoever is signed in, as they are now."""
    schema = schemathesis.openapi.from_dict(described(app))
    schema.app = app
    sent = Sent()

    def check(case: Any, sent: Sent) -> None:
        headers, cookies = browser()
        answer = case.call(headers=headers, cookies=cookies, base_url="http://localhost", app=_served(app))
        sent.count(answer.status_code)
        where = f"{case.method} {case.operation.path}"
        location = "".join(answer.headers.get("location", []))
        sent.signed_out += answer.status_code == 401 or location.startswith("/login?")
        if answer.status_code >= 500 and not (answer.status_code == 503 and case.operation.path == "/readyz"):
            sent.blame(f"{where}: {answer.status_code}")
        for name in GUARDS:
            if not any(name.lower() == held.lower() for held in answer.headers):
                sent.blame(f"{where}: {answer.status_code} without {name}")

    for operation in _operations(schema):
        _send(operation, known, sent, check, examples=examples, number=number)
    return sent


def described(app: Flask) -> dict[str, Any]:
    """OpenAPI of every page, from the map of addresses and the names of fields in the templates."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(LEFT_OUT):
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            paths.setdefault(path, {})[method.lower()] = _operation(rule.arguments, method)
    return {"openapi": "3.0.3", "info": {"title": "pages", "version": "1"}, "paths": paths}


def field_names() -> list[str]:
    """What forms and searches of our pages send."""
    folder = Path(cloud_sync.__file__).parent / "templates"
    found = {name for path in folder.glob("*.html") for name in re.findall(r'\bname="([\w-]+)"', path.read_text())}
    return sorted(found - {"csrf_token", "viewport", "description"})


def _operations(schema: Any) -> list[Any]:
    """Raises where the description is not one."""
    return [found.ok() for found in schema.get_all_operations()]


def _operation(arguments: Iterable[str], method: str) -> dict[str, Any]:
    text = {"type": "string"}
    places = [{"name": name, "in": "path", "required": True, "schema": text} for name in sorted(arguments)]
    operation: dict[str, Any] = {"responses": {"default": {"description": "any"}}, "parameters": places}
    fields = field_names()
    if method == "GET":
        operation["parameters"] = places + [{"name": name, "in": "query", "schema": text} for name in fields]
        return operation
    form = {"type": "object", "properties": dict.fromkeys(fields, text)}
    operation["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": form}}}
    return operation


def _served(app: Flask) -> Callable[..., Iterable[bytes]]:
    """As a server asks it: what a Flask application raises schemathesis would raise too, where a server answers 500."""

    def answered(environ: dict, start: Callable) -> Iterable[bytes]:
        return app(environ, start)

    return answered


def _checked(app: Callable[..., Iterable[bytes]], bearer: dict[str, str]) -> Callable[[Any, Sent], None]:
    def check(case: Any, sent: Sent) -> None:
        answer = case.call(headers=bearer, app=app)
        sent.count(answer.status_code)
        try:
            case.validate_response(answer, checks=CHECKS, headers=bearer)
        except (Failure, FailureGroup) as error:
            sent.blame(f"{case.method} {case.operation.path}: {str(error)[:300]}")

    return check


def _send(
    operation: Any,
    known: dict[str, list],
    sent: Sent,
    check: Callable[[Any, Sent], None],
    *,
    examples: int,
    number: int,
) -> None:
    generation: st.SearchStrategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    generation |= operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    done = 0

    @seed(number)
    @given(case=generation)
    @settings(
        max_examples=examples,
        deadline=None,
        database=InMemoryExampleDatabase(),
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        nonlocal done
        for name, values in known.items():
            # Otherwise nothing but 404 would be seen: every other request names something that is there.
            if name in (case.path_parameters or {}) and done % 2:
                case.path_parameters[name] = values[done // 2 % len(values)]
        done += 1
        check(case, sent)

    send()
